"""`MagnitudePruning`: a callback that sets the smallest weights to zero during training."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tinybert_tf.compression.patterns import Pattern
from tinybert_tf.compression.tfmot import tfmot_module
from tinybert_tf.errors import InputError
from tinybert_tf.short_repr import short_repr

ENCODER_KERNELS = r"layer_\d+/.*kernel"
# How often masks are chosen between the first and the last step, by default.
TURNS = 32
_STEP, _MASK = "step", "mask/"


class MagnitudePruning(keras.callbacks.Callback):
    """Sets a fraction of each kernel's weights to zero during `fit`, the smallest ones, and keeps them zero.

    The fraction follows TFMOT's schedules. `polynomial` is Zhu and Gupta's (arXiv 1710.01878),
    `s_t = s (1 - (1 - (t - begin) / (end - begin))^3)`; `constant` is `s` from `begin_step` on. At `begin_step`, and
    every `frequency` steps after it up to `end_step`, new masks are chosen (`Pattern.mask`). After every step, the
    weights that the masks exclude are set to zero, whatever momentum the optimizer has. The model gets no new layers or
    variables: the saved model is the same one with zeros in it.

    One callback belongs to one model, through any number of calls of `fit`: it goes on counting steps. With a
    `Distiller` it prunes the student. It works with every precision policy, gradient accumulation and several devices.

    Args:
        sparsity: fraction of each kernel's weights that are zero at the end, in [0, 1).
        end_step: optimizer step at which `sparsity` is reached; from then on masks do not change.
        begin_step: optimizer step at which pruning begins, counted from 0, before the first update.
        frequency: optimizer steps between two choices of masks; by default a 32nd of `end_step - begin_step`. If it
            does not divide the way, `end_step` moves back to the last choice, so that `sparsity` is reached.
        schedule: `polynomial` or `constant`.
        pattern: `unstructured`, a block such as `1x4` (inputs x outputs), or `2:4`, whose sparsity is 0.5.
        kernels: a regular expression that the names of pruned weights match from their beginning, such as
            `layer_1/attention/query/kernel`; by default all kernels of the encoder's layers.
            `.*(kernel|word_embeddings/embeddings)` matches the head's kernels and the word embeddings too. Biases and
            LayerNorms are never pruned.

    Raises:
        InputError: a value is out of range; in `check` and `fit`, `kernels` matches no weight, or the pattern does not
            fit a kernel; in `fit`, `steps_per_execution` is above 1.

    Example:
        >>> pruning = MagnitudePruning(0.5, end_step=96)
        >>> [round(pruning.sparsity_at(step), 3) for step in (0, 48, 96, 200)]
        [0.0, 0.438, 0.5, 0.5]
    """

    def __init__(
        self,
        sparsity: float,
        *,
        end_step: int,
        begin_step: int = 0,
        frequency: int | None = None,
        schedule: str = "polynomial",
        pattern: str = "unstructured",
        kernels: str = ENCODER_KERNELS,
    ) -> None:
        super().__init__()
        if not 0 <= sparsity < 1:
            raise InputError(f"sparsity: expected a fraction in [0, 1), got {sparsity}.")
        if schedule not in _SCHEDULES:
            raise InputError(f"schedule: expected one of {', '.join(_SCHEDULES)}, got {schedule!r}.")
        if not 0 <= begin_step < end_step:
            raise InputError(f"begin_step={begin_step}, end_step={end_step}: expected 0 <= begin_step < end_step.")
        frequency = max(1, (end_step - begin_step) // TURNS) if frequency is None else frequency
        if not 1 <= frequency <= end_step - begin_step:
            raise InputError(
                f"frequency: expected 1 to end_step - begin_step = {end_step - begin_step}, got {frequency}."
            )
        self.pattern = Pattern.parse(pattern)
        if self.pattern.of_four and sparsity != 0.5:
            raise InputError(f"sparsity={sparsity}: expected 0.5 with pattern {pattern!r}.")
        self.kernels = kernels
        self.begin_step = begin_step
        self.end_step = begin_step + (end_step - begin_step) // frequency * frequency
        self.step = 0
        self._schedule = _SCHEDULES[schedule](sparsity, begin_step, self.end_step, frequency)
        self._pruned: dict[str, Any] = {}
        self._masks: dict[str, Any] = {}

    def __repr__(self) -> str:
        return short_repr(
            self, pattern=self.pattern.name, begin_step=self.begin_step, end_step=self.end_step, step=self.step
        )

    @property
    def is_complete(self) -> bool:
        """Whether the last masks have been chosen."""
        return self.step >= self.end_step

    def sparsity_at(self, step: int) -> float:
        """Return the schedule's sparsity, in [0, 1), after `step` updates; masks follow it at their next turn."""
        return float(self._schedule(step)[1]) if step >= self.begin_step else 0.0

    def check(self, model: keras.Model) -> dict[str, Any]:
        """Return the variables of a model that the callback would prune, by name.

        Raises:
            InputError: `kernels` matches no weight, or the pattern does not fit one.
        """
        pruned = prunable_weights(model, self.kernels)
        for name, variable in pruned.items():
            self.pattern.check(name, tuple(variable.shape))
        return pruned

    def set_model(self, model: keras.Model) -> None:
        """Find the weights to prune, and go on with existing masks."""
        super().set_model(model)
        self._pruned = self.check(model)
        shapes = {name: tuple(variable.shape) for name, variable in self._pruned.items()}
        if self._masks and {name: tuple(mask.shape) for name, mask in self._masks.items()} != shapes:
            raise InputError("MagnitudePruning: its masks belong to another model; make a new callback.")

    def on_train_begin(self, logs: Any = None) -> None:
        """Prune before the first update, if the schedule begins at step 0."""
        steps = getattr(self.model, "steps_per_execution", 1)
        if steps > 1:
            raise InputError(
                f"steps_per_execution: expected 1, as pruning sets its zeros after every step, got {steps}."
            )
        if self.step == 0:
            self._choose_masks()
        self._apply_masks()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Choose new masks if it is their turn, and apply the masks."""
        self.step += 1
        self._choose_masks()
        self._apply_masks()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log `sparsity`, the fraction of zeros among all pruned weights."""
        if logs is not None:
            zeros = sum(np.sum(variable.numpy() == 0) for variable in self._pruned.values())
            logs["sparsity"] = float(zeros / sum(np.prod(variable.shape) for variable in self._pruned.values()))

    def get_state(self) -> dict[str, np.ndarray]:
        """Return the state from which an interrupted training goes on: `step`, and each `mask/<name>`, bool."""
        masks = {_MASK + name: np.asarray(mask) for name, mask in self._masks.items()}
        return {_STEP: np.asarray(self.step), **masks}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on, in the next `fit`, from a state of `get_state`."""
        import tensorflow as tf

        self.step = int(state[_STEP])
        self._masks = {
            name.removeprefix(_MASK): tf.constant(mask, tf.bool)
            for name, mask in state.items()
            if name.startswith(_MASK)
        }

    def _choose_masks(self) -> None:
        is_turn, sparsity = self._schedule(self.step)
        if is_turn:
            self._masks = {name: self.pattern.mask(each.value, sparsity) for name, each in self._pruned.items()}

    def _apply_masks(self) -> None:
        import tensorflow as tf

        for name, mask in self._masks.items():
            variable = self._pruned[name]
            value = tf.convert_to_tensor(variable.value)
            # A product with the mask would leave -0.0 of negative weights.
            variable.assign(tf.where(mask, value, tf.zeros_like(value)))


def prunable_weights(model: Any, kernels: str = ENCODER_KERNELS) -> dict[str, Any]:
    """Return a model's kernels and embedding tables whose names match a regular expression from their beginning.

    The names are those of `variables_by_name`, if the model (or a Distiller's student) has it, else Keras's paths.

    Raises:
        InputError: `kernels` is no regular expression, or matches no weight.
    """
    student = getattr(model, "student", model)
    by_name = getattr(student, "variables_by_name", None)
    named = by_name() if by_name is not None else {variable.path: variable for variable in student.weights}
    tables = {name: each for name, each in named.items() if len(each.shape) == 2}
    try:
        expression = re.compile(kernels)
    except re.error as error:
        raise InputError(f"kernels={kernels!r}: expected a regular expression ({error}).") from None
    found = {name: each for name, each in tables.items() if expression.match(name)}
    if not found:
        raise InputError(f"kernels={kernels!r} matches no weight; expected to match one of {', '.join(tables)}.")
    return found


def zero_fractions(variables: Mapping[str, Any]) -> dict[str, float]:
    """Return the fraction of zeros in each variable."""
    return {name: float(np.mean(variable.numpy() == 0)) for name, variable in variables.items()}


def _polynomial(sparsity: float, begin_step: int, end_step: int, frequency: int) -> Any:
    schedule = tfmot_module("sparsity.keras.pruning_schedule").PolynomialDecay
    return schedule(0.0, sparsity, begin_step, end_step, power=3, frequency=frequency)


def _constant(sparsity: float, begin_step: int, end_step: int, frequency: int) -> Any:
    schedule = tfmot_module("sparsity.keras.pruning_schedule").ConstantSparsity
    return schedule(sparsity, begin_step, end_step, frequency=frequency)


_SCHEDULES: Mapping[str, Callable[[float, int, int, int], Any]] = {"polynomial": _polynomial, "constant": _constant}
