"""`MagnitudePruning`: a callback that makes the smallest weights zero while a model is trained."""

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
# How often masks are chosen anew between the first and the last step, where nothing else is asked for.
TURNS = 32
_STEP, _MASK = "step", "mask/"


class MagnitudePruning(keras.callbacks.Callback):
    """Makes a fraction of a model's weights zero during `fit`, the smallest of each kernel, and keeps them zero.

    The fraction grows as TFMOT's schedules have it. `polynomial` is Zhu and Gupta's (arXiv 1710.01878),
    `s_t = s (1 - (1 - (t - begin) / (end - begin))^3)`; `constant` is `s` from `begin_step` on. At `begin_step`, and
    every `frequency` steps after it up to `end_step`, each kernel's mask is chosen anew (`Pattern.mask`); after every
    step, what the masks leave out is set to zero in the variables, whatever momentum the optimizer has. Nothing is
    added to the model: what is saved is a model as it was, with zeros in it.

    One callback goes with one model, through any number of `fit`s: steps are counted on. Of a `Distiller` it is the
    student that is pruned. Every precision policy will do, and accumulation; several devices too.

    Args:
        sparsity: fraction of each kernel's weights that are zero at the end, in [0, 1).
        end_step: optimizer step at which it is reached; from then on masks do not change.
        begin_step: optimizer step at which pruning begins, counted from 0, before the first update.
        frequency: optimizer steps from one choice of masks to the next; by default a 32nd of the way. `end_step` moves
            back to the last one, so that `sparsity` is reached.
        schedule: `polynomial` or `constant`.
        pattern: `unstructured`, a block such as `1x4` (inputs x outputs), or `2:4`, whose sparsity is 0.5.
        kernels: a regular expression that the names of pruned weights match from their beginning, such as
            `layer_1/attention/query/kernel`; by default all kernels of the encoder's layers. With
            `.*(kernel|word_embeddings/embeddings)` the head's and the word embeddings too. Only kernels and tables are
            pruned, never biases or LayerNorms.

    Raises:
        InputError: a value out of range; and in `check` or `fit` `kernels` that match nothing, a pattern that does not
            fit a kernel, or several steps an execution, in which masks would not be kept.

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
            raise InputError(f"sparsity={sparsity}: pattern {pattern!r} has 0.5.")
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
        """The schedule's sparsity at a step, after so many updates; what is zero is what the last turn asked for."""
        return float(self._schedule(step)[1]) if step >= self.begin_step else 0.0

    def check(self, model: keras.Model) -> dict[str, Any]:
        """The variables of a model that would be pruned, by name.

        Raises:
            InputError: none, or one that the pattern does not fit.
        """
        pruned = prunable_weights(model, self.kernels)
        for name, variable in pruned.items():
            self.pattern.check(name, tuple(variable.shape))
        return pruned

    def set_model(self, model: keras.Model) -> None:
        """Find what is pruned, and go on with the masks that there are."""
        super().set_model(model)
        self._pruned = self.check(model)
        shapes = {name: tuple(variable.shape) for name, variable in self._pruned.items()}
        if self._masks and {name: tuple(mask.shape) for name, mask in self._masks.items()} != shapes:
            raise InputError("MagnitudePruning: its masks belong to another model; make a new callback.")

    def on_train_begin(self, logs: Any = None) -> None:
        """Prune before the first update, where the schedule begins there."""
        steps = getattr(self.model, "steps_per_execution", 1)
        if steps > 1:
            raise InputError(f"steps_per_execution: expected 1, as pruning keeps zeros after every step; got {steps}.")
        if self.step == 0:
            self._choose_masks()
        self._apply_masks()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Choose masks anew where it is their turn, and apply them."""
        self.step += 1
        self._choose_masks()
        self._apply_masks()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log `sparsity`, the fraction of zeros among all pruned weights."""
        if logs is not None:
            zeros = sum(np.sum(variable.numpy() == 0) for variable in self._pruned.values())
            logs["sparsity"] = float(zeros / sum(np.prod(variable.shape) for variable in self._pruned.values()))

    def get_state(self) -> dict[str, np.ndarray]:
        """What an interrupted training wants to go on: `step`, and each `mask/<name>`, bool."""
        masks = {_MASK + name: np.asarray(mask) for name, mask in self._masks.items()}
        return {_STEP: np.asarray(self.step), **masks}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on, in the next `fit`, from what `get_state` gave."""
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
            # Not a product, which would leave -0.0 of what is negative.
            variable.assign(tf.where(mask, value, tf.zeros_like(value)))


def prunable_weights(model: Any, kernels: str = ENCODER_KERNELS) -> dict[str, Any]:
    """A model's kernels and embedding tables whose names match a regular expression from their beginning.

    Names are those of `variables_by_name`, where the model (of a Distiller: its student) has it, else Keras's paths.

    Raises:
        InputError: no regular expression, or none matches.
    """
    student = getattr(model, "student", model)
    by_name = getattr(student, "variables_by_name", None)
    named = by_name() if by_name is not None else {variable.path: variable for variable in student.weights}
    tables = {name: each for name, each in named.items() if len(each.shape) == 2}
    try:
        expression = re.compile(kernels)
    except re.error as error:
        raise InputError(f"kernels={kernels!r}: no regular expression ({error}).") from None
    found = {name: each for name, each in tables.items() if expression.match(name)}
    if not found:
        raise InputError(f"kernels={kernels!r} matches no weight; there are {', '.join(tables)}.")
    return found


def zero_fractions(variables: Mapping[str, Any]) -> dict[str, float]:
    """The fraction of zeros in each variable."""
    return {name: float(np.mean(variable.numpy() == 0)) for name, variable in variables.items()}


def _polynomial(sparsity: float, begin_step: int, end_step: int, frequency: int) -> Any:
    schedule = tfmot_module("sparsity.keras.pruning_schedule").PolynomialDecay
    return schedule(0.0, sparsity, begin_step, end_step, power=3, frequency=frequency)


def _constant(sparsity: float, begin_step: int, end_step: int, frequency: int) -> Any:
    schedule = tfmot_module("sparsity.keras.pruning_schedule").ConstantSparsity
    return schedule(sparsity, begin_step, end_step, frequency=frequency)


_SCHEDULES: Mapping[str, Callable[[float, int, int, int], Any]] = {"polynomial": _polynomial, "constant": _constant}
