"""`MagnitudePruning`: TFMOT's schedule step by step, zeros that stay zero, resuming, precisions, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import InputError, MagnitudePruning, bert_optimizer
from tinybert_tf.compression.pruning import prunable_weights, zero_fractions
from tinybert_tf.compression.tfmot import tfmot_module

MakeModel = Callable[..., Any]
Arrays = dict[str, np.ndarray]


class Recorded(keras.callbacks.Callback):
    """After every step: what is zero in a variable."""

    def __init__(self, name: str = "layer_1/intermediate/kernel") -> None:
        super().__init__()
        self.name = name
        self.zeros: list[np.ndarray] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.zeros.append(prunable_weights(self.model)[self.name].numpy() == 0)


def fit(model: Any, inputs: Arrays, labels: np.ndarray, *callbacks: Any, epochs: int = 1, **compiled: Any) -> Any:
    """12 steps an epoch, with a rate that moves weights far; eager, unless said otherwise, as tracing takes longer."""
    model.compile(optimizer=keras.optimizers.AdamW(1e-2), **{"run_eagerly": True, **compiled})
    return model.fit(inputs, labels, batch_size=2, shuffle=False, epochs=epochs, callbacks=list(callbacks), verbose=0)


def test_sparsity_after_each_step_is_tfmots(make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    model, recorded = make_model(num_hidden_layers=1), Recorded()
    pruning = MagnitudePruning(0.75, begin_step=2, end_step=20, frequency=3)
    fit(model, inputs, labels, pruning, recorded, epochs=2, run_eagerly=False)
    theirs = tfmot_module("sparsity.keras.pruning_schedule").PolynomialDecay(0.0, 0.75, 2, 20, frequency=3)
    wanted, expected = 0.0, []
    for step in range(1, 25):
        is_turn, sparsity = theirs(step)
        wanted = float(sparsity) if is_turn else wanted
        expected.append(1 - round(16 * 24 * (1 - wanted)) / (16 * 24))
    assert [zeros.mean() for zeros in recorded.zeros] == pytest.approx(expected, abs=1e-9)
    assert recorded.zeros[-1].mean() == 0.75


def test_every_kernel_of_the_layers_and_nothing_else(make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    model = make_model()
    fit(model, inputs, labels, MagnitudePruning(0.5, end_step=12))
    fractions = zero_fractions(model.variables_by_name())
    kernels = {name for name in fractions if name.startswith("layer_") and name.endswith("kernel")}
    assert len(kernels) == 2 * 6
    assert {name: fractions[name] for name in kernels} == dict.fromkeys(kernels, 0.5)
    others = {name for name, fraction in fractions.items() if fraction and name not in kernels}
    assert not others


def test_zeros_stay_zero_whatever_momentum_has(make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    model, recorded = make_model(num_hidden_layers=1), Recorded()
    pruning = MagnitudePruning(0.6, begin_step=8, end_step=9, schedule="constant")
    fit(model, inputs, labels, pruning, recorded, epochs=2)
    assert not any(zeros.any() for zeros in recorded.zeros[:7])  # Adam's momentum is that of all weights by then
    for zeros in recorded.zeros[9:]:
        np.testing.assert_array_equal(zeros, recorded.zeros[8])
    value = model.variables_by_name()["layer_1/intermediate/kernel"].numpy()
    assert not np.signbit(value[value == 0]).any()


def test_from_step_0_the_first_pass_is_pruned(make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    model, pruned = (make_model(num_hidden_layers=1) for _ in range(2))
    MagnitudePruning(0.5, end_step=1, schedule="constant").set_model(pruned)
    for name, variable in prunable_weights(pruned).items():
        kernel = model.variables_by_name()[name].numpy()
        variable.assign(np.where(np.abs(kernel) >= np.median(np.abs(kernel)), kernel, 0))
    pruned.compile()
    expected = pruned.evaluate(inputs, labels, batch_size=24, verbose=0)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    callback = MagnitudePruning(0.5, end_step=1, schedule="constant")
    history = model.fit(inputs, labels, batch_size=24, shuffle=False, callbacks=[callback], verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert history["sparsity"] == [0.5]


@pytest.mark.parametrize("pattern", ["1x4", "4x1", "8x2", "2:4"])
def test_patterns(pattern: str, make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    model = make_model(num_hidden_layers=1)
    pruning = MagnitudePruning(0.5, end_step=6, pattern=pattern)
    fit(model, inputs, labels, pruning)
    height, width = pruning.pattern.block
    for variable in prunable_weights(model).values():
        kept = variable.numpy() != 0
        assert kept.mean() == 0.5
        blocks = kept.reshape(kept.shape[0] // height, height, kept.shape[1] // width, width).sum(axis=(1, 3))
        assert set(np.unique(blocks)) == ({2} if pattern == "2:4" else {0, height * width})


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy: str, make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    model = make_model(dtype=policy, num_hidden_layers=1)
    fit(model, inputs, labels, MagnitudePruning(0.5, end_step=12), run_eagerly=False)
    for variable in prunable_weights(model).values():
        assert variable.dtype == "float32"
        assert np.mean(variable.numpy() == 0) == 0.5
        assert np.mean(np.asarray(keras.ops.cast(variable, model.compute_dtype)) == 0) == 0.5


@pytest.mark.parametrize("parts", [1, 2])
def test_an_interrupted_training_goes_on(parts: int, make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    def pruning() -> MagnitudePruning:
        return MagnitudePruning(0.8, begin_step=3, end_step=20, frequency=4)

    def trained(model: Any, callback: Any, epochs: range) -> None:
        for _ in epochs:  # one optimizer all along
            model.fit(inputs, labels, batch_size=2, shuffle=False, callbacks=[callback], verbose=0)

    whole, first = pruning(), pruning()
    uninterrupted, model = (make_model(num_hidden_layers=1) for _ in range(2))
    for each in (uninterrupted, model):
        optimizer = bert_optimizer(1e-2, total_steps=36, schedule="constant", warmup_fraction=0.0)
        each.compile(optimizer=optimizer, accumulation_steps=parts)
    trained(uninterrupted, whole, range(3))
    trained(model, first, range(1))
    second = pruning()
    second.set_state(first.get_state())
    trained(model, second, range(2))
    assert second.step == whole.step == 36
    assert second.is_complete
    for ours, theirs in zip(model.weights, uninterrupted.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy() == 0, theirs.numpy() == 0)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_last_turn_reaches_the_sparsity() -> None:
    pruning = MagnitudePruning(0.5, begin_step=1, end_step=100, frequency=30)
    assert pruning.end_step == 91
    assert pruning.sparsity_at(91) == 0.5


def test_embeddings_and_other_models(make_model: MakeModel) -> None:
    names = prunable_weights(make_model(), r".*(kernel|word_embeddings/embeddings)")
    assert "embeddings/word_embeddings/embeddings" in names
    assert "classifier/kernel" in names
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="wide"), keras.layers.Dense(1)])
    assert [*prunable_weights(plain, ".*wide/kernel")] == [plain.layers[0].kernel.path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, r"sparsity: expected a fraction in \[0, 1\), got 1.0"),
        ({"sparsity": -0.1}, "sparsity: .*got -0.1"),
        ({"sparsity": float("nan")}, "sparsity: .*got nan"),
        ({"begin_step": 10, "end_step": 10}, "begin_step=10, end_step=10: expected 0 <= begin_step < end_step"),
        ({"begin_step": -1}, "begin_step=-1"),
        ({"frequency": 0}, "frequency: .*got 0"),
        ({"frequency": 11}, "frequency: expected 1 to .* 10, got 11"),
        ({"schedule": "linear"}, "schedule: expected one of polynomial, constant, got 'linear'"),
        ({"pattern": "3:4"}, "pattern: expected unstructured, .*got '3:4'"),
        ({"pattern": "2:4", "sparsity": 0.75}, "sparsity=0.75: expected 0.5 with pattern '2:4'"),
    ],
)
def test_values_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MagnitudePruning(**{"sparsity": 0.5, "end_step": 10, **arguments})


@pytest.mark.parametrize(
    ("kernels", "message"),
    [("layer_9/.*", r"kernels='layer_9/\.\*' matches no weight; .*layer_1/"), ("(", "expected a regular expression")],
)
def test_kernels_that_are_not_there_are_refused(kernels: str, message: str, make_model: MakeModel) -> None:
    with pytest.raises(InputError, match=message):
        MagnitudePruning(0.5, end_step=10, kernels=kernels).check(make_model())


def test_a_pattern_that_does_not_fit_is_refused(make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    model = make_model(intermediate_size=22)
    with pytest.raises(InputError, match=r"'2:4' does not fit layer_1/output/kernel \(22, 16\)"):
        fit(model, inputs, labels, MagnitudePruning(0.5, end_step=10, pattern="2:4"))


def test_several_steps_an_execution_are_refused(make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    with pytest.raises(
        InputError, match="steps_per_execution: expected 1, as pruning sets its zeros after every step, got 3"
    ):
        fit(make_model(), inputs, labels, MagnitudePruning(0.5, end_step=10), steps_per_execution=3, run_eagerly=False)


def test_another_models_masks_are_refused(make_model: MakeModel, inputs: Arrays, labels: np.ndarray) -> None:
    pruning = MagnitudePruning(0.5, end_step=10)
    fit(make_model(num_hidden_layers=1), inputs, labels, pruning)
    with pytest.raises(InputError, match="masks belong to another model"):
        fit(make_model(num_hidden_layers=1, intermediate_size=20), inputs, labels, pruning)


@pytest.mark.slow
def test_two_replicas_prune_what_one_device_does() -> None:
    script = Path(__file__).parent / "distributed_script.py"
    finished = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr[-2000:]
    results = json.loads(finished.stdout)
    assert results["one"]["sparsity"] == results["two"]["sparsity"] == results["replica"]["sparsity"] == 0.75
    np.testing.assert_allclose(results["two"]["kernel"], results["one"]["kernel"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(results["two"]["kernel"], results["replica"]["kernel"], rtol=0, atol=1e-6)
