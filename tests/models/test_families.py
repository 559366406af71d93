"""Tiny random RoBERTas, DistilBERTs and ELECTRAs: every feature and every head's logits equal Hugging Face's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from tinybert_tf import (
    BertPretraining,
    EncoderConfig,
    InputError,
    MaskedLM,
    SequenceClassifier,
    TransformerEncoder,
    cut_student,
)
from tinybert_tf.models.heads.tasks import load_for_labels
from tinybert_tf.models.limits import check_limits

Golden = Callable[[str], dict[str, np.ndarray]]
Checkpoint = Callable[[str], Path]

FAMILIES = ["roberta", "distilbert", "electra"]
FEATURES = ["hidden_states", "attention_scores", "queries", "keys", "values"]
EVERYTHING = {"output_hidden_states": True, "output_attention_scores": True, "output_queries_keys_values": True}
TOLERANCE = 1e-5


def inputs_of(golden: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix("inputs/"): values for key, values in golden.items() if key.startswith("inputs/")}


def assert_close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(keras.ops.convert_to_numpy(actual), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_features_of_every_layer_and_logits(family: str, golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden(f"{family}_classifier")
    model = SequenceClassifier.from_pretrained(golden_checkpoint(f"{family}_classifier"))
    assert (model.load_report.missing, model.load_report.unused) == ((), ())
    assert model.has_loaded_head
    assert model.id2label == {0: "negative", 1: "neutral", 2: "positive"}
    output = model(inputs_of(expected), training=False, **EVERYTHING)
    assert_close(output["logits"], expected["logits"])
    for feature in FEATURES:
        layers = {int(key.split("/")[1]) for key in expected if key.startswith(f"{feature}/")}
        assert set(output[feature]) == layers
        for layer in layers:
            assert_close(output[feature][layer], expected[f"{feature}/{layer}"])


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_lm_logits(family: str, golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden(f"{family}_masked_lm")
    model = MaskedLM.from_pretrained(golden_checkpoint(f"{family}_masked_lm"))
    assert (model.load_report.missing, model.load_report.unused) == ((), ())
    inputs = inputs_of(expected)
    assert_close(model(inputs, training=False)["logits"], expected["logits"])
    positions = np.array([[3, 1], [0, 5], [1, 1]], "int32")
    chosen = np.take_along_axis(expected["logits"], positions[:, :, None], axis=1)
    assert_close(model({**inputs, "masked_positions": positions}, training=False)["logits"], chosen)
    decoded = model.decoded_at({**inputs, "masked_positions": positions})
    assert_close(model.decoder(decoded, model.word_embeddings), chosen)


def test_a_roberta_row_alone_equals_the_row_in_a_padded_batch(golden: Golden, golden_checkpoint: Checkpoint) -> None:
    expected = golden("roberta_classifier")
    model = SequenceClassifier.from_pretrained(golden_checkpoint("roberta_classifier"))
    inputs = inputs_of(expected)
    length = int(inputs["attention_mask"][1].sum())
    assert length < inputs["attention_mask"].shape[1]
    alone = {name: values[1:2, :length] for name, values in inputs.items()}
    assert_close(model(alone, training=False)["logits"], expected["logits"][1:2])


def test_roberta_positions_leave_room_for_padding(golden_checkpoint: Checkpoint) -> None:
    encoder = TransformerEncoder.from_pretrained(golden_checkpoint("roberta_classifier"))
    assert (encoder.config.max_position_embeddings, encoder.config.max_tokens) == (14, 12)
    ids = np.full((1, 12), 5, "int32")
    encoder({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    with pytest.raises(InputError, match=r"a sequence of 13 tokens; .*=14, and keeps the first 2 for padding"):
        encoder({"input_ids": np.full((1, 13), 5, "int32"), "attention_mask": np.ones((1, 13), "int32")})
    with pytest.raises(InputError, match=r"max_length=13: roberta has .*=14; expected at most 12 tokens"):
        check_limits(encoder.config, 41, 13, "roberta")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_without_model_type(family: str, golden_checkpoint: Checkpoint) -> None:
    directory = golden_checkpoint(f"{family}_classifier")
    config = json.loads((directory / "config.json").read_text())
    del config["model_type"]
    (directory / "config.json").write_text(json.dumps(config))
    assert SequenceClassifier.from_pretrained(directory).config.model_type == family


def test_a_checkpoint_of_no_known_family(golden_checkpoint: Checkpoint) -> None:
    directory = golden_checkpoint("roberta_classifier")
    (directory / "config.json").write_text('{"hidden_size": 16}')
    save_file({"wte.weight": np.ones((2, 2), np.float32)}, directory / "model.safetensors")
    with pytest.raises(
        InputError, match=r"model\.safetensors: no known family; .*wte\.weight; expected one of bert, ro"
    ):
        SequenceClassifier.from_pretrained(directory)


def test_an_unknown_model_type_is_said_before_the_weights_are_opened(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "hidden_size": 16}')
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    accepted = r"config\.json: model_type='gpt2': expected one of bert, roberta, distilbert, electra"
    with pytest.raises(InputError, match=accepted):
        SequenceClassifier.from_pretrained(tmp_path)


@pytest.mark.parametrize("family", ["distilbert", "electra"])
def test_no_pooler_and_no_next_sentence(family: str, golden_checkpoint: Checkpoint) -> None:
    directory = golden_checkpoint(f"{family}_classifier")
    encoder = TransformerEncoder.from_pretrained(directory)
    assert encoder.pooler is None
    assert TransformerEncoder(encoder.config).pooler is None
    with pytest.raises(InputError, match=f"add_pooler=True: a model of type {family} has no pooler"):
        TransformerEncoder(encoder.config, add_pooler=True)
    with pytest.raises(InputError, match=f"BertPretraining: a model of type {family} has no next-sentence head"):
        BertPretraining.from_pretrained(directory)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_head_on_a_loaded_encoder(family: str, golden_checkpoint: Checkpoint) -> None:
    model = SequenceClassifier.from_pretrained(golden_checkpoint(f"{family}_masked_lm"), num_labels=5)
    assert not model.has_loaded_head
    assert len(model.load_report.missing) == 4  # the head's two dense layers


def test_dropout_of_the_head_is_the_family_s(golden_checkpoint: Checkpoint) -> None:
    distilbert = SequenceClassifier.from_pretrained(golden_checkpoint("distilbert_classifier"))
    assert distilbert.dropout.rate == distilbert.directory_config()["seq_classif_dropout"] == 0.2
    config = EncoderConfig(model_type="roberta", hidden_size=24, hidden_dropout_prob=0.3, vocab_size=9)
    assert SequenceClassifier(config).dropout.rate == 0.3


@pytest.mark.parametrize("family", FAMILIES)
def test_from_config_builds_the_same_shape(family: str, golden_checkpoint: Checkpoint) -> None:
    model = SequenceClassifier.from_pretrained(golden_checkpoint(f"{family}_classifier"))
    copy = SequenceClassifier.from_config(model.get_config())
    shapes = {name: tuple(variable.shape) for name, variable in model.variables_by_name().items()}
    assert {name: tuple(variable.shape) for name, variable in copy.variables_by_name().items()} == shapes


# === TinyBERT's own directories: no model_type, a projection beside the weights, a ReLU before the classifier ===


@pytest.fixture
def authors_directory(golden: Golden, golden_checkpoint: Checkpoint) -> Path:
    """The golden classifier as the authors' code writes one."""
    directory, expected = golden_checkpoint("classifier"), golden("classifier")
    config = json.loads(str(expected["config"]))
    (directory / "config.json").write_text(
        json.dumps({name: value for name, value in config.items() if name not in ("model_type", "architectures")})
    )
    weights = {key.removeprefix("weights/"): expected[key] for key in expected if key.startswith("weights/")}
    weights |= {"fit_dense.weight": np.ones((24, 16), np.float32), "fit_dense.bias": np.ones(24, np.float32)}
    save_file(weights, directory / "model.safetensors")
    return directory


