"""Configs are compared as values: neither the text nor where files are kept counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tinybert_tf.config.chosen import with_choices
from tinybert_tf.config.load import dump_config
from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    FinetuneConfig,
    ModelSection,
    StudentSection,
    TeacherSection,
    Train,
)
from tinybert_tf.pipeline.runs.same_config import as_begun, config_difference

DATA = Data(train="train.tsv", dev="dev.tsv", text=("text",), label="label")
CONFIG = DistillConfig(teacher=TeacherSection("bert"), data=DATA, out="run")


def difference(tmp_path: Path, text: str, config: DistillConfig = CONFIG) -> str:
    (tmp_path / "config.yaml").write_text(text)
    return config_difference(tmp_path / "config.yaml", config)


def test_the_same_values(tmp_path: Path) -> None:
    assert difference(tmp_path, dump_config(CONFIG)) == ""
    short = "out: run\nteacher: {dir: bert}\ndata: {train: train.tsv, dev: dev.tsv, text: text, label: label}\n"
    assert difference(tmp_path, short) == ""
    elsewhere = dataclasses.replace(CONFIG, out="here", cache_dir="there", max_disk_gib=5.0)
    assert difference(tmp_path, dump_config(CONFIG), elsewhere) == ""


def with_student(**values: Any) -> DistillConfig:
    return dataclasses.replace(CONFIG, student=StudentSection(**values))


def test_the_size_that_a_run_chose_counts_where_the_command_says_none(tmp_path: Path) -> None:
    chosen = dump_config(with_student(size="tiny"))
    assert difference(tmp_path, chosen) == difference(tmp_path, chosen, with_student(size="tiny")) == ""
    assert as_begun(tmp_path / "config.yaml", CONFIG).student == StudentSection(size="tiny")
    assert as_begun(tmp_path / "nothing.yaml", CONFIG) == CONFIG
    for size in ("small", "medium"):
        named = with_student(size=size)
        assert difference(tmp_path, chosen, named) == f"there student.size=tiny, here student.size={size}"
        assert as_begun(tmp_path / "config.yaml", named).student == named.student
    own = with_student(hidden_size=8)
    assert difference(tmp_path, chosen, own) == "there student.size=tiny, here no student.size"
    assert difference(tmp_path, dump_config(own)) == "there student.hidden_size=8, here no student.hidden_size"


def test_a_run_of_an_earlier_version_chose_none(tmp_path: Path) -> None:
    """It has half of its teacher's layers, its own rate and epochs, and made no texts."""
    old = dataclasses.replace(CONFIG, train=Train(learning_rate=5e-5, epochs=3))
    assert difference(tmp_path, dump_config(old)) == ""
    begun = as_begun(tmp_path / "config.yaml", CONFIG)
    assert (begun.student, begun.train) == (StudentSection(size="medium"), old.train)
    assert (begun.data.augment, begun.chosen) == (0, ("data.augment", "train.learning_rate", "train.epochs"))
    assert difference(tmp_path, dump_config(CONFIG)) == ""
    assert difference(tmp_path, dump_config(CONFIG), with_student(size="medium")) == ""
    random = with_student(init="random")  # which never had a choice
    assert difference(tmp_path, dump_config(random), random) == ""
    assert as_begun(tmp_path / "config.yaml", random).student == random.student


def test_what_a_run_chose_counts_where_the_command_leaves_it_open(tmp_path: Path) -> None:
    chosen = with_choices(CONFIG, {"stages.1.epochs": 4, "stages.1.learning_rate": 3e-4, "data.augment": 2})
    assert difference(tmp_path, dump_config(chosen)) == difference(tmp_path, dump_config(chosen), chosen) == ""
    assert as_begun(tmp_path / "config.yaml", CONFIG).stages[1].epochs == 4
    first, second = CONFIG.stages
    longer = dataclasses.replace(CONFIG, stages=(first, dataclasses.replace(second, epochs=5)))
    assert difference(tmp_path, dump_config(chosen), longer) == "there stages.1.epochs=4, here stages.1.epochs=5"
    none_made = dataclasses.replace(CONFIG, data=dataclasses.replace(DATA, augment=0))
    assert difference(tmp_path, dump_config(chosen), none_made) == "there data.augment=2, here data.augment=0"
    given = dataclasses.replace(CONFIG, data=dataclasses.replace(DATA, augment=2), chosen=())
    assert difference(tmp_path, dump_config(given)) == "there data.augment=2, here no data.augment"
    one_stage = dataclasses.replace(CONFIG, stages=CONFIG.stages[:1])  # has no stage for what was chosen
    assert difference(tmp_path, dump_config(chosen), one_stage) != ""


def test_the_first_key_that_differs_is_named(tmp_path: Path) -> None:
    faster = dataclasses.replace(CONFIG, train=Train(learning_rate=1e-3))
    assert difference(tmp_path, dump_config(CONFIG), faster) == (
        "there no train.learning_rate, here train.learning_rate=0.001"
    )
    tested = dataclasses.replace(CONFIG, data=dataclasses.replace(DATA, test="test.tsv"))
    assert difference(tmp_path, dump_config(CONFIG), tested) == "there no data.test, here data.test=test.tsv"
    one_stage = dataclasses.replace(CONFIG, stages=CONFIG.stages[1:])
    assert difference(tmp_path, dump_config(CONFIG), one_stage) == (
        "there stages.0.name=intermediate, here stages.0.name=prediction"
    )


def test_a_file_that_is_no_such_config(tmp_path: Path) -> None:
    assert "model" in difference(
        tmp_path, dump_config(FinetuneConfig(model=ModelSection("bert"), data=DATA, out="run"))
    )
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe")
    assert "not text in UTF-8" in config_difference(tmp_path / "config.yaml", CONFIG)
