"""The variants of an ablation: each named change, settings, grids, and what has nothing to remove."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.config.ablation import AblationConfig, Variant
from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    LossSection,
    StageSection,
    StudentSection,
    TeacherSection,
    Train,
)
from tinybert_tf.pipeline.ablation.variants import CHANGES, plan_variants

INSIDE = tuple(LossSection(name) for name in ("embedding", "attention", "hidden_state"))
STAGES = (
    StageSection("inside", INSIDE, train="more.tsv", epochs=9),
    StageSection("outside", (LossSection("prediction", options={"temperature": 2.0}),), train="more.tsv"),
)


@pytest.fixture
def base(encoder_dir: Path) -> DistillConfig:
    """TinyBERT's recipe: a general student, an augmented file in both stages."""
    return DistillConfig(
        teacher=TeacherSection("bert"),
        student=StudentSection(dir=str(encoder_dir)),
        data=Data("train.tsv", "dev.tsv", ("text",), "label"),
        train=Train(epochs=3),
        stages=STAGES,
        out="runs/one",
    )


def planned(base: DistillConfig, *variants: Variant, **more: Any) -> dict[str, DistillConfig]:
    """The variants as distillations, by name."""
    values = {each.name: getattr(base, each.name) for each in dataclasses.fields(base)}
    return {each.name: each.config for each in plan_variants(AblationConfig(**values, variants=variants, **more))}


def changed(base: DistillConfig, name: str) -> DistillConfig:
    return planned(base, Variant(name, changes=(name,)))[name]


def losses(config: DistillConfig) -> list[list[str]]:
    return [[loss.name for loss in stage.losses] for stage in config.stages]


def refused(base: DistillConfig, variant: Variant, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        planned(base, variant, **more)
    return str(caught.value)


# === Named changes ===


def test_every_change_differs_from_the_base_and_from_the_others(base: DistillConfig) -> None:
    variants = planned(base, *(Variant(name, changes=(name,)) for name in CHANGES))
    assert list(variants) == ["base", *CHANGES]
    assert variants["base"] == variants["uniform"] == base
    same_start = {"no_general", "random"}
    others = [config for name, config in variants.items() if name not in {"uniform", *same_start}]
    assert all(one != other for place, one in enumerate(others) for other in others[:place])
    assert variants["no_general"] == variants["random"]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("no_embedding", [["attention", "hidden_state"], ["prediction"]]),
        ("no_attention", [["embedding", "hidden_state"], ["prediction"]]),
        ("no_hidden_state", [["embedding", "attention"], ["prediction"]]),
    ],
)
def test_without_a_loss(base: DistillConfig, name: str, left: list[list[str]]) -> None:
    config = changed(base, name)
    assert losses(config) == left
    stages = tuple(
        dataclasses.replace(stage, losses=other.losses) for stage, other in zip(config.stages, STAGES, strict=True)
    )
    assert dataclasses.replace(config, stages=stages) == base  # nothing else


def test_without_predictions_the_labels_of_the_training_file_are_learnt(base: DistillConfig) -> None:
    inside, outside = changed(base, "no_prediction").stages
    assert inside == STAGES[0]
    assert outside.losses == (LossSection("prediction", options={"temperature": 2.0, "hard_label_weight": 1.0}),)
    assert outside.train is None


def test_without_augmentation(base: DistillConfig) -> None:
    config = changed(base, "no_augmentation")
    assert [stage.train for stage in config.stages] == [None, None]
    assert losses(config) == losses(base)
    assert config.stages[0].epochs == 9


@pytest.mark.parametrize(("name", "init"), [("no_general", "random"), ("random", "random"), ("cut", "cut")])
def test_another_start_of_the_same_size(base: DistillConfig, name: str, init: str) -> None:
    config = changed(base, name)
    assert config.student == StudentSection(
        init=init, num_hidden_layers=2, hidden_size=16, num_attention_heads=2, intermediate_size=32
    )
    assert dataclasses.replace(config, student=base.student) == base


def test_another_start_where_there_is_no_directory(base: DistillConfig) -> None:
    preset = dataclasses.replace(base, student=StudentSection(preset="tinybert-4l-312d", num_hidden_layers=3))
    assert changed(preset, "random").student == dataclasses.replace(preset.student, init="random")


@pytest.mark.parametrize("name", ["top", "bottom"])
def test_another_layer_map(base: DistillConfig, name: str) -> None:
    config = changed(base, name)
    assert [stage.layer_map for stage in config.stages] == [name, name]
    assert losses(config) == losses(base)


