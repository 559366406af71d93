"""A model that computes with integers' numbers: trained, saved, and the same in LiteRT's integers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import (
    AttentionLoss,
    Distiller,
    EmbeddingLoss,
    HiddenStateLoss,
    InputError,
    MagnitudePruning,
    PredictionLoss,
    SequenceClassifier,
    Teacher,
    prune_structure,
    quantize_aware,
    set_quantization,
)
from tinybert_tf.distillation.cache.fingerprint import teacher_fingerprint
from tinybert_tf.models.quantization.state import FakeQuantization, frozen

Inputs = dict[str, np.ndarray]
Make = Callable[..., SequenceClassifier]


def logits(model: Any, inputs: Inputs) -> np.ndarray:
    return np.asarray(model(inputs, training=False)["logits"], np.float32)


def test_answers_are_rounded_ones(make_model: Make, inputs: Inputs) -> None:
    model = make_model()
    exact = logits(model, inputs)
    assert quantize_aware(model, [inputs]) is model
    found = logits(model, inputs)
    difference = np.abs(found - exact)
    assert 0 < difference.mean() < 0.05 * exact.std()
    np.testing.assert_allclose(model.predict(inputs, verbose=0)["logits"], found, atol=1e-5)
    set_quantization(model, None)
    np.testing.assert_array_equal(logits(model, inputs), exact)
    np.testing.assert_allclose(model.predict(inputs, verbose=0)["logits"], exact, atol=1e-5)


def test_all_features_are_there(make_model: Make, inputs: Inputs) -> None:
    model = quantize_aware(make_model(), [inputs])
    asked = {
        "output_hidden_states": (0, 2),
        "output_attention_scores": (1,),
        "output_queries_keys_values": (2,),
    }
    rounded = model(inputs, **asked)
    exact = set_quantization(model, None)(inputs, **asked)
    assert rounded.keys() == exact.keys()
    for ours, theirs in zip(keras.tree.flatten(rounded), keras.tree.flatten(exact), strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).mean() < 0.1 * np.std(theirs)


def test_queries_are_multiples_of_their_channels_steps(make_model: Make, inputs: Inputs) -> None:
    model = quantize_aware(make_model(), [inputs])
    queries = np.asarray(model(inputs, output_queries_keys_values=(1,))["queries"][1])
    steps = np.reshape(model.fake_quantizer.limits["layer_1/attention/query/output"], (4, 1, 4)) / 127
    np.testing.assert_allclose(queries / steps, np.round(queries / steps), atol=1e-3)
    assert np.abs(np.round(queries / steps)).max() <= 128


def test_a_distiller_trains_it(make_model: Make, inputs: Inputs, labels: np.ndarray) -> None:
    """Every loss is logged and falls, and the float weights move."""
    student = quantize_aware(make_model(seed=1, num_hidden_layers=1), [inputs])
    losses = [EmbeddingLoss(), AttentionLoss(), HiddenStateLoss(), PredictionLoss()]
    distiller = Distiller(Teacher(make_model(seed=2)), student, losses=losses)
    distiller.compile(optimizer=keras.optimizers.Adam(3e-3))
    before = {name: each.numpy() for name, each in student.variables_by_name().items()}
    history = distiller.fit(inputs, labels, batch_size=8, epochs=25, verbose=0).history
    for loss in losses:
        assert history[loss.name][-1] < 0.9 * history[loss.name][0], loss.name
    moved = {name for name, each in student.variables_by_name().items() if not np.array_equal(each, before[name])}
    assert {"embeddings/word_embeddings/embeddings", "layer_1/intermediate/kernel", "pooler/bias"} <= moved


def test_save_and_load(make_model: Make, inputs: Inputs, tmp_path: Path) -> None:
    model = quantize_aware(make_model(), [inputs])
    model.save_pretrained(tmp_path)
    loaded = SequenceClassifier.from_pretrained(tmp_path)
    assert loaded.fake_quantizer == model.fake_quantizer
    np.testing.assert_array_equal(logits(loaded, inputs), logits(model, inputs))
    # The weights themselves are floats, and the model without its ranges is the one it was.
    floats = set_quantization(loaded, None)
    np.testing.assert_array_equal(logits(floats, inputs), logits(make_model(), inputs))
    floats.save_pretrained(tmp_path / "floats")
    assert "fake_quantization" not in json.loads((tmp_path / "floats" / "config.json").read_text())


def test_a_damaged_range_is_named(make_model: Make, inputs: Inputs, tmp_path: Path) -> None:
    quantize_aware(make_model(), [inputs]).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["fake_quantization"]["ranges"]["pooler/input"] = None
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json: fake_quantization: damaged"):
        SequenceClassifier.from_pretrained(tmp_path)


def test_mixed_precision(make_model: Make, inputs: Inputs) -> None:
    exact = quantize_aware(make_model(), [inputs])
    mixed = make_model(dtype="mixed_bfloat16")
    set_quantization(mixed, exact.fake_quantizer)
    np.testing.assert_allclose(logits(mixed, inputs), logits(exact, inputs), atol=0.05)
    # A teacher in another precision is a copy, and rounds as the model does.
    assert Teacher(mixed, precision="float32").model.fake_quantizer == exact.fake_quantizer


def test_rounded_weights_compute_the_same(make_model: Make, inputs: Inputs) -> None:
    model = quantize_aware(make_model(), [inputs])
    copy = frozen(model)
    np.testing.assert_allclose(logits(copy, inputs), logits(model, inputs), atol=1e-6)
    kernel = np.asarray(copy.encoder.encoder_layers[0].intermediate.kernel)
    steps = np.abs(kernel).max(axis=0) / 127
    np.testing.assert_allclose(kernel / steps, np.round(kernel / steps), atol=1e-4)
    assert not np.array_equal(kernel, model.encoder.encoder_layers[0].intermediate.kernel)


def test_pruned_weights_stay_zero(make_model: Make, inputs: Inputs, labels: np.ndarray) -> None:
    model = quantize_aware(make_model(), [inputs])
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.fit(inputs, labels, batch_size=8, epochs=2, verbose=0, callbacks=[MagnitudePruning(0.5, end_step=3)])
    for kernels in (model, frozen(model)):
        kernel = np.asarray(kernels.encoder.encoder_layers[0].intermediate.kernel)
        assert np.mean(kernel == 0) >= 0.5
    assert np.isfinite(logits(model, inputs)).all()


def test_what_cannot_be(make_model: Make, inputs: Inputs) -> None:
    model = make_model()
    with pytest.raises(InputError, match="bits: expected 8, got 2"):
        quantize_aware(model, [inputs], bits=2)
    with pytest.raises(InputError, match="no texts"):
        quantize_aware(model, [])
    assert model.fake_quantizer is None
    with pytest.raises(InputError, match="hidden_act='tanh'"):
        quantize_aware(make_model(hidden_act="tanh"), [inputs])
    quantize_aware(model, [inputs])
    with pytest.raises(InputError, match="structured pruning is for floats; the model has been quantized"):
        prune_structure(model, [inputs], intermediate_size=8)


def test_weights_are_rounded_as_they_are_stored_in_every_precision(make_model: Make, inputs: Inputs) -> None:
    """The integers are those of the float32 weights, which are what the file is made of."""
    model = quantize_aware(make_model(), [inputs])
    mixed = model.copy(dtype="mixed_bfloat16")
    assert mixed.fake_quantizer == model.fake_quantizer
    mixed(inputs)
    for ours, theirs in zip(frozen(mixed).weights, frozen(model).weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


@pytest.mark.parametrize("changed", ["student", "teacher"])
def test_what_was_traced_before_sees_it(make_model: Make, inputs: Inputs, changed: str) -> None:
    """Each way to use a distiller, after its student or its teacher has been quantized, and after it no longer is."""
    models = {"student": make_model(seed=1, num_hidden_layers=1), "teacher": make_model(num_hidden_layers=1)}
    distiller = Distiller(Teacher(models["teacher"]), models["student"], losses=[PredictionLoss()])
    distiller.compile(optimizer=keras.optimizers.SGD(0.0))
    uses: dict[str, Callable[[], float]] = {
        "fit": lambda: distiller.fit(inputs, epochs=1, batch_size=64, shuffle=False, verbose=0).history["loss"][0],
        "evaluate": lambda: distiller.evaluate(inputs, batch_size=64, verbose=0, return_dict=True)["loss"],
        "test_on_batch": lambda: distiller.test_on_batch(inputs, return_dict=True)["loss"],
        "train_on_batch": lambda: distiller.train_on_batch(inputs, return_dict=True)["loss"],
    }
    predicts = {"student": distiller.predict, "teacher": distiller.teacher.predict}
    uses["predict"] = lambda: predicts[changed](inputs, verbose=0)["logits"].std()
    found = []
    for change in (
        None,
        lambda: quantize_aware(models[changed], [inputs]),
        lambda: set_quantization(models[changed], None),
    ):
        if change is not None:
            change()
        found.append({name: float(use()) for name, use in uses.items()})
    for name in uses:
        assert found[0][name] == pytest.approx(found[2][name], rel=1e-6), name
        assert found[0][name] != pytest.approx(found[1][name], rel=1e-5), name


def test_another_teacher_to_the_cache(make_model: Make, inputs: Inputs) -> None:
    model = make_model()
    exact = teacher_fingerprint(Teacher(model))
    quantize_aware(model, [inputs])
    assert teacher_fingerprint(Teacher(model)) != exact
    # How it came to its ranges, measured here or taken over, does not count.
    copy, measured_again = model.copy(), quantize_aware(model.copy(), [inputs])
    assert teacher_fingerprint(Teacher(copy)) == teacher_fingerprint(Teacher(measured_again))


def test_what_is_0_on_all_texts(make_model: Make, inputs: Inputs) -> None:
    model = quantize_aware(make_model(), [inputs])
    quantization = model.fake_quantizer
    ranges = dict.fromkeys(quantization.ranges, (0.0, 0.0))
    set_quantization(model, FakeQuantization(ranges, quantization.limits))
    assert np.isfinite(logits(model, inputs)).all()
