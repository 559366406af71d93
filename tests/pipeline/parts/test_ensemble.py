"""Several teachers in a config: what is averaged, what is the first one's, what is measured, what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import InputError, SequenceClassifier, load_tokenizer, train_wordpiece
from tinybert_tf.checkpoints.formats import weights_size
from tinybert_tf.config.schema import TeacherSection
from tinybert_tf.pipeline.parts.ensemble import as_one, load_others


@pytest.fixture(scope="module")
def second(teacher_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher of another depth, which has learned nothing."""
    keras.utils.set_random_seed(5)
    first = SequenceClassifier.from_pretrained(teacher_run)
    config = dataclasses.replace(first.config, num_hidden_layers=first.num_hidden_layers + 1)
    directory = tmp_path_factory.mktemp("second")
    SequenceClassifier(config, 2, first.label_names).save_pretrained(directory, load_tokenizer(teacher_run))
    return directory


def test_a_run(
    tinybert: Callable[..., Any],
    data_flags: list[str],
    training_flags: list[str],
    teacher_run: Path,
    second: Path,
    tmp_path: Path,
) -> None:
    given = ["--teacher", teacher_run, "--set", f"teacher.others=[{second}]", "--set", "teacher.shares=[3, 1]"]
    out = tmp_path / "run"
    command = tinybert("distill", *given, *data_flags, *training_flags, "--out", out)
    assert command.status == 0, command.err
    models = [SequenceClassifier.from_pretrained(directory) for directory in (teacher_run, second)]
    teacher = json.loads((out / "metrics.json").read_text())["teacher"]
    assert teacher["parameters"] == sum(model.count_params() for model in models)
    assert teacher["size_bytes"] == sum(map(weights_size, (teacher_run / "model", second)))
    alone = json.loads((teacher_run / "metrics.json").read_text())["model"]
    assert teacher["accuracy"] == pytest.approx(alone["accuracy"], abs=0.15)
    student = SequenceClassifier.from_pretrained(out)
    assert student.num_hidden_layers == models[0].num_hidden_layers // 2
    assert student.label_names == models[0].label_names


def test_the_mean_by_hand(teacher_run: Path, second: Path) -> None:
    section = TeacherSection(str(teacher_run), others=(str(second),), shares=(3.0, 1.0))
    first = SequenceClassifier.from_pretrained(teacher_run, dtype="float32")
    others = load_others(section, first, load_tokenizer(teacher_run), "sequence_classification", 16)
    together = as_one(section, [first, *others], "float32")
    inputs = {"input_ids": np.array([[2, 7, 8, 3]]), "attention_mask": np.ones((1, 4), np.int32)}
    one, other = (np.asarray(model(inputs)["logits"]) for model in (first, *others))
    np.testing.assert_allclose(together(inputs)["logits"], 0.75 * one + 0.25 * other, atol=1e-6)


def test_what_does_not_fit(teacher_run: Path, second: Path, opinions: Path, tmp_path: Path) -> None:
    first, tokenizer = SequenceClassifier.from_pretrained(teacher_run), load_tokenizer(teacher_run)
    other = SequenceClassifier.from_pretrained(second)

    def load(directory: Path) -> None:
        section = TeacherSection(str(teacher_run), others=(str(directory),))
        load_others(section, first, tokenizer, "sequence_classification", 16)

    other.id2label = {0: "positive", 1: "negative"}
    other.save_pretrained(tmp_path / "labels", tokenizer=tokenizer)
    with pytest.raises(InputError, match=rf"^teacher {tmp_path}/labels: its labels .* are not those of {teacher_run}"):
        load(tmp_path / "labels")
    other.id2label = {0: "negative", 1: "positive"}
    words = train_wordpiece((opinions / "train.tsv").read_text().splitlines(), vocab_size=110)
    other.save_pretrained(tmp_path / "words", tokenizer=words)
    with pytest.raises(InputError, match=rf"^teacher {tmp_path}/words: its vocabulary of \d+ tokens is not that of"):
        load(tmp_path / "words")
    with pytest.raises(InputError, match=r"shares: expected one for each of 2 teachers, got \[1.0\]"):
        TeacherSection("one", others=("two",), shares=(1.0,))
    for share in (0.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match=r"shares: expected finite numbers > 0, got "):
            TeacherSection("one", others=("two",), shares=(1.0, share))
