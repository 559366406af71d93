from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    FinetuneConfig,
    LossSection,
    ModelSection,
    StageSection,
    StudentSection,
    TeacherSection,
    Train,
)
from tinybert_tf.config.tasks import TASK_KEYS
from tinybert_tf.data.tasks import TASKS
from tinybert_tf.metrics import TASK_METRICS
from tinybert_tf.training.optimizer import SCHEDULES

DATA = Data(train="train.tsv", dev="dev.tsv", text=("sentence",), label="label")
LOSSES = (LossSection("attention"),)


REFUSED = [
    (Train, "epochs", 0, "an integer >= 1"),
    (Train, "epochs", 1.5, "an integer >= 1"),
    (Train, "epochs", True, "an integer >= 1"),
    (Train, "max_steps", 0, "an integer >= 1"),
    (Train, "patience", 0, "an integer >= 1"),
    (Train, "schedule", "step", "one of linear, constant, cosine"),
    (Train, "batch_size", 0, "an integer >= 1"),
    (Train, "learning_rate", 0.0, "a finite number > 0"),
    (Train, "learning_rate", -1.0, "a finite number > 0"),
    (Train, "learning_rate", math.nan, "a finite number > 0"),
    (Train, "learning_rate", math.inf, "a finite number > 0"),
    (Train, "warmup_fraction", 1.0, "a number >= 0 and < 1"),
    (Train, "warmup_fraction", -0.1, "a number >= 0 and < 1"),
    (Train, "warmup_fraction", math.nan, "a number >= 0 and < 1"),
    (Train, "weight_decay", -0.1, "a finite number >= 0"),
    (Train, "seed", -1, "an integer from 0 to 4294967295"),
    (Train, "seed", 2**32, "an integer from 0 to 4294967295"),
    (Train, "precision", "fp16", "one of auto, float32, bfloat16, float16"),
    (StudentSection, "init", "copy", "one of auto, cut, layers, random"),
    (StudentSection, "num_hidden_layers", 0, "an integer >= 1"),
    (StudentSection, "hidden_size", -8, "an integer >= 1"),
]


def test_what_is_refused(each_row: Callable[..., None]) -> None:
    def look(cls: type, key: str, value: Any, accepted: str) -> None:
        with pytest.raises(InputError) as caught:
            cls(**{key: value})
        assert str(caught.value) == f"{key}: expected {accepted}, got {value!r}"

    each_row(REFUSED, look)


def test_the_limits_are_accepted() -> None:
    Train(epochs=1, max_steps=1, batch_size=1, learning_rate=1e-30, warmup_fraction=0.0, weight_decay=0.0, seed=0)
    dataclasses.replace(DATA, max_length=8, text=("a", "b"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("max_length", 7, "max_length: expected an integer >= 8, got 7"),
        ("text", (), "text: expected one column name or two, got ()"),
        ("text", ("a", "b", "c"), "text: expected one column name or two, got ('a', 'b', 'c')"),
        ("text", ("a", ""), "text: expected one column name or two, got ('a', '')"),
        ("text", "ab", "text: expected one column name or two, got 'ab'"),
        ("label", "", "label: expected some text, got ''"),
        ("test", "", "test: expected some text, got ''"),
    ],
)
def test_data(key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        dataclasses.replace(DATA, **{key: value})
    assert str(caught.value) == message


def test_preset_and_dir_exclude_each_other() -> None:
    StudentSection(preset="bert-tiny")
    StudentSection(dir="student")
    with pytest.raises(InputError, match=r"^dir: expected a preset or a dir, not both, got 'bert-tiny' and 'student'"):
        StudentSection(preset="bert-tiny", dir="student")
    with pytest.raises(InputError, match=r"^size: expected a dir or a size, not both, got 'student' and 'tiny'"):
        StudentSection(dir="student", size="tiny")
    with pytest.raises(InputError, match=r"^size: expected one of tiny, small, medium, got 'large'"):
        StudentSection(size="large")


def test_a_size_is_open_where_nothing_says_one() -> None:
    assert StudentSection().is_open
    assert StudentSection(init="cut").is_open
    for given in ({"size": "medium"}, {"preset": "bert-tiny"}, {"dir": "a"}, {"hidden_size": 8}):
        assert not StudentSection(**given).is_open
        assert not StudentSection(**given).has_no_size
    for init in ("random", "layers"):  # which no cut can choose for
        assert not StudentSection(init=init).is_open
        assert StudentSection(init=init).has_no_size


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "two words", "ä", "a\\b"])
def test_stage_names_are_safe_in_paths(name: str) -> None:
    with pytest.raises(InputError, match=r"^name: expected letters, digits"):
        StageSection(name, LOSSES)


