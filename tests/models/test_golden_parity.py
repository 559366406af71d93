"""Tiny random BERTs: every feature of every layer equals Hugging Face's, padding included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import (
    BertPretraining,
    MaskedLM,
    QuestionAnswering,
    SequenceClassifier,
    TokenClassifier,
    TransformerEncoder,
)

Golden = Callable[[str], dict[str, np.ndarray]]
Checkpoint = Callable[[str], Path]

ENCODERS = ["encoder_gelu", "encoder_gelu_new", "encoder_relu"]
EVERYTHING = {"output_hidden_states": True, "output_attention_scores": True, "output_queries_keys_values": True}
TOLERANCE = 1e-5


def inputs_of(golden: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix("inputs/"): values for key, values in golden.items() if key.startswith("inputs/")}


def assert_close(actual: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(keras.ops.convert_to_numpy(actual), expected, rtol=0, atol=TOLERANCE)


@pytest.fixture(scope="module", params=ENCODERS)
def encoded(
    request: pytest.FixtureRequest, golden: Golden, golden_checkpoint: Checkpoint
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The golden file, and what the library makes of its weights and inputs."""
    expected = golden(request.param)
    encoder = TransformerEncoder.from_pretrained(golden_checkpoint(request.param))
    return expected, encoder(inputs_of(expected), training=False, **EVERYTHING)


@pytest.fixture(scope="module")
def encoder(golden_checkpoint: Checkpoint) -> TransformerEncoder:
    return TransformerEncoder.from_pretrained(golden_checkpoint("encoder_gelu"))


@pytest.mark.parametrize("feature", ["hidden_states", "attention_scores", "queries", "keys", "values"])
def test_feature_of_every_layer(encoded: tuple[dict[str, np.ndarray], dict[str, Any]], feature: str) -> None:
    expected, output = encoded
    layers = {int(key.split("/")[1]) for key in expected if key.startswith(f"{feature}/")}
    assert set(output[feature]) == layers
    for layer in layers:
        assert_close(output[feature][layer], expected[f"{feature}/{layer}"])


@pytest.mark.parametrize("feature", ["last_hidden_state", "pooled_output"])
def test_final_outputs(encoded: tuple[dict[str, np.ndarray], dict[str, Any]], feature: str) -> None:
    expected, output = encoded
    assert_close(output[feature], expected[feature])


def test_only_the_layers_asked_for(golden: Golden, encoder: TransformerEncoder) -> None:
    expected = golden("encoder_gelu")
    output = encoder(inputs_of(expected), training=False, output_hidden_states=(0, 2), output_attention_scores=(1, 3))
    assert set(output["hidden_states"]) == {0, 2}
    assert set(output["attention_scores"]) == {1, 3}
    assert not {"queries", "keys", "values"} & set(output)
    assert_close(output["hidden_states"][2], expected["hidden_states/2"])
    assert_close(output["attention_scores"][3], expected["attention_scores/3"])


def test_nothing_extra_by_default(golden: Golden, encoder: TransformerEncoder) -> None:
    output = encoder(inputs_of(golden("encoder_gelu")), training=False)
    assert set(output) == {"last_hidden_state", "pooled_output"}


def test_token_type_ids_are_optional(golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden("encoder_gelu_new")  # one segment only
    inputs = inputs_of(expected)
    del inputs["token_type_ids"]
    encoder = TransformerEncoder.from_pretrained(golden_checkpoint("encoder_gelu_new"))
    assert_close(encoder(inputs, training=False)["last_hidden_state"], expected["last_hidden_state"])


def test_a_row_alone_equals_the_row_in_a_padded_batch(golden: Golden, encoder: TransformerEncoder) -> None:
    expected = golden("encoder_gelu")
    inputs = inputs_of(expected)
    length = int(inputs["attention_mask"][1].sum())
    assert length < inputs["attention_mask"].shape[1]
    alone = {name: values[1:2, :length] for name, values in inputs.items()}
    output = encoder(alone, training=False)
    assert_close(output["last_hidden_state"], expected["last_hidden_state"][1:2, :length])
    assert_close(output["pooled_output"], expected["pooled_output"][1:2])


def test_classifier_logits_and_labels(golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden("classifier")
    model = SequenceClassifier.from_pretrained(golden_checkpoint("classifier"))
    assert_close(model(inputs_of(expected), training=False)["logits"], expected["logits"])
    assert model.id2label == {0: "negative", 1: "neutral", 2: "positive"}


def test_several_labels(golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden("multi_label")
    model = SequenceClassifier.from_pretrained(golden_checkpoint("multi_label"))
    assert_close(model(inputs_of(expected), training=False)["logits"], expected["logits"])
    assert (model.problem_type, model.label_names) == ("multi_label_classification", ["red", "round", "small"])


def test_token_classifier_logits_and_labels(golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden("token_classifier")
    model = TokenClassifier.from_pretrained(golden_checkpoint("token_classifier"))
    assert_close(model(inputs_of(expected), training=False)["logits"], expected["logits"])
    assert model.label_names == ["O", "B-place", "I-place"]


def test_question_answering_logits_and_loss(golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden("question_answering")
    model = QuestionAnswering.from_pretrained(golden_checkpoint("question_answering"))
    assert_close(model(inputs_of(expected), training=False)["logits"], expected["logits"])
    model.compile()
    loss = model.evaluate(inputs_of(expected), expected["labels"], verbose=0)
    assert loss == pytest.approx(float(expected["loss"]), abs=1e-5)


def test_masked_lm_logits(golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden("masked_lm")
    model = MaskedLM.from_pretrained(golden_checkpoint("masked_lm"))
    assert_close(model(inputs_of(expected), training=False)["logits"], expected["logits"])


def test_pretraining_logits_and_loss(golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden("pretraining")
    model = BertPretraining.from_pretrained(golden_checkpoint("pretraining"))
    assert (model.load_report.missing, model.load_report.unused) == ((), ())
    inputs = inputs_of(expected)
    outputs = model(inputs, training=False)
    assert_close(outputs["logits"], expected["logits"])
    assert_close(outputs["next_sentence_logits"], expected["next_sentence_logits"])
    labels = {name: expected[f"labels/{name}"] for name in ("masked_tokens", "next_sentence")}
    positions = np.argsort(labels["masked_tokens"] == -100, axis=1, kind="stable")[:, :5]  # those with a label first
    chosen = np.take_along_axis(labels["masked_tokens"], positions, axis=1)
    assert (chosen != -100).sum() == (labels["masked_tokens"] != -100).sum()
    model.compile()
    for given, masked_tokens in ((inputs, labels["masked_tokens"]), (inputs | {"masked_positions": positions}, chosen)):
        logs = model.evaluate(given, labels | {"masked_tokens": masked_tokens}, verbose=0, return_dict=True)
        assert logs["loss"] == pytest.approx(float(expected["loss"]), abs=1e-5)
