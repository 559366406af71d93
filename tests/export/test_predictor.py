"""`Predictor`: texts in, labels and scores out, in the order they came."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf.data.tokenizer import load_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.export.predictor import Predictor
from tinybert_tf.models.heads import SequenceClassifier
from tinybert_tf.models.masked_lm import MaskedLM

TEXTS = [
    "the film is good",
    "bad",
    "this story",
    "i found that the whole picture seemed awful in the end",
    "fine plot",
] * 3


@pytest.fixture(scope="module")
def predictor(teacher_run: Path) -> Predictor:
    return Predictor(teacher_run, batch_size=4)


def test_scores_are_the_softmax_of_each_text_alone(predictor: Predictor, teacher_run: Path) -> None:
    """Texts of different lengths, in batches with padding: each answer is its own text's, in the order given."""
    model = SequenceClassifier.from_pretrained(teacher_run, dtype="float32")
    tokenizer = load_tokenizer(teacher_run)
    answers = predictor(TEXTS)
    for text, answer in zip(TEXTS, answers, strict=True):
        logits = np.asarray(model(tokenizer.encode([text]).padded([0], 0))["logits"])[0].astype("float64")
        expected = np.exp(logits) / np.exp(logits).sum()
        assert list(answer["scores"]) == ["negative", "positive"]
        np.testing.assert_allclose(list(answer["scores"].values()), expected, rtol=1e-4)
        assert answer["label"] == ["negative", "positive"][int(logits.argmax())]
    assert len({answer["scores"]["positive"] for answer in answers}) == 5


def test_scores_are_plain_fractions(predictor: Predictor) -> None:
    for answer in predictor(TEXTS):
        assert sum(answer["scores"].values()) == pytest.approx(1.0, abs=1e-6)
        assert answer["scores"][answer["label"]] == max(answer["scores"].values())
        assert json.loads(json.dumps(answer)) == answer


def test_one_text_many_and_none(predictor: Predictor) -> None:
    assert predictor("bad")["scores"] == pytest.approx(predictor(["bad"])[0]["scores"], rel=1e-5)
    assert predictor([]) == []
    assert len(predictor(("bad", "good"))) == 2


def test_long_texts_are_cut(predictor: Predictor, teacher_run: Path) -> None:
    long = "good " * 500
    assert predictor(long)["scores"] == pytest.approx(predictor("good " * 22)["scores"], rel=1e-5)
    short = Predictor(teacher_run, max_length=3)
    assert short("good bad bad")["scores"] == pytest.approx(predictor("good")["scores"], rel=1e-5)


def test_pairs_are_read_as_pairs(predictor: Predictor, teacher_run: Path) -> None:
    pairs = [("the film is good", "bad"), ("bad", "the film is good"), ["fine plot", "this story"]]
    model, tokenizer = SequenceClassifier.from_pretrained(teacher_run, dtype="float32"), load_tokenizer(teacher_run)
    for pair, answer in zip(pairs, predictor([*pairs, "bad"]), strict=False):
        inputs = tokenizer.encode([tuple(pair)]).padded([0], 0)
        assert inputs["token_type_ids"].max() == 1
        logits = np.asarray(model(inputs)["logits"])[0].astype("float64")
        np.testing.assert_allclose(list(answer["scores"].values()), np.exp(logits) / np.exp(logits).sum(), rtol=1e-4)


def test_a_score(predictor: Predictor, tmp_path: Path) -> None:
    model = SequenceClassifier(predictor.runner.model.encoder, num_labels=1, dtype="float32")
    model.classifier.bias.assign([3.0])
    model.save_pretrained(tmp_path, tokenizer=predictor.tokenizer)
    inputs = predictor.tokenizer.encode(["good"]).padded([0], 0)
    answers = Predictor(tmp_path)(["bad plot", "good"])
    assert [list(answer) for answer in answers] == [["score"], ["score"]]
    assert answers[1]["score"] == pytest.approx(float(np.asarray(model(inputs)["logits"])[0, 0]), rel=1e-5)


@pytest.mark.parametrize("texts", ["", "  ", ["good", ""], ["good", None], [7], [("a",)], [("a", " ")], [("a",) * 3]])
def test_what_is_no_text(predictor: Predictor, texts: Any) -> None:
    number = 2 if isinstance(texts, list) and len(texts) == 2 else 1
    with pytest.raises(InputError, match=rf"text {number} is .*; a text that is not empty, or a pair of them, is w"):
        predictor(texts)


def test_directories_that_cannot_answer(
    predictor: Predictor, teacher_run: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no such directory"):
        Predictor(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no sequence_classification head"):
        Predictor(encoder_dir)
    with pytest.raises(InputError, match=r"max_length=25: .* has max_position_embeddings=24"):
        Predictor(teacher_run, max_length=25)
    with pytest.raises(InputError, match="max_length=0 leaves no room"):
        Predictor(teacher_run, max_length=0)("good")
    MaskedLM(predictor.runner.model.encoder.config, dtype="float32").save_pretrained(
        tmp_path / "lm", predictor.tokenizer
    )
    with pytest.raises(InputError, match="no sequence_classification head"):
        Predictor(tmp_path / "lm")
    for file in ("config.json", "model.safetensors"):
        shutil.copy(teacher_run / "model" / file, tmp_path)
    with pytest.raises(InputError, match="no tokenizer here"):
        Predictor(tmp_path)