def test_a_classifier_of_tinyberts_authors(golden: Golden, authors_directory: Path) -> None:
    expected = golden("classifier")
    model = SequenceClassifier.from_pretrained(authors_directory)
    assert model.load_report.unused == ("fit_dense.bias", "fit_dense.weight")
    outputs = model(inputs_of(expected), training=False)
    pooled = keras.ops.convert_to_numpy(outputs["pooled_output"])
    assert (pooled < 0).any()
    wanted = np.maximum(pooled, 0) @ expected["weights/classifier.weight"].T + expected["weights/classifier.bias"]
    assert_close(outputs["logits"], wanted)
    copy = SequenceClassifier.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    assert_close(copy(inputs_of(expected), training=False)["logits"], wanted)


def test_what_transformers_has_no_class_for_is_not_saved(authors_directory: Path, tmp_path: Path) -> None:
    model = SequenceClassifier.from_pretrained(authors_directory)
    with pytest.raises(InputError, match="cannot be saved: no class of transformers has its ReLU"):
        model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    model.encoder.save_pretrained(tmp_path / "encoder")
    again = load_for_labels(str(authors_directory), "sequence_classification", ["negative", "neutral", "positive"])
    assert not again.relu  # a new head, for fine-tuning ends with saving


def test_an_encoder_of_tinyberts_authors(golden: Golden, authors_directory: Path) -> None:
    expected = golden("classifier")
    encoder = TransformerEncoder.from_pretrained(authors_directory)
    kernel, bias = (expected[f"weights/classifier.{name}"] for name in ("weight", "bias"))
    pooled = keras.ops.convert_to_numpy(encoder(inputs_of(expected), training=False)["pooled_output"])
    assert_close(pooled @ kernel.T + bias, expected["logits"])


def test_a_student_is_cut_from_a_classifier_of_the_authors(golden: Golden, authors_directory: Path) -> None:
    teacher = SequenceClassifier.from_pretrained(authors_directory)
    student = SequenceClassifier(teacher.config, 3)
    generator = np.random.default_rng(0)
    ids = generator.integers(1, 61, (300, 9)).astype("int32")
    batches = [{"input_ids": ids, "attention_mask": np.ones_like(ids)}]
    cut_student(student, teacher, [(layer, layer) for layer in (1, 2)], batches)
    wanted, found = (model(batches[0], training=False)["logits"] for model in (teacher, student))
    assert np.corrcoef(np.ravel(wanted), np.ravel(found))[0, 1] > 0.98
