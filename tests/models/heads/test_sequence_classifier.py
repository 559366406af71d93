"""Task models: logits, labels, training, saving and loading."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import BertPretraining, EncoderConfig, InputError, MaskedLM, SequenceClassifier, TransformerEncoder
from tinybert_tf.labels import Labels

MakeConfig = Callable[..., EncoderConfig]
MakeInputs = Callable[..., dict[str, np.ndarray]]


class Lengths(keras.utils.PyDataset):
    """Batches of different lengths."""

    def __init__(self, batches: list[Any]) -> None:
        super().__init__()
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return (self.batches[index],)


def logits_of(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(inputs, training=False)["logits"])


@pytest.mark.parametrize(("num_labels", "seq_len"), [(1, 1), (2, 5), (5, 12)])
def test_classifier_logits(make_config: MakeConfig, make_inputs: MakeInputs, num_labels: int, seq_len: int) -> None:
    model = SequenceClassifier(make_config(), num_labels=num_labels)
    inputs = make_inputs([seq_len, 1])
    outputs = model(inputs, output_hidden_states=(1,))
    assert set(outputs) == {"last_hidden_state", "pooled_output", "hidden_states", "logits"}
    kernel, bias = model.classifier.get_weights()
    expected = np.asarray(outputs["pooled_output"]) @ kernel + bias
    assert expected.shape == (2, num_labels)
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-5)


def test_masked_lm_logits_are_tied_to_the_word_embeddings(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = MaskedLM(make_config())
    inputs = make_inputs([4, 3])
    outputs = model(inputs)
    assert set(outputs) == {"last_hidden_state", "logits"}
    assert outputs["logits"].shape == (2, 4, 50)
    table = model.encoder.embeddings.word_embeddings.embeddings
    before = logits_of(model, {**inputs, "input_ids": inputs["input_ids"] * 0})
    table.assign(np.concatenate([np.asarray(table)[:49], np.zeros((1, 16))]))
    after = logits_of(model, {**inputs, "input_ids": inputs["input_ids"] * 0})
    np.testing.assert_allclose(after[..., 49], 0.0, atol=1e-6)
    np.testing.assert_allclose(after[..., :49], before[..., :49], atol=1e-6)
    assert model.count_params() == model.encoder.count_params() + 16 * 16 + 16 + 2 * 16 + 50


@pytest.mark.parametrize("model_class", [SequenceClassifier, MaskedLM, BertPretraining])
def test_no_logits_below_the_last_layer(model_class: Any, make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    outputs = model_class(make_config())(make_inputs([3]), output_attention_scores=(1,), last_layer=1)
    assert set(outputs) == {"attention_scores"}


@pytest.mark.parametrize("model_class", [SequenceClassifier, MaskedLM, BertPretraining])
@pytest.mark.parametrize(("dtype", "tolerance"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)])
def test_mixed_precision_is_close(
    model_class: Any, make_config: MakeConfig, make_inputs: MakeInputs, dtype: str, tolerance: float
) -> None:
    model = model_class(make_config())
    mixed = model_class.from_config({**model.get_config(), "dtype": dtype})
    mixed.set_weights(model.get_weights())
    inputs = make_inputs([5, 1, 12])
    expected, actual = logits_of(model, inputs), logits_of(mixed, inputs).astype("float32")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_predict_gives_the_logits_alone(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = SequenceClassifier(make_config(), num_labels=3)
    batches = [make_inputs([5, 2]), make_inputs([12, 1]), make_inputs([1])]
    predicted = model.predict(Lengths(batches), verbose=0)
    assert set(predicted) == {"logits"}
    expected = np.concatenate([logits_of(model, batch) for batch in batches])
    np.testing.assert_allclose(predicted["logits"], expected, atol=1e-5)


def test_training_without_a_loss_is_cross_entropy(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = SequenceClassifier(make_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), num_labels=3)
    model.compile(optimizer=keras.optimizers.SGD(0.1), metrics=["accuracy"], run_eagerly=True)
    inputs, labels = make_inputs([5, 2, 7, 3]), np.array([0, 2, 1, -100])
    logits = logits_of(model, inputs)[:3].astype("float64")
    chosen = (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[np.arange(3), labels[:3]]
    evaluated = model.evaluate(inputs, labels, return_dict=True, verbose=0)
    assert evaluated["loss"] == pytest.approx(-chosen.mean(), rel=1e-5)
    history = model.fit(inputs, labels, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


# === Labels ===


def test_one_label_is_a_score(make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path) -> None:
    model = SequenceClassifier(make_config(), num_labels=1, dropout=0.0, dtype="float32")
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    inputs, scores = make_inputs([5, 3, 2]), np.array([4.5, 0.0, -1.0], "float32")
    expected = np.mean((np.asarray(model(inputs)["logits"])[:, 0] - scores) ** 2)  # and not 3 x 3 differences
    assert model.evaluate(inputs, scores, verbose=0) == pytest.approx(expected, rel=1e-5)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["problem_type"] == "regression"
    assert SequenceClassifier.from_pretrained(tmp_path).num_labels == 1
    SequenceClassifier(make_config(), num_labels=2).save_pretrained(tmp_path)
    assert "problem_type" not in json.loads((tmp_path / "config.json").read_text())


def test_label_names(make_config: MakeConfig) -> None:
    assert SequenceClassifier(make_config(), num_labels=3).id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert SequenceClassifier(make_config(), id2label=["no", "yes"]).id2label == {0: "no", 1: "yes"}
    assert SequenceClassifier(make_config(), id2label={1: "yes", 0: "no"}).id2label == {0: "no", 1: "yes"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_labels": 0}, "num_labels: expected an integer >= 1, got 0"),
        ({"num_labels": 3, "id2label": ["a", "b"]}, "id2label has 2 names for num_labels=3"),
        ({"id2label": {1: "a", 2: "b"}}, "id2label has names for 1, 2; expected one for each class from 0 to 1"),
        ({"id2label": ["a", "a"]}, "id2label names 'a' for classes 0, 1; expected different names"),
        ({"problem_type": "chess"}, "problem_type='chess'; expected one of single_label_classification, "),
    ],
)
def test_label_refusals(make_config: MakeConfig, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SequenceClassifier(make_config(), **arguments)


def test_a_classifier_needs_a_pooler(make_config: MakeConfig) -> None:
    with pytest.raises(InputError, match="SequenceClassifier needs an encoder with a pooler; this one has none"):
        SequenceClassifier(TransformerEncoder(make_config(), add_pooler=False))


# === Save and load ===


class FakeTokenizer:
    def save_pretrained(self, directory: Any) -> None:
        (Path(directory) / "vocab.txt").write_text("[PAD]\n")


@pytest.mark.parametrize("model_class", [SequenceClassifier, MaskedLM, BertPretraining])
@pytest.mark.parametrize("tokenizer", [None, FakeTokenizer()])
def test_save_and_load(
    model_class: Any, tokenizer: Any, make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path
) -> None:
    model = model_class(make_config())
    model.save_pretrained(tmp_path / "model", tokenizer=tokenizer)
    files = {file.name for file in (tmp_path / "model").iterdir()}
    assert files == {"config.json", "model.safetensors"} | ({"vocab.txt"} if tokenizer else set())
    loaded = model_class.from_pretrained(tmp_path / "model")
    assert loaded.get_config() == {**model.get_config(), "name": loaded.name}
    assert (loaded.load_report.missing, loaded.load_report.unused) == ((), ())
    for variable, original in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(variable, original)
    inputs = make_inputs([5, 2])
    np.testing.assert_array_equal(logits_of(loaded, inputs), logits_of(model, inputs))


def test_mixed_precision_models_are_saved_in_float32(make_config: MakeConfig, tmp_path: Path) -> None:
    model = SequenceClassifier(make_config(), dtype="mixed_float16")
    model.save_pretrained(tmp_path)
    loaded = SequenceClassifier.from_pretrained(tmp_path, dtype="mixed_bfloat16")
    assert loaded.dtype_policy.name == "mixed_bfloat16"
    for variable, original in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(variable, original)


def test_labels_and_dropout_travel(make_config: MakeConfig, tmp_path: Path) -> None:
    names = ["negative", "neutral", "positive"]
    SequenceClassifier(make_config(), num_labels=3, id2label=names, dropout=0.375).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["architectures"] == ["BertForSequenceClassification"]
    assert written["label2id"] == {"negative": 0, "neutral": 1, "positive": 2}
    for arguments in ({}, {"num_labels": 3}):
        loaded = SequenceClassifier.from_pretrained(tmp_path, **arguments)
        assert loaded.id2label == dict(enumerate(names))
        assert loaded.dropout.rate == 0.375


def test_what_integers_stand_for_travels(make_config: MakeConfig, tmp_path: Path) -> None:
    labels = Labels(("positive", "negative"), integers=(1, 0), positive=0)
    model = SequenceClassifier(make_config(), id2label=labels)
    model.save_pretrained(tmp_path / "model")
    model.save(tmp_path / "model.keras")
    others = SequenceClassifier.from_pretrained(tmp_path / "model"), keras.models.load_model(tmp_path / "model.keras")
    for other in (*others, model.copy(), model.with_encoder(make_config())):
        assert other.labels == labels


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id2label": {"1": "a", "2": "b"}}, "id2label has names for 1, 2; expected one for each class from 0 to 1"),
        ({"id2label": {"0": "a", "1": "a"}}, "id2label names 'a' for classes 0, 1; expected different names"),
        ({"problem_type": "chess"}, "problem_type is 'chess'; expected one of single_label_classification, "),
    ],
)
def test_a_config_that_contradicts_itself(
    values: dict[str, Any], message: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    SequenceClassifier(make_config()).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    with pytest.raises(InputError, match=f"{path}: {message}"):
        SequenceClassifier.from_pretrained(tmp_path)


def test_eleven_labels_keep_their_order(make_config: MakeConfig, tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(11)]  # as strings, "10" sorts before "2"
    SequenceClassifier(make_config(), num_labels=11, id2label=names).save_pretrained(tmp_path)
    assert list(SequenceClassifier.from_pretrained(tmp_path).id2label.values()) == names


def test_number_of_labels_from_the_weights(make_config: MakeConfig, tmp_path: Path) -> None:
    SequenceClassifier(make_config(), num_labels=4).save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["id2label"], values["label2id"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert SequenceClassifier.from_pretrained(tmp_path).id2label == {n: f"LABEL_{n}" for n in range(4)}


def test_another_number_of_labels_than_in_the_file(make_config: MakeConfig, tmp_path: Path) -> None:
    SequenceClassifier(make_config(), num_labels=4).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"classifier.* has shape .*4.*; the model expects .*2.*num_labels"):
        SequenceClassifier.from_pretrained(tmp_path, num_labels=2)


def test_a_new_head_on_an_encoder(
    make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = TransformerEncoder(make_config())
    encoder.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        model = SequenceClassifier.from_pretrained(tmp_path, num_labels=5)
    assert model.num_labels == 5
    assert model.load_report is not None
    assert model.load_report.missing == ("classifier.weight", "classifier.bias")
    assert "classifier.weight" in caplog.text
    inputs = make_inputs([4])
    np.testing.assert_array_equal(model(inputs)["pooled_output"], encoder(inputs)["pooled_output"])


def test_an_encoder_out_of_a_task_model(make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path) -> None:
    model = SequenceClassifier(make_config())
    model.save_pretrained(tmp_path)
    encoder = TransformerEncoder.from_pretrained(tmp_path)
    inputs = make_inputs([4, 2])
    np.testing.assert_array_equal(encoder(inputs)["pooled_output"], model(inputs)["pooled_output"])
    assert encoder.load_report is not None
    assert encoder.load_report.unused == ("classifier.bias", "classifier.weight")
