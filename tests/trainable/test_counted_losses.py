"""Task models divide once: by the labels of the whole batch; labels, weights and regularizers by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, InputError, SequenceClassifier, TokenClassifier
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts

CONFIG = EncoderConfig(
    vocab_size=20,
    hidden_size=4,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=6,
    max_position_embeddings=12,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
LOG_2 = np.log(2.0)


def even(cls: Any = SequenceClassifier, **arguments: Any) -> Any:
    """A model whose logits are 0."""
    model = cls(CONFIG, dtype="float32", **arguments)
    model.classifier.kernel.assign(np.zeros(model.classifier.kernel.shape))
    return model


def inputs(rows: int, length: int = 10) -> dict[str, np.ndarray]:
    ids = np.ones((rows, length), "int32")
    return {"input_ids": ids, "attention_mask": ids, "token_type_ids": 0 * ids}


def make_batches(labels: np.ndarray, batch_size: int = 50) -> Batches:
    ones = np.ones(3 * len(labels), np.int32)
    tokens = TokenizedTexts(ones, np.zeros(len(ones), np.int8), np.arange(0, len(ones) + 1, 3))
    return Batches(tokens, labels, batch_size=batch_size)


def frozen(model: Any, **options: Any) -> Any:
    model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True, **options)
    return model


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("given", [None, "keras"])
def test_a_label_counts_alike_in_every_part(parts: int, given: str | None) -> None:
    """One row with one label, three rows with nine: each label's gradient of the bias is a 28th."""
    model = even(TokenClassifier, num_labels=3)
    labels = np.full((4, 10), -100, "int32")
    labels[0, 0] = 0
    labels[1:, :9] = np.arange(27).reshape(3, 9) % 3
    loss = None if given is None else keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss, accumulation_steps=parts, run_eagerly=True)
    (logged,) = model.fit(inputs(4), labels, batch_size=4, verbose=0).history["loss"]
    shares = np.array([10, 9, 9]) / 28
    np.testing.assert_allclose(model.classifier.bias, shares - 1 / 3, atol=1e-6)
    assert logged == pytest.approx(np.log(3.0), rel=1e-5)


@pytest.mark.parametrize("parts", [1, 4])
def test_a_penalty_counts_once_a_step(parts: int) -> None:
    model = even()
    model.classifier.bias.assign([1.0, 1.0])
    model.classifier.bias.regularizer = keras.regularizers.L2(0.25)
    model.compile(optimizer=keras.optimizers.SGD(1.0), accumulation_steps=parts, run_eagerly=True)
    logged = model.train_on_batch(inputs(4), np.array([0, 1, 0, 1]), return_dict=True)
    np.testing.assert_allclose(model.classifier.bias, [0.5, 0.5], rtol=1e-6)
    assert logged["loss"] == pytest.approx(LOG_2 + 0.5, rel=1e-5)


def test_a_failed_trace_leaves_nothing_behind() -> None:
    model = even()
    model.compile(optimizer=keras.optimizers.SGD(1.0), accumulation_steps=2)
    with pytest.raises(InputError, match="labels: found shape"):
        model.train_on_batch(inputs(4), np.zeros((4, 2), "int32"))
    logged = model.train_on_batch(inputs(4), np.array([0, 1, 0, 1]), return_dict=True)
    assert logged["loss"] == pytest.approx(LOG_2, rel=1e-5)


def test_labels_of_one_column_are_labels() -> None:
    model = frozen(even(num_labels=3))
    model.classifier.bias.assign([0.0, 1.0, 2.0])
    labels = np.array([0, 1, 2, 2])
    plain, column = (
        model.evaluate(inputs(4), each, return_dict=True, verbose=0)["loss"] for each in (labels, labels[:, None])
    )
    expected = np.log(np.exp([0, 1, 2]).sum()) - labels.mean()
    assert plain == pytest.approx(expected, rel=1e-5)
    assert column == pytest.approx(expected, rel=1e-5)


def test_a_class_that_is_not_there() -> None:
    model = frozen(even())
    for data in ((inputs(3), np.array([0, 1, 2])), (make_batches(np.array([0, 1, 2])),)):
        with pytest.raises(InputError, match=r"labels: found 2 .*number 2\), expected integers below 2"):
            model.fit(*data, verbose=0)
    logits = model(inputs(3))
    assert np.isnan(model.compute_loss(inputs(3), np.array([0, 1, 2]), logits))


@pytest.mark.parametrize("kind", ["arrays", "batches"])
@pytest.mark.parametrize("asked", ["class_weight", "sample_weight"])
def test_weights_of_rows(asked: str, kind: str) -> None:
    labels = np.repeat([0, 1], [30, 10]).astype("int32")
    weights = {0: 1.0, 1: 3.0}
    given = weights if asked == "class_weight" else np.array([weights[label] for label in labels])
    data = (inputs(40), labels) if kind == "arrays" else (make_batches(labels, batch_size=7),)
    history = frozen(even()).fit(*data, verbose=0, **{asked: given}).history
    assert history["loss"][0] == pytest.approx(1.0397, abs=1e-4)  # log 2 times 60 over 40


def test_weights_that_mean_nothing() -> None:
    score = frozen(even(num_labels=1))
    with pytest.raises(InputError, match="class_weight: found labels that are not classes"):
        score.fit(make_batches(np.zeros(4, "float32")), class_weight={0: 2.0}, verbose=0)
    with pytest.raises(InputError, match=r"sample_weight: found shape \(3,\), expected \(4,\)"):
        score.fit(make_batches(np.zeros(4, "float32")), sample_weight=np.ones(3), verbose=0)


def test_one_class_teaches_nothing() -> None:
    model = frozen(TokenClassifier(CONFIG, num_labels=1))
    with pytest.raises(InputError, match="one class always has the probability 1"):
        model.train_on_batch(inputs(2), np.zeros((2, 10), "int32"))


def test_a_sum_is_not_divided() -> None:
    total = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    labels = np.array([0, 1, 1, 0])
    assert frozen(even(), loss=total).train_on_batch(inputs(4), labels) == pytest.approx(4 * LOG_2, rel=1e-5)
    with pytest.raises(InputError, match="reduction='sum' and accumulation_steps=2"):
        frozen(even(), loss=total, accumulation_steps=2)
