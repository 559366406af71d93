"""The fused form of an encoder layer computes what the plain one does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import set_fast_layers
from tinybert_tf.models.encoder.attention import as_mask_bias
from tinybert_tf.models.encoder.encoder_layer import EncoderLayer
from tinybert_tf.models.layers.dense import Dense
from tinybert_tf.models.layers.fast import gelu_to_train, is_fast

TOLERANCES = {"float32": 2e-6, "mixed_bfloat16": 0.1, "bfloat16": 0.1}
INSIDE = (
    "scores", "queries", "keys", "values", "context", "attended", "normalised", "expanded", "summed",
)  # fmt: skip
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = set_fast_layers(True)
    yield
    set_fast_layers(before)


def make(dtype: str, hidden_act: str = "gelu", dropout: float = 0.0, intermediate: Any = None) -> EncoderLayer:
    keras.utils.set_random_seed(1)
    layer = EncoderLayer(32, 4, 64, hidden_act, dropout, dropout, 1e-12, 0.2, dtype=dtype)
    if intermediate is not None:
        layer.intermediate = intermediate
    layer.build((None, None, 32))
    draw = np.random.default_rng(2)
    for variable in layer.weights:
        if variable.dtype in ("float32", "bfloat16", "float16"):
            variable.assign(variable + draw.normal(0, 0.1, variable.shape))
    return layer


def states() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2, 5, 32)).astype("float32")


def run(layer: EncoderLayer, fast: bool, compiled: bool = False, **kwargs: Any) -> dict[str, np.ndarray]:
    set_fast_layers(fast)
    assert is_fast() == fast
    given = {"mask_bias": as_mask_bias(MASK), **kwargs}
    call = (
        (lambda hidden: layer(hidden, **given)) if not compiled else tf.function(lambda hidden: layer(hidden, **given))
    )
    hidden = tf.cast(states(), layer.compute_dtype)
    output, intermediates = call(hidden)
    found = {name: np.asarray(value, np.float32) for name, value in {"output": output, **intermediates}.items()}
    of_positions = (*output.shape[:2], -1)
    return {name: value.reshape(of_positions) if value.ndim == 2 else value for name, value in found.items()}


@pytest.mark.parametrize(
    ("dtype", "atol", "compiled"),
    [
        *((dtype, atol, compiled) for dtype, atol in TOLERANCES.items() for compiled in (False, True)),
        ("float16", 0.02, False),  # a CPU has no kernels of it to fuse
    ],
)
def test_the_same_numbers(dtype: str, atol: float, compiled: bool) -> None:
    layer = make(dtype)
    exact = run(make("float32"), fast=False)
    plain, fast = run(layer, fast=False, compiled=compiled), run(layer, fast=True, compiled=compiled)
    assert plain.keys() == fast.keys() == {"output", *INSIDE}
    for name, values in fast.items():
        assert values.shape == plain[name].shape
        np.testing.assert_allclose(values, exact[name], atol=atol, err_msg=name)
        # and not further from the exact ones than the plain form
        assert np.abs(values - exact[name]).mean() <= 1.2 * np.abs(plain[name] - exact[name]).mean() + 5e-7, name


@pytest.mark.parametrize("hidden_act", ["gelu_new", "relu"])
def test_other_activations(hidden_act: str) -> None:
    layer = make("float32", hidden_act)
    plain, fast = (run(layer, fast, compiled=True)["output"] for fast in (False, True))
    np.testing.assert_allclose(fast, plain, atol=2e-6)


def test_some_places_alone() -> None:
    layer = make("float32")
    asked = states()[:, [3, 0]]
    plain, fast = (run(layer, fast, query_hidden=asked) for fast in (False, True))
    assert fast["output"].shape == (2, 2, 32)
    for name, values in fast.items():
        np.testing.assert_allclose(values, plain[name], atol=2e-6, err_msg=name)


def gradients(layer: EncoderLayer, fast: bool, compiled: bool) -> list[np.ndarray]:
    """Of the input and of every weight, with the layer's dropout."""
    set_fast_layers(fast)
    hidden = tf.cast(states(), layer.compute_dtype)

    def found(hidden: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            output, intermediates = layer(hidden, as_mask_bias(MASK), training=True)
            scores = tf.cast(intermediates["scores"], tf.float32)
            total = tf.reduce_sum(tf.cast(output, tf.float32) * states()[::-1]) + tf.reduce_sum(tf.square(scores))
        return tape.gradient(total, [hidden, *(variable.value for variable in layer.trainable_variables)])

    return [tf.cast(each, tf.float32).numpy() for each in (tf.function(found) if compiled else found)(hidden)]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "bfloat16"])
@pytest.mark.parametrize("hidden_act", ["gelu", "relu"])
def test_the_same_gradients_and_the_same_dropout(hidden_act: str, dtype: str, compiled: bool) -> None:
    exact = gradients(make("float32", hidden_act, dropout=0.3), False, False)
    plain, fast = (gradients(make(dtype, hidden_act, dropout=0.3), fast, compiled) for fast in (False, True))
    if dtype == "float32":
        for ours, theirs in zip(fast, plain, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-4, rtol=1e-4)
    # about as far from the exact ones as the plain form, where a ReLU can be part of a product, and is rounded once
    ours, theirs = (sum(np.abs(a - b).mean() for a, b in zip(of, exact, strict=True)) for of in (fast, plain))
    assert ours <= 1.4 * theirs + 1e-5


def test_gelu_is_exact_to_the_last_bit_but_one() -> None:
    values = tf.cast(tf.linspace(-4.0, 4.0, 801), tf.bfloat16)
    exact = tf.cast(values, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([values, exact])
        ours, theirs = gelu_to_train(values), tf.nn.gelu(exact)
    for found, wanted in ((ours, theirs), (tape.gradient(ours, values), tape.gradient(theirs, exact))):
        assert found.dtype == tf.bfloat16
        np.testing.assert_allclose(tf.cast(found, tf.float32), wanted, rtol=2**-8, atol=1e-6)


def test_a_part_of_its_own_is_run() -> None:
    class Louder(Dense):
        def call(self, inputs: Any, training: bool | None = None) -> Any:
            return 2.0 * super().call(inputs, training=training)

    outputs = [
        layer(states(), as_mask_bias(MASK))[0] for layer in (make("float32"), make("float32", intermediate=Louder(64)))
    ]
    assert not np.allclose(*outputs)
    assert make("float32").is_plain
    assert not make("float32", intermediate=Louder(64)).is_plain
