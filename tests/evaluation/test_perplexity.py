"""Perplexity and accuracy of masked tokens, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.data.batches.batch_source import BatchSource
from tinybert_tf.data.corpus.masking import NO_LABEL
from tinybert_tf.evaluation.perplexity import masked_lm_metrics

# Of a vocabulary of four: logits of two masked places in each row, the second one empty in all but the first row.
PROBABILITIES = np.array(
    [[[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]], [[0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1]]], "float32"
)
LABELS = np.array([[0, 3], [3, NO_LABEL]], "int32")
ALONE = np.array([[2, NO_LABEL]], "int32")  # a batch of one row, the second one of `PROBABILITIES` again
FOLLOWS = np.array([[2.0, 1.0], [0.0, 1.0]], "float32")


class Given(BatchSource):
    """Batches as they are given."""

    def __init__(self, *batches: tuple[Any, Any]) -> None:
        super().__init__(1, seed=1)
        self.batches = batches

    @property
    def num_rows(self) -> int:
        return len(self.batches)

    def _batch(self, epoch: int, step: int) -> tuple[Any, ...]:
        return self.batches[step]


def model(inputs: dict[str, np.ndarray], training: bool) -> dict[str, np.ndarray]:
    """Logits are the probabilities' logarithms and a constant, which softmax takes away."""
    assert not training
    rows = inputs["rows"]
    return {"logits": np.log(PROBABILITIES[rows]) + 5.0, "next_sentence_logits": FOLLOWS[rows]}


def test_all_masked_tokens_weigh_the_same() -> None:
    """Whatever batch they are in: four tokens with the probabilities 1/2, 1/4, 0.4 and 0.3."""
    batches = Given(({"rows": np.array([0, 1])}, LABELS), ({"rows": np.array([1])}, ALONE))
    metrics = masked_lm_metrics(model, batches)
    loss = -math.log(0.5 * 0.25 * 0.4 * 0.3) / 4
    # The likeliest: 0 is right, of four alike the first is not, 3 is right, 3 is not 2.
    assert metrics == pytest.approx(
        {"masked_tokens_loss": loss, "perplexity": math.exp(loss), "masked_tokens_accuracy": 2 / 4}, rel=1e-6
    )


def test_next_sentence_weighs_rows() -> None:
    labels = [{"masked_tokens": LABELS, "next_sentence": np.array([0, 0])}]
    labels.append({"masked_tokens": ALONE, "next_sentence": np.array([1])})
    batches = Given(({"rows": np.array([0, 1])}, labels[0]), ({"rows": np.array([1])}, labels[1]))
    metrics = masked_lm_metrics(model, batches)
    assert metrics["next_sentence_accuracy"] == pytest.approx(2 / 3)
    assert metrics["masked_tokens_accuracy"] == 2 / 4


def test_a_model_without_next_sentence() -> None:
    def masked_lm(inputs: dict[str, np.ndarray], training: bool) -> dict[str, np.ndarray]:
        return {"logits": model(inputs, training)["logits"]}

    labels = {"masked_tokens": LABELS, "next_sentence": np.array([0, 0])}
    metrics = masked_lm_metrics(masked_lm, Given(({"rows": np.array([0, 1])}, labels)))
    assert set(metrics) == {"masked_tokens_loss", "perplexity", "masked_tokens_accuracy"}


def test_a_model_that_is_sure_and_wrong() -> None:
    """Its perplexity is a number that JSON knows."""

    def wrong(inputs: dict[str, np.ndarray], training: bool) -> dict[str, np.ndarray]:
        return {"logits": np.array([[[1e4, 0.0]]], "float32")}

    metrics = masked_lm_metrics(wrong, Given(({}, np.array([[1]]))))
    assert metrics["masked_tokens_loss"] == pytest.approx(1e4)
    assert math.isfinite(metrics["perplexity"])


def test_nothing_to_predict() -> None:
    empty = np.full((1, 2), NO_LABEL)
    with pytest.raises(InputError, match="no token to predict: expected known tokens in the measured text"):
        masked_lm_metrics(model, Given(({"rows": np.array([0])}, empty)))
