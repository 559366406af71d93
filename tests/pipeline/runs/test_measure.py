from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tinybert_tf import EncoderConfig, SequenceClassifier, train_wordpiece
from tinybert_tf.data.batches.encoded import EncodedTexts, write_classes, write_scores
from tinybert_tf.pipeline.runs.measure import logits_of, measure

WORDS = ["no", "yes"]


class SaysTheFirstWord(keras.Model):
    """Answers class 1 where the first word's id is `yes`."""

    def __init__(self, yes: int) -> None:
        super().__init__()
        self.yes = yes

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        is_yes = ops.cast(inputs["input_ids"][:, 1] == self.yes, "float32")
        return {"logits": ops.stack([1.0 - is_yes, is_yes], axis=-1)}


class CountsTheTokens(keras.Model):
    """Answers with the number of tokens, as a score."""

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        return {"logits": ops.cast(ops.sum(inputs["attention_mask"], axis=-1, keepdims=True), "float32")}


def test_scores_meet_their_own_labels() -> None:
    lengths = np.random.default_rng(1).integers(1, 6, 90)
    texts = ["yes " * length for length in lengths]
    data = EncodedTexts(train_wordpiece(texts, 20).encode(texts), lengths * 2.5, 0, ["LABEL_0"], write_scores)
    assert measure(CountsTheTokens(), data, "regression") == pytest.approx({"pearson": 1.0, "spearman": 1.0})


def test_answers_meet_their_own_labels() -> None:
    # Batches come longest first: answers that are not put back in file order would meet the wrong labels.
    lengths = np.random.default_rng(1).integers(1, 6, 90)
    labels = np.random.default_rng(2).integers(0, 2, 90).astype("int32")
    texts = [" ".join([WORDS[label]] * length) for label, length in zip(labels, lengths, strict=True)]
    tokenizer = train_wordpiece(texts, vocab_size=20)
    wrong = labels.copy()
    wrong[:9] = 1 - wrong[:9]
    model = SaysTheFirstWord(tokenizer.vocabulary()["yes"])
    data = EncodedTexts(tokenizer.encode(texts), wrong, 0, WORDS, write_classes)
    assert measure(model, data, "sequence_classification")["accuracy"] == 0.9


class CountsItsTraces(SequenceClassifier):
    """Python runs `call` when it is traced, and not again."""

    num_traces = 0

    def call(self, *arguments: Any, **kwargs: Any) -> Any:
        CountsItsTraces.num_traces += 1
        return super().call(*arguments, **kwargs)


def test_a_model_is_traced_once_for_all_data_sets() -> None:
    """Other numbers of rows, other lengths, labels or none."""
    tokenizer = train_wordpiece(["yes no"], vocab_size=20)
    config = EncoderConfig.from_preset("bert-tiny", vocab_size=20, num_hidden_layers=1)
    model = CountsItsTraces(config, num_labels=2, dtype="float32")
    for rows, labels in ((1, None), (9, np.zeros(9, "int32")), (130, np.ones(130, "int32")), (64, None)):
        texts = ["yes " * (1 + row % (rows % 7 + 1)) for row in range(rows)]
        data = EncodedTexts(tokenizer.encode(texts), labels, 0, WORDS, write_classes)
        assert len(logits_of(model, data.evaluation_batches())) == rows
    assert CountsItsTraces.num_traces == 1
