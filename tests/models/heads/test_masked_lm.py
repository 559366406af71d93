"""Masked language models: logits at the masked places alone, BERT's two heads, what training minimises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import BertPretraining, EncoderConfig, InputError, MaskedLM, SequenceClassifier, TransformerEncoder

MakeConfig = Callable[..., EncoderConfig]
MakeInputs = Callable[..., dict[str, np.ndarray]]

POSITIONS = np.array([[1, 3, 0], [2, 0, 0]], np.int32)
HEAD = [
    "transform.dense.weight",
    "transform.dense.bias",
    "transform.LayerNorm.weight",
    "transform.LayerNorm.bias",
    "bias",
]
TOKENS = np.array([[7, 11, -100], [13, -100, -100]], np.int32)  # of two rows of 5 and 3 tokens


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the labels that are not -100, in float64."""
    rows, labels = np.float64(logits)[labels != -100], labels[labels != -100]
    normaliser = np.log(np.exp(rows).sum(axis=-1))
    return float((normaliser - rows[np.arange(len(rows)), labels]).mean())


@pytest.mark.parametrize("model_class", [MaskedLM, BertPretraining])
def test_masked_positions_give_the_same_logits(
    model_class: Any, make_config: MakeConfig, make_inputs: MakeInputs
) -> None:
    model = model_class(make_config())
    inputs = make_inputs([5, 3])
    everywhere = np.asarray(model(inputs)["logits"])
    logits = np.asarray(model({**inputs, "masked_positions": POSITIONS})["logits"])
    assert logits.shape == (2, 3, 50)
    np.testing.assert_allclose(logits, np.take_along_axis(everywhere, POSITIONS[:, :, None], axis=1), atol=1e-6)


@pytest.mark.parametrize("num_hidden_layers", [1, 3])
def test_the_last_layer_at_masked_positions_alone(
    num_hidden_layers: int, make_config: MakeConfig, make_inputs: MakeInputs
) -> None:
    model = MaskedLM(make_config(num_hidden_layers=num_hidden_layers))
    inputs = {**make_inputs([5, 3]), "masked_positions": POSITIONS}
    decoded = np.asarray(model.decoded_at(inputs))
    assert decoded.shape == (2, 3, model.config.hidden_size)
    logits = decoded @ np.asarray(model.word_embeddings).T + np.asarray(model.decoder.bias)
    np.testing.assert_allclose(logits, np.asarray(model(inputs)["logits"]), atol=1e-6)


