"""Every public model, quantized and not, is the same after Keras has saved, cloned or copied it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import (
    BertPretraining,
    EncoderConfig,
    MaskedLM,
    QuestionAnswering,
    SequenceClassifier,
    TokenClassifier,
    TransformerEncoder,
    bert_optimizer,
    quantize_aware,
    set_quantization,
)
from tinybert_tf.models.pretrained import PretrainedModel

MODELS = (TransformerEncoder, SequenceClassifier, TokenClassifier, QuestionAnswering, MaskedLM, BertPretraining)
CONFIG = EncoderConfig(
    vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
    max_position_embeddings=8, initializer_range=0.3,
)  # fmt: skip
IDS = np.random.default_rng(0).integers(1, 40, (6, 5)).astype("int32")
INPUTS = {"input_ids": IDS, "attention_mask": np.ones_like(IDS), "token_type_ids": IDS % 2}


@pytest.fixture(scope="module", params=[(cls, bits) for cls in MODELS for bits in (False, True)], ids=str)
def model(request: pytest.FixtureRequest) -> PretrainedModel:
    """A model of one kind, quantized or not."""
    cls, is_quantized = request.param
    keras.utils.set_random_seed(1)
    made = cls(CONFIG)
    return quantize_aware(made, [INPUTS]) if is_quantized else made


def assert_same(found: Any, model: PretrainedModel) -> None:
    """The same answers, and as many variables; and the fixture would notice a quantization that was lost."""
    assert found is not model
    ours, theirs = (keras.tree.flatten(each(INPUTS)) for each in (found, model))
    for values, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-6)
    assert found.fake_quantizer == model.fake_quantizer
    if model.is_quantized:
        floats = keras.tree.flatten(set_quantization(model.copy(), None)(INPUTS))
        assert max(np.abs(exact - values).max() for exact, values in zip(floats, theirs, strict=True)) > 1e-3


def test_saved_and_loaded(model: PretrainedModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.keras")
    assert_same(keras.models.load_model(tmp_path / "model.keras"), model)


def test_cloned(model: PretrainedModel) -> None:
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert_same(clone, model)


def test_made_from_its_config(model: PretrainedModel) -> None:
    made = type(model).from_config(model.get_config())
    made.set_weights(model.get_weights())
    assert_same(made, model)
    assert made.variables_by_name().keys() == model.variables_by_name().keys()


def test_copied(model: PretrainedModel) -> None:
    assert_same(model.copy(), model)


def test_weights_alone(model: PretrainedModel, tmp_path: Path) -> None:
    model.save_weights(tmp_path / "model.weights.h5")
    made = type(model).from_config(model.get_config())
    made.load_weights(tmp_path / "model.weights.h5")
    assert_same(made, model)


def test_a_compiled_one_goes_on_training(tmp_path: Path) -> None:
    """With its loss, its optimizer's state and the parts of a batch."""
    labels = np.array([0, 1, 0, 1, 1, 0])
    model = quantize_aware(SequenceClassifier(CONFIG, dropout=0.0), [INPUTS])
    model.compile(optimizer=bert_optimizer(learning_rate=0.01, total_steps=8), accumulation_steps=2, run_eagerly=True)
    model.fit(INPUTS, labels, epochs=1, verbose=0, batch_size=6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.accumulation_steps == 2
    assert int(loaded.optimizer.iterations) == 1
    assert loaded.evaluate(INPUTS, labels, verbose=0) == pytest.approx(model.evaluate(INPUTS, labels, verbose=0))


def test_a_quantized_encoder_below_a_new_head(tmp_path: Path) -> None:
    """What rounds is known layer by layer."""
    encoder = quantize_aware(TransformerEncoder(CONFIG), [INPUTS])
    model = SequenceClassifier(encoder)
    assert model.is_quantized
    assert_same(model.copy(), model)
    model.save_pretrained(tmp_path)
    assert_same(SequenceClassifier.from_pretrained(tmp_path), model)


def test_a_summary_knows_every_shape(model: PretrainedModel) -> None:
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "(None, None, 8)" in "\n".join(lines)
    assert " ? " not in "\n".join(lines)
