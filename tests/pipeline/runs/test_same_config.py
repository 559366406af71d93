"""Configs are compared as values: neither the text nor where files are kept counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tinybert_tf.config.load import dump_config
from tinybert_tf.config.schema import Data, DistillConfig, FinetuneConfig, ModelSection, TeacherSection, Train
from tinybert_tf.pipeline.runs.same_config import config_difference

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
