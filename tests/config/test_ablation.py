"""An ablation's config: a distillation's keys and its own, a file that it stands over, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.config.ablation import AblationConfig, Variant
from tinybert_tf.config.load import dump_config, load_config
from tinybert_tf.config.schema import DistillConfig

BASE = """
teacher: {dir: bert}
data: {train: train.tsv, dev: dev.tsv, text: sentence, label: label}
train: {epochs: 5, batch_size: 8}
stages: [{name: one, losses: [embedding, prediction], epochs: 7}]
out: runs/one
"""
VARIANTS = """
variants:
  - top
  - {name: hot, set: {stages.0.losses.1.temperature: 4.0}}
  - {name: bare, without: [embedding], changes: [cut, bottom]}
grid: {student.num_hidden_layers: [2, 3]}
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a file and returns its path."""

    def write(text: str, name: str = "ablation.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refused(path: Path, **flags: Any) -> str:
    """The one line that loading ends with, without the directory of the files."""
    with pytest.raises(InputError) as caught:
        load_config(AblationConfig, path, flags)
    message = str(caught.value).replace(f"{path.parent}/", "")
    assert "\n" not in message
    return message


def test_a_distillations_keys_and_its_own(write: Any) -> None:
    config = load_config(AblationConfig, write(BASE + VARIANTS))
    assert config.distillation == load_config(DistillConfig, write(BASE))
    assert type(config.distillation) is DistillConfig
    assert config.variants == (
        Variant("top", changes=("top",)),
        Variant("hot", set={"stages.0.losses.1.temperature": 4.0}),
        Variant("bare", changes=("cut", "bottom"), without=("embedding",)),
    )
    assert config.grid == {"student.num_hidden_layers": [2, 3]}
    assert (config.seeds, config.paper) == ((1, 2, 3), None)
    assert load_config(AblationConfig, write(dump_config(config))) == config


def test_flags_reach_the_base_and_the_lists(write: Any) -> None:
    flags = {"train.epochs": "2", "seeds": ["4", "5"], "variants": ["no_general", "uniform"]}
    config = load_config(AblationConfig, write(BASE + VARIANTS), flags, ["data.max_length=16"])
    assert (config.train.epochs, config.stages[0].epochs, config.data.max_length) == (2, None, 16)
    assert config.seeds == (4, 5)
    assert [variant.name for variant in config.variants] == ["no_general", "uniform"]


def test_it_stands_over_a_distillations_file(write: Any) -> None:
    """Section by section; lists are replaced."""
    base = write(BASE, "base.yaml")
    own = "variants: [top]\ntrain: {epochs: 1}\nstages: [{name: two, losses: [cosine]}]\nout: runs/two\n"
    config = load_config(AblationConfig, write(f"base: {base}\n{own}"))
    assert config.base is None  # it has been read
    assert (config.train.epochs, config.train.batch_size) == (1, 8)
    assert [stage.name for stage in config.stages] == ["two"]
    assert (config.teacher.dir, config.out) == ("bert", "runs/two")
    assert load_config(AblationConfig, write(dump_config(config))) == config


def test_what_is_wrong_in_either_file(write: Any, tmp_path: Path) -> None:
    base = write(BASE.replace("epochs: 7", "epochs: none"), "base.yaml")
    over = write(f"base: {base}\nvariants: [top]\n")
    assert refused(over) == f"ablation.yaml over {base.name}: stages.0.epochs: expected an integer, got 'none'"
    base.unlink()
    assert (
        refused(over)
        == "base.yaml: expected a YAML configuration, got a path that cannot be read (No such file or directory)"
    )


def test_base_is_not_a_setting(write: Any) -> None:
    assert refused(write(BASE + VARIANTS), base="other.yaml") == (
        "base: expected only in a file, whose other keys override it, got 'other.yaml'"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "variants: expected at least one, or a grid, got none"),
        ("varaints: [top]", "varaints: unknown key; did you mean variants?"),
        (
            "variants: [base]",
            "variants.0.name: expected another name than 'base', which is that of the unchanged config",
        ),
        (
            "variants: [top, {name: ../out, changes: [top]}]",
            "variants.1.name: expected up to 200 letters, digits and _ . = , + -, got '../out'",
        ),
        (
            "variants: [{name: same}]",
            "variants.0.name: expected set, without or changes, got a variant 'same' that changes nothing",
        ),
        ("variants: [{name: a, sets: {}}]", "variants.0.sets: unknown key; did you mean variants.0.set?"),
        ("variants: [{name: a, set: [b]}]", "variants.0.set: expected a mapping of keys to values, got ['b']"),
        (
            "variants: [{name: a, set: {out: b}}]",
            "variants.0.set.out: cannot be varied here: every run has a directory of its own",
        ),
        ("grid: {train.epochs: 3}", "grid.train.epochs: expected a list of values, got 3"),
        ("grid: {train.epochs: []}", "grid.train.epochs: expected a list of values, got []"),
        ("grid: {train.seed: [1, 2]}", "grid.train.seed: cannot be varied here: seeds are varied in `seeds`"),
        (
            "variants: [top]\nseeds: [1, 1]",
            "seeds: expected at least one integer from 0 to 4294967295, no two equal, got (1, 1)",
        ),
        (
            "variants: [top]\nseeds: []",
            "seeds: expected at least one integer from 0 to 4294967295, no two equal, got ()",
        ),
        ("variants: [top]\npaper: sst2", "paper: expected one of mnli, mrpc, cola, got 'sst2'"),
    ],
)
def test_refused(write: Any, text: str, message: str) -> None:
    assert refused(write(f"{BASE}{text}\n")) == f"ablation.yaml: {message}"


@pytest.mark.parametrize(("task", "paper"), [("cola", "cola"), ("mnli", "mnli"), ("sst2", None)])
def test_the_papers_numbers_of_a_glue_task(write: Any, task: str, paper: str | None) -> None:
    config = load_config(AblationConfig, write(f"{BASE}variants: [top]\ntask: {task}\n"))
    assert (config.task, config.paper) == ("sequence_classification", paper)
    assert load_config(AblationConfig, write(dump_config(config))) == config
