"""Google's own checkpoints and `tf_model.h5`: names by hand, real files, and files that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import BertPretraining, InputError, MaskedLM, SequenceClassifier, TransformerEncoder, load_tokenizer
from tinybert_tf.checkpoints.tensorflow_files import (
    TensorFlowTensors,
    hugging_face_name,
    open_checkpoint,
    open_keras_file,
)

Golden = Callable[[str], dict[str, np.ndarray]]

MODELS = {
    "classifier": SequenceClassifier,
    "pretraining": BertPretraining,
    "roberta_classifier": SequenceClassifier,
    "roberta_masked_lm": MaskedLM,
    "distilbert_classifier": SequenceClassifier,
    "distilbert_masked_lm": MaskedLM,
    "electra_classifier": SequenceClassifier,
    "electra_masked_lm": MaskedLM,
}


def inputs_of(golden: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix("inputs/"): values for key, values in golden.items() if key.startswith("inputs/")}


def assert_close(actual: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(keras.ops.convert_to_numpy(actual), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("bert/embeddings/word_embeddings", ("bert.embeddings.word_embeddings.weight", False)),
        ("bert/embeddings/word_embeddings/weight:0", ("bert.embeddings.word_embeddings.weight", False)),
        ("bert/embeddings/position_embeddings/embeddings:0", ("bert.embeddings.position_embeddings.weight", False)),
        (
            "bert/encoder/layer_11/attention/output/dense/kernel",
            ("bert.encoder.layer.11.attention.output.dense.weight", True),
        ),
        (
            "bert/encoder/layer_._0/output/LayerNorm/gamma:0",
            ("bert.encoder.layer.0.output.LayerNorm.weight", False),
        ),
        ("cls/predictions/output_bias", ("cls.predictions.bias", False)),
        ("cls/seq_relationship/output_weights", ("cls.seq_relationship.weight", False)),
        ("nsp___cls/seq_relationship/kernel:0", ("cls.seq_relationship.weight", True)),
        ("output_weights", ("classifier.weight", False)),
        ("output_bias", ("classifier.bias", False)),
        ("global_step", None),
        ("bert/pooler/dense/kernel/adam_m", None),
    ],
)
def test_names(theirs: str, ours: tuple[str, bool] | None) -> None:
    assert hugging_face_name(theirs) == ours


# === tf_model.h5 ===


@pytest.fixture
def keras_directory(golden: Golden, tmp_path: Path) -> Callable[[str], Path]:
    """Writes the `tf_model.h5` and `config.json` of a golden model."""

    def write(name: str) -> Path:
        (tmp_path / "tf_model.h5").write_bytes(golden("tf_models")[name].tobytes())
        (tmp_path / "config.json").write_text(str(golden(name)["config"]), encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("name", MODELS)
def test_models_that_transformers_saved(name: str, golden: Golden, keras_directory: Callable[[str], Path]) -> None:
    expected = golden(name)
    model = MODELS[name].from_pretrained(keras_directory(name))
    assert (model.load_report.missing, model.load_report.unused) == ((), ())
    assert_close(model(inputs_of(expected), training=False)["logits"], expected["logits"])


def test_a_truncated_keras_file(keras_directory: Callable[[str], Path]) -> None:
    path = keras_directory("classifier") / "tf_model.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"tf_model\.h5: truncated or damaged, not a readable HDF5 file") as caught:
        open_keras_file(path.parent)
    assert "\n" not in str(caught.value)


def test_values_from_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(np.ones(4, np.float32).tobytes())
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file.create_dataset("bert/model/dense/bias:0", (4,), np.float32, external=str(tmp_path / "secret"))
    with pytest.raises(InputError, match=r"bert/model/dense/bias:0 takes its values from another file"):
        open_keras_file(tmp_path)


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["bias:0"] = np.ones(4, np.float32)
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file["bert/model/dense/bias:0"] = np.zeros(4, np.float32)
        file["bert/model/pooler"] = h5py.ExternalLink("other.h5", "/")
    assert open_keras_file(tmp_path).names() == ["dense.bias"]


# === Google's format ===


def write_checkpoint(prefix: Path, variables: dict[str, np.ndarray]) -> None:
    names, values = zip(*variables.items(), strict=True)
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=list(values))


@pytest.fixture
def variables() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "bert/pooler/dense/kernel": generator.normal(size=(2, 3)).astype(np.float32),
        "bert/pooler/dense/kernel/adam_v": np.zeros((2, 3), np.float32),
        "output_weights": generator.normal(size=(5, 3)).astype(np.float32),
        "global_step": np.array(7, np.int64),
    }


def test_kernels_are_turned_and_optimizer_slots_left_out(tmp_path: Path, variables: dict[str, np.ndarray]) -> None:
    write_checkpoint(tmp_path / "model.ckpt-7", variables)
    tensors = open_checkpoint(tmp_path)
    assert tensors.path == tmp_path / "model.ckpt-7.index"
    assert tensors.names() == ["bert.pooler.dense.weight", "classifier.weight"]
    assert "bert.pooler.dense.weight" in tensors
    assert "global_step" not in tensors
    assert tensors.shape("bert.pooler.dense.weight") == (3, 2)
    np.testing.assert_array_equal(tensors.read("bert.pooler.dense.weight"), variables["bert/pooler/dense/kernel"].T)
    assert tensors.shape("classifier.weight") == (5, 3)
    np.testing.assert_array_equal(tensors.read("classifier.weight"), variables["output_weights"])


def test_several_checkpoints(tmp_path: Path, variables: dict[str, np.ndarray]) -> None:
    write_checkpoint(tmp_path / "model.ckpt-7", variables)
    write_checkpoint(tmp_path / "model.ckpt-8", variables)
    with pytest.raises(
        InputError, match=r"several TensorFlow checkpoints \(model\.ckpt-7\.index, model\.ckpt-8\.index\)"
    ):
        open_checkpoint(tmp_path)


def test_a_damaged_checkpoint(tmp_path: Path, variables: dict[str, np.ndarray]) -> None:
    write_checkpoint(tmp_path / "bert_model.ckpt", variables)
    data = tmp_path / "bert_model.ckpt.data-00000-of-00001"
    data.write_bytes(bytes(len(data.read_bytes())))
    with pytest.raises(InputError, match=r"bert_model\.ckpt\.index: bert/pooler/dense/kernel cannot be read") as caught:
        open_checkpoint(tmp_path).read("bert.pooler.dense.weight")
    assert "\n" not in str(caught.value)
    index = tmp_path / "bert_model.ckpt.index"
    index.write_bytes(index.read_bytes()[:20])
    with pytest.raises(InputError, match=r"bert_model\.ckpt\.index: damaged, or its data file is missing"):
        open_checkpoint(tmp_path)


def test_a_real_checkpoint_in_googles_format(data_dir: Path, golden: Golden) -> None:
    directory, expected = data_dir / "checkpoints" / "google_tf_toy", golden("google_tf_toy")
    model = BertPretraining.from_pretrained(directory)
    assert (model.load_report.missing, model.load_report.unused) == ((), ())
    inputs = inputs_of(expected)
    outputs = model(inputs, training=False, output_hidden_states=True)
    for layer in range(3):
        assert_close(outputs["hidden_states"][layer], expected[f"hidden_states/{layer}"])
    assert_close(outputs["logits"], expected["logits"])
    assert_close(outputs["next_sentence_logits"], expected["next_sentence_logits"])
    assert_close(MaskedLM.from_pretrained(directory)(inputs, training=False)["logits"], expected["logits"])
    encoder = TransformerEncoder.from_pretrained(directory)
    assert encoder.pooler is not None
    assert_close(encoder(inputs, training=False)["last_hidden_state"], expected["hidden_states/2"])
    assert load_tokenizer(directory).vocab_size == model.config.vocab_size


def test_a_real_checkpoint_saved_again(data_dir: Path, golden: Golden, tmp_path: Path) -> None:
    model = BertPretraining.from_pretrained(data_dir / "checkpoints" / "google_tf_toy")
    model.save_pretrained(tmp_path)
    expected = golden("google_tf_toy")
    again = BertPretraining.from_pretrained(tmp_path)
    assert_close(again(inputs_of(expected), training=False)["logits"], expected["logits"])


def test_numbers_that_are_not_finite_are_named_as_the_file_calls_them() -> None:
    name = "bert/pooler/dense/kernel"
    tensors = TensorFlowTensors(Path("model.h5"), {name: (1, 2)}, lambda name: np.array([[1, np.inf]], np.float16))
    message = r"model\.h5: tensor bert/pooler/dense/kernel: expected finite numbers, got 1 of 2 that are NaN or inf"
    with pytest.raises(InputError, match=message):
        tensors.read("bert.pooler.dense.weight")