@pytest.mark.parametrize("layer_map", ["uniform", "top", "bottom", ((0, 0), (1, 3))])
def test_layer_maps(layer_map: Any) -> None:
    assert StageSection("one", LOSSES, layer_map=layer_map).layer_map == layer_map


@pytest.mark.parametrize("layer_map", ["middle", (), ((0, -1),), ((1, 2, 3),), ((0, 1.0),), 3])
def test_layer_maps_that_are_refused(layer_map: Any) -> None:
    with pytest.raises(
        InputError, match=r"^layer_map: expected one of uniform, top, bottom, emd, attention, or a list of pairs"
    ):
        StageSection("one", LOSSES, layer_map=layer_map)


def test_stages_want_losses_and_their_own_names() -> None:
    with pytest.raises(InputError, match=r"^losses: expected at least one"):
        StageSection("one", ())
    with pytest.raises(InputError, match=r"^projections: expected one of shared, per_layer, got 'none'"):
        StageSection("one", LOSSES, projections="none")
    sections = {"teacher": TeacherSection("t"), "data": DATA, "out": "run"}
    stages = (StageSection("a", LOSSES), StageSection("b", LOSSES), StageSection("a", LOSSES))
    with pytest.raises(InputError, match=r"^stages\.2\.name: expected a name that no earlier stage has, got 'a'"):
        DistillConfig(stages=stages, **sections)
    with pytest.raises(InputError, match=r"^stages: expected at least one"):
        DistillConfig(stages=(), **sections)


def test_losses() -> None:
    with pytest.raises(InputError, match=r"^weight: expected a finite number >= 0, or a mapping"):
        LossSection("attention", weight=-1.0)
    with pytest.raises(InputError, match=r"^name: expected some text"):
        LossSection("")


def test_tasks_and_metrics_of_this_release() -> None:
    sections = {"model": ModelSection("m"), "data": DATA, "out": "run"}
    FinetuneConfig(task="regression", metric="spearman", **sections)
    with pytest.raises(InputError, match=r"^task: expected one of sequence_classification, regression, multi_label, "):
        FinetuneConfig(task="masked_lm", **sections)
    with pytest.raises(InputError, match=r"^metric: expected one of accuracy, exact_match, f1, "):
        FinetuneConfig(metric="bleu", **sections)


def test_every_metric_that_is_measured_may_choose() -> None:
    sections = {"model": ModelSection("m"), "data": DATA, "out": "run"}
    for task, measured in TASK_METRICS.items():
        for metric in measured.names(2):
            assert FinetuneConfig(task=task, metric=metric, **sections).metric == metric


def test_the_tasks_are_those_that_can_be_read() -> None:
    assert list(TASK_KEYS) == list(TASKS)


def test_every_schedule_that_there_is_may_be_named() -> None:
    for name in SCHEDULES:
        assert Train(schedule=name).schedule == name


def test_a_stage_overrides_train() -> None:
    train = Train(epochs=5, learning_rate=1e-4, seed=7, precision="float32")
    stage = StageSection("one", LOSSES, epochs=2, weight_decay=0.0, train="more.tsv", schedule="constant", patience=3)
    assert stage.resolved(train) == Train(
        epochs=2, learning_rate=1e-4, weight_decay=0.0, seed=7, precision="float32", schedule="constant", patience=3
    )
    assert StageSection("two", LOSSES).resolved(train) == train


def test_default_stages_are_tinyberts() -> None:
    config = DistillConfig(teacher=TeacherSection("t"), data=DATA, out="run")
    assert [(stage.name, [loss.name for loss in stage.losses]) for stage in config.stages] == [
        ("intermediate", ["embedding", "attention", "hidden_state"]),
        ("prediction", ["prediction"]),
    ]
