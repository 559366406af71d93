"""Configs are compared as values: neither the text nor where files are kept counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

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
    assert as_begun(tmp_path / "config.yaml", CONFIG) == with_student(size="tiny")
    assert as_begun(tmp_path / "nothing.yaml", CONFIG) == CONFIG
    for size in ("small", "medium"):
        named = with_student(size=size)
        assert difference(tmp_path, chosen, named) == f"there student.size=tiny, here student.size={size}"
        assert as_begun(tmp_path / "config.yaml", named) == named
    own = with_student(hidden_size=8)
    assert difference(tmp_path, chosen, own) == "there student.size=tiny, here no student.size"
    assert difference(tmp_path, dump_config(own)) == "there student.hidden_size=8, here no student.hidden_size"


def test_a_run_of_an_earlier_version_chose_none(tmp_path: Path) -> None:
    """It has half of its teacher's layers, also where the command leaves the choice open now."""
    assert difference(tmp_path, dump_config(CONFIG)) == ""
    assert as_begun(tmp_path / "config.yaml", CONFIG) == with_student(size="medium")
    assert difference(tmp_path, dump_config(CONFIG), with_student(size="medium")) == ""
    random = with_student(init="random")  # which never had a choice
    assert difference(tmp_path, dump_config(random), random) == ""
    assert as_begun(tmp_path / "config.yaml", random) == random


def test_the_first_key_that_differs_is_named(tmp_path: Path) -> None:
    faster = dataclasses.replace(CONFIG, train=Train(learning_rate=1e-3))
    assert difference(tmp_path, dump_config(CONFIG), faster) == (
        "there train.learning_rate=5e-05, here train.learning_rate=0.001"
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