def test_masked_positions_give_the_same_loss_and_gradients(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    """One step of SGD on the chosen places and one on all of them end with equal weights."""
    inputs = make_inputs([5, 3])
    everywhere = np.full((2, 5), -100, np.int32)
    everywhere[0, 1], everywhere[0, 3], everywhere[1, 2] = 7, 11, 13
    losses, weights = [], []
    for given, labels in (({**inputs, "masked_positions": POSITIONS}, TOKENS), (inputs, everywhere)):
        keras.utils.set_random_seed(1)
        model = MaskedLM(make_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
        expected = cross_entropy(np.asarray(model(inputs)["logits"]), everywhere)
        model.compile(keras.optimizers.SGD(0.1))
        losses.append(model.fit(given, labels, verbose=0).history["loss"][0])
        assert losses[-1] == pytest.approx(expected, abs=1e-5)
        weights.append(model.get_weights())
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_pretraining_logs_both_losses(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = BertPretraining(make_config())
    inputs = {**make_inputs([5, 3]), "masked_positions": POSITIONS}
    labels = {"masked_tokens": TOKENS, "next_sentence": np.array([1, 0], np.int32)}
    outputs = {name: np.asarray(value) for name, value in model(inputs, training=False).items()}
    masked = cross_entropy(outputs["logits"], TOKENS)
    follows = cross_entropy(outputs["next_sentence_logits"], labels["next_sentence"])
    model.compile(keras.optimizers.SGD(0.1))
    logs = model.evaluate(inputs, labels, verbose=0, return_dict=True)
    assert logs == pytest.approx(
        {"loss": masked + follows, "masked_tokens_loss": masked, "next_sentence_loss": follows}, abs=1e-5
    )
    assert set(model.fit(inputs, labels, verbose=0).history) == set(logs)
    assert set(model.predict(inputs, verbose=0)) == {"logits", "next_sentence_logits"}


def test_a_frozen_encoder_stays_and_drops_nothing(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = MaskedLM(make_config(hidden_dropout_prob=0.5))
    inputs = {**make_inputs([5, 3]), "masked_positions": POSITIONS}
    assert np.any(np.asarray(model(inputs, training=True)["logits"]) != np.asarray(model(inputs)["logits"]))
    model.encoder.trainable = False
    np.testing.assert_array_equal(model(inputs, training=True)["logits"], model(inputs, training=False)["logits"])
    before = [np.asarray(variable) for variable in model.encoder.weights]
    model.compile(keras.optimizers.SGD(0.1))
    kernel = np.asarray(model.transform.kernel)
    model.fit(inputs, TOKENS, verbose=0)
    assert np.any(np.asarray(model.transform.kernel) != kernel)
    for variable, value in zip(model.encoder.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize(
    ("loaded_as", "missing"),
    [(MaskedLM, ()), (TransformerEncoder, ()), (SequenceClassifier, ("classifier.weight", "classifier.bias"))],
)
def test_a_pretrained_model_loads_as_any_other(
    loaded_as: Any, missing: tuple[str, ...], make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path
) -> None:
    model = BertPretraining(make_config())
    model.save_pretrained(tmp_path)
    loaded = loaded_as.from_pretrained(tmp_path)
    assert loaded.load_report.missing == missing
    inputs = make_inputs([5, 3])
    expected, actual = model(inputs), loaded(inputs)
    for name in {"last_hidden_state", "pooled_output", "logits"} - ({"logits"} if missing else set()):
        if name in actual:
            np.testing.assert_array_equal(actual[name], expected[name])


@pytest.mark.parametrize(
    ("saved", "missing"),
    [
        (MaskedLM, ["pooler.dense.weight", "pooler.dense.bias"]),
        (TransformerEncoder, [f"cls.predictions.{name}" for name in HEAD]),
    ],
)
def test_pretraining_starts_from_any_other(
    saved: Any, missing: list[str], make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path
) -> None:
    model = saved(make_config())
    model.save_pretrained(tmp_path)
    loaded = BertPretraining.from_pretrained(tmp_path)
    assert loaded.load_report is not None
    assert [*loaded.load_report.missing] == [*missing, "cls.seq_relationship.weight", "cls.seq_relationship.bias"]
    inputs = make_inputs([5, 3])
    expected, actual = model(inputs), loaded(inputs)
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name])


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (TOKENS, "one array"),
        ({"masked_tokens": TOKENS}, "a dict of masked_tokens"),
        (None, "nothing"),
    ],
)
def test_pretraining_wants_both_labels(
    labels: Any, found: str, make_config: MakeConfig, make_inputs: MakeInputs
) -> None:
    model = BertPretraining(make_config())
    model.compile()
    with pytest.raises(InputError, match=f"labels: expected a dict of masked_tokens and next_sentence, .* got {found}"):
        model.fit({**make_inputs([5, 3]), "masked_positions": POSITIONS}, labels, verbose=0)


def test_a_masked_lm_learns_from_either_labels(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    """The labels of `PretrainingBatches` are an array, or with next-sentence prediction a dict."""
    model = MaskedLM(make_config())
    model.compile(metrics=["accuracy"])
    inputs = {**make_inputs([5, 3]), "masked_positions": POSITIONS}
    both = {"masked_tokens": TOKENS, "next_sentence": np.array([1, 0], np.int32)}
    logs = [model.evaluate(inputs, labels, verbose=0, return_dict=True) for labels in (TOKENS, both)]
    assert logs[0] == logs[1]
    assert logs[0]["loss"] == pytest.approx(cross_entropy(np.asarray(model(inputs)["logits"]), TOKENS), abs=1e-5)


def test_a_masked_lm_has_no_pooler_to_pretrain(make_config: MakeConfig, tmp_path: Path) -> None:
    MaskedLM(make_config()).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="needs an encoder with a pooler"):
        BertPretraining(TransformerEncoder.from_pretrained(tmp_path))