def test_several_changes_and_settings(base: DistillConfig) -> None:
    """Settings first: their numbers are those of the base's lists."""
    variant = Variant(
        "all", changes=("no_attention", "top"), without=("embedding",), set={"stages.0.losses.2.weight": 0.5}
    )
    config = planned(base, variant)["all"]
    assert config.stages[0].losses == (LossSection("hidden_state", 0.5),)
    assert config.stages[0].layer_map == "top"


def test_a_stage_without_a_loss_goes(base: DistillConfig) -> None:
    config = planned(base, Variant("bare", without=("embedding", "attention", "hidden_state")))["bare"]
    assert config.stages == STAGES[1:]


# === Which the paper has ===


def test_only_a_change_by_itself_is_the_papers(base: DistillConfig) -> None:
    variants = (
        Variant("top", changes=("top",)),
        Variant("mine", changes=("bottom",)),
        Variant("more", changes=("top",), set={"train.epochs": 4}),
        Variant("both", changes=("top", "no_embedding")),
        Variant("less", changes=("top",), without=("embedding",)),
    )
    values = {each.name: getattr(base, each.name) for each in dataclasses.fields(base)}
    found = plan_variants(AblationConfig(**values, variants=variants))
    assert [each.change for each in found] == ["base", "top", "bottom", None, None, None]


# === Grids ===


def test_a_grid(base: DistillConfig) -> None:
    grid = {
        "train.epochs": [1, 2],
        "stages.0.learning_rate": [1e-3],
        "stages.1.learning_rate": [None, 2e-4],
        "stages.0.layer_map": [[[0, 0], [1, 3]]],
    }
    variants = planned(base, Variant("top", changes=("top",)), grid=grid)
    first = "epochs=1,stages.0.learning_rate=0.001,stages.1.learning_rate=null,layer_map=0-0-1-3"
    assert list(variants)[:3] == ["base", "top", first]
    points = list(variants.items())[2:]
    assert [(config.train.epochs, config.stages[1].learning_rate) for _, config in points] == [
        (1, None), (1, 2e-4), (2, None), (2, 2e-4),
    ]  # fmt: skip
    assert {config.stages[0].layer_map for _, config in points} == {((0, 0), (1, 3))}
    assert {config.stages[0].learning_rate for _, config in points} == {1e-3}


# === Refused ===


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (Variant("a", changes=("no_embeding",)), "variant 'a': no change is called 'no_embeding'; did you mean "),
        (
            Variant("a", without=("cosine",)),
            "variant 'a': no stage has a loss 'cosine' to remove; expected one of embedding, attention, ",
        ),
        (
            Variant("a", without=("embedding", "attention", "hidden_state", "prediction")),
            "variant 'a': no loss is left without embedding, ",
        ),
        (Variant("a", changes=("no_embedding", "no_embedding")), "variant 'a': no stage has a loss 'embedding'"),
        (Variant("a", set={"train.epoch": 1}), "variant 'a': train.epoch: unknown key; did you mean train.epochs?"),
        (Variant("a", set={"train.epochs": 0}), "variant 'a': train.epochs: expected an integer >= 1, got 0"),
        (
            Variant("a", set={"stages.2.epochs": 1}),
            "variant 'a': stages.2.epochs: expected an item from 0 to 1, got '2'",
        ),
        (Variant("a", set={"data.train": None}), "variant 'a': missing keys: data.train"),
    ],
)
def test_refused(base: DistillConfig, variant: Variant, message: str) -> None:
    assert refused(base, variant).startswith(message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_general", "the config has no student.dir, whose general distillation could be removed."),
        ("no_augmentation", "no stage has a train file of its own (an augmented one) to remove."),
        ("no_prediction", "no stage has a loss 'prediction' that learns from the teacher, to remove."),
        ("no_attention", "no stage has a loss 'attention' to remove; expected one of hidden_state, prediction."),
    ],
)
def test_nothing_to_remove(base: DistillConfig, name: str, message: str) -> None:
    labels = LossSection("prediction", options={"hard_label_weight": 1.0})
    bare = dataclasses.replace(
        base,
        student=StudentSection(),
        stages=(StageSection("one", (LossSection("hidden_state"), labels), train="train.tsv"),),
    )
    assert refused(bare, Variant(name, changes=(name,))) == f"variant {name!r}: {message}"


def test_a_name_twice(base: DistillConfig) -> None:
    taken = Variant("epochs=2", changes=("top",))
    assert refused(base, taken, grid={"train.epochs": [2]}) == (
        "variant 'epochs=2': two variants have this name; give one of them another."
    )


def test_a_point_of_the_grid_is_named(base: DistillConfig) -> None:
    message = refused(base, Variant("top", changes=("top",)), grid={"train.epochs": [2, "many"]})
    assert message == "variant 'epochs=many': train.epochs: expected an integer, got 'many'"
