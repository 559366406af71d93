"""Texts without labels in a distillation: which are read, where they are trained on, and what the baseline has."""

from __future__ import annotations

import csv
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError, TextDataset, load_tokenizer
from tinybert_tf.config.models import ModelSection, StudentSection, TeacherSection
from tinybert_tf.config.schema import Data, DistillConfig, FinetuneConfig, LossSection, StageSection, Train
from tinybert_tf.models.heads.tasks import load_teaching
from tinybert_tf.pipeline.distill import run_distill
from tinybert_tf.pipeline.parts.unlabelled import MADE, new_texts


@pytest.fixture
def config(teacher_run: Path, opinions: Path, tmp_path: Path) -> DistillConfig:
    files = {split: str(opinions / f"{split}.tsv") for split in ("train", "dev", "test")}
    return DistillConfig(
        teacher=TeacherSection(str(teacher_run)),
        student=StudentSection(size="medium"),
        data=Data(**files, text=("text",), label="label", max_length=16, augment=0),
        train=Train(epochs=1, batch_size=20, learning_rate=1e-2, precision="float32"),
        out=str(tmp_path / "run"),
    )


def with_data(config: DistillConfig, **values: Any) -> DistillConfig:
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **values))


def read(config: DistillConfig) -> dict[str, TextDataset]:
    paths = {"train": config.data.train, "dev": config.data.dev, "test": config.data.test}
    labelled = {name: TextDataset.from_file(path, "text", "label") for name, path in paths.items()}
    return labelled | {path: TextDataset.from_file(path, "text") for path in config.data.unlabelled or ()}


@pytest.fixture
def more(opinions: Path, tmp_path: Path) -> str:
    """Three new texts, one of them twice, and one each of train, dev and test."""
    known = [TextDataset.from_file(opinions / f"{name}.tsv", "text").texts[0] for name in ("train", "dev", "test")]
    rows = ["a new film", "the plot", *known, "a new film", "her story"]
    path = tmp_path / "more.tsv"
    path.write_text("\n".join(["text", *rows]) + "\n", encoding="utf-8")
    return str(path)


def test_only_new_texts_are_read(config: DistillConfig, more: str, caplog: pytest.LogCaptureFixture) -> None:
    config = with_data(config, unlabelled=(more,))
    teacher, tokenizer = load_teaching(config.teacher.dir, config.task), load_tokenizer(config.teacher.dir)
    with caplog.at_level(logging.INFO, "tinybert_tf"):
        found = new_texts(config, read(config), teacher, tokenizer)
    assert {name: dataset.texts for name, dataset in found.items()} == {more: ["a new film", "the plot", "her story"]}
    assert f"{more}: 4 of 7 texts are left out: they occur twice, or in train, dev or test" in caplog.messages


def test_made_texts_are_new_and_without_labels(config: DistillConfig) -> None:
    config = with_data(config, augment=3)
    teacher, tokenizer = load_teaching(config.teacher.dir, config.task), load_tokenizer(config.teacher.dir)
    datasets = read(config)
    made = new_texts(config, datasets, teacher, tokenizer)[MADE]
    assert 80 < len(made) <= 240
    assert made.labels is None
    assert len(set(made.texts)) == len(made)
    assert not set(made.texts).intersection(*(dataset.texts for dataset in datasets.values()))
    again = new_texts(config, datasets, teacher, tokenizer)[MADE]
    assert again.texts == made.texts


def test_a_run_with_both(config: DistillConfig, more: str, tmp_path: Path, eager: None) -> None:
    config = dataclasses.replace(with_data(config, unlabelled=(more,), augment=1), baseline=True)
    results = run_distill(config)
    texts = sum(results["data"][name]["rows"] for name in ("train", more, MADE))
    assert results["data"][more]["rows"] == 3
    assert results["data"].keys() == {"train", "dev", "test", more, MADE}
    steps = -(-texts // 20)
    assert steps > 4  # as many as the labelled rows alone take
    with (tmp_path / "run" / "log.csv").open(newline="", encoding="utf-8") as file:
        log = [(row["stage"], int(row["step"])) for row in csv.DictReader(file)]
    last = dict(log)
    assert last == dict.fromkeys(("intermediate", "prediction", "baseline-intermediate", "baseline-prediction"), steps)
    assert log.count(("prediction", steps)) == 1
    assert next(step for stage, step in log if stage == "baseline-prediction") == 4  # an epoch of the labelled rows
    assert results["student"]["steps"] == 2 * steps


def test_labels_count_where_there_are_some(config: DistillConfig, eager: None) -> None:
    """A loss of labels skips the rows without; with labels alone no text is made at all."""
    half, hard = (LossSection("prediction", options={"hard_label_weight": share}) for share in (0.5, 1.0))
    results = run_distill(dataclasses.replace(with_data(config, augment=1), stages=(StageSection("both", (half,)),)))
    assert MADE in results["data"]
    assert results["student"]["accuracy"] > 0.5
    labels = dataclasses.replace(with_data(config, augment=None), stages=(StageSection("labels", (hard,)),))
    assert MADE not in run_distill(dataclasses.replace(labels, out=config.out + "-labels"))["data"]


def test_a_fine_tuning_takes_none(config: DistillConfig, more: str) -> None:
    for values, message in (
        ({"unlabelled": (more,)}, "data.unlabelled: expected none without"),
        ({"augment": 2}, "got 2"),
    ):
        with pytest.raises(InputError, match=message):
            FinetuneConfig(model=ModelSection("bert"), data=with_data(config, **values).data, out="run")


def test_the_flags(tinybert: Callable[..., Any], config: DistillConfig, more: str, tmp_path: Path) -> None:
    data = config.data
    files = ["--train", data.train, "--dev", data.dev, "--text", "text", "--label", "label", "--max-length", 16]
    command = ["explain", "--teacher", config.teacher.dir, *files, "--out", tmp_path / "run"]
    both = tinybert(*command, "--unlabelled", more, "--augment", 2)
    assert both.status == 0, both.err
    assert f"  unlabelled: [{more}]" in both.out
    assert "  augment: 2\n" in both.out
    assert f"data = {80 * 3 + 7} rows of train and texts without labels, at most" in both.out
    none = tinybert(*command, "--no-augment")
    assert "  augment: 0\n" in none.out
    missing = tinybert(*command, "--unlabelled", tmp_path / "nothing.tsv")
    assert (missing.status, "nothing.tsv" in missing.err) == (2, True)
