"""BERT's optimizer: AdamW, and the schedules of its learning rate."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tinybert_tf.errors import InputError

# Biases and LayerNorm's scale and shift, under the names that Keras layers give them.
NOT_DECAYED = ("bias", "gamma", "beta")


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that grows linearly from 0 to `peak`, and then follows a subclass's `decay`.

    It is `peak * step / warmup_steps` up to step `warmup_steps`, and then `peak * decay(rest)`, where `rest` is
    `(total_steps - step) / (total_steps - warmup_steps)` and stays 0 from `total_steps` on. Steps count from 0: with a
    warm-up the first update has the rate 0, without one the full rate. Computed in float32.

    Args:
        peak: the highest learning rate.
        warmup_steps: optimizer steps until the peak, fewer than `total_steps`.
        total_steps: optimizer steps of the whole run.
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int) -> None:
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def decay(self, rest: Any) -> Any:
        """Return the fraction of `peak` when the fraction `rest`, in [0, 1], of the steps after the warm-up is left."""
        raise NotImplementedError(f"{type(self).__name__} does not implement `decay`.")

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of update number `step`, a float32 scalar."""
        step = ops.cast(step, "float32")
        rising = step / max(self.warmup_steps, 1)
        rest = (self.total_steps - step) / (self.total_steps - self.warmup_steps)
        return self.peak * ops.where(step < self.warmup_steps, rising, self.decay(ops.maximum(0.0, rest)))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "total_steps": self.total_steps}


@keras.saving.register_keras_serializable("tinybert_tf")
class LinearWarmupDecay(WarmupSchedule):
    """Warm-up, then a straight line down to 0 (Hugging Face's `get_linear_schedule_with_warmup`).

    Example:
        >>> schedule = LinearWarmupDecay(peak=1.0, warmup_steps=2, total_steps=6)
        >>> [float(schedule(step)) for step in range(8)]
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def decay(self, rest: Any) -> Any:
        """Return `rest` itself."""
        return rest


@keras.saving.register_keras_serializable("tinybert_tf")
class ConstantAfterWarmup(WarmupSchedule):
    """Warm-up, then `peak` without end (Hugging Face's `get_constant_schedule_with_warmup`)."""

    def decay(self, rest: Any) -> Any:
        """Return 1."""
        return ops.ones_like(rest)


@keras.saving.register_keras_serializable("tinybert_tf")
class CosineWarmupDecay(WarmupSchedule):
    """Warm-up, then half a cosine down to 0 (Hugging Face's `get_cosine_schedule_with_warmup`)."""

    def decay(self, rest: Any) -> Any:
        """Return `(1 - cos(pi * rest)) / 2`."""
        return 0.5 * (1.0 - ops.cos(math.pi * rest))


SCHEDULES: dict[str, type[WarmupSchedule]] = {
    "linear": LinearWarmupDecay,
    "constant": ConstantAfterWarmup,
    "cosine": CosineWarmupDecay,
}


@keras.saving.register_keras_serializable("tinybert_tf")
class BertAdamW(keras.optimizers.AdamW):
    """AdamW without weight decay on biases and LayerNorm.

    It is a class because Keras's `get_config` does not store the variables that are excluded from weight decay. On
    TensorFlow an update is one fused operation for each variable, where Keras's own makes a dozen passes over the
    embedding table. The gradient of an embedding table is summed over the places of a token before its norm is taken,
    and becomes as large as the table only in the update.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Matches whole words: Keras asks for names such as `bias`, `bias:0` and `bias/replica_1:0`.
        self.exclude_from_weight_decay(var_names=[rf"\b{name}\b" for name in NOT_DECAYED])

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Apply gradients as Keras does, after summing rows that a table's gradient has several times."""
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            summed = _rows_once if self._takes_slices() else tf.convert_to_tensor
            grads = [summed(grad) if isinstance(grad, tf.IndexedSlices) else grad for grad in grads]
        super().apply(grads, trainable_variables)

    def _clip_gradients(self, grads: Any) -> Any:
        """Clip as Keras does, but compute each norm in one pass instead of two."""
        if keras.backend.backend() != "tensorflow" or not self.global_clipnorm:
            return super()._clip_gradients(grads)
        import tensorflow as tf

        norm = tf.linalg.global_norm(grads)
        # NaN if the norm is not finite, as in Keras, so that the error shows.
        scale = tf.minimum(self.global_clipnorm / norm, 1.0) + (norm - norm)
        return [
            tf.IndexedSlices(grad.values * tf.cast(scale, grad.dtype), grad.indices, grad.dense_shape)
            if isinstance(grad, tf.IndexedSlices)
            else grad * tf.cast(scale, grad.dtype)
            for grad in grads
        ]

    def _apply_weight_decay(self, variables: Any) -> None:
        """Decay as Keras does, unless `update_step` does it."""
        if not self._is_fused():
            super()._apply_weight_decay(variables)

    def _is_fused(self) -> bool:
        """Whether an update is one operation: on TensorFlow, outside of its strategies."""
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            return False
        import tensorflow as tf

        return not tf.distribute.has_strategy()

    def _takes_slices(self) -> bool:
        """Whether a table's gradient can stay in slices up to `update_step`: only `_clip_gradients` changes it before.

        False with a GPU: it would have to wait for the number of rows, and passes over a table cost it little.
        """
        others = self.gradient_accumulation_steps, self.loss_scale_factor, self.clipnorm, self.clipvalue
        return self._is_fused() and not any(others) and not _has_gpu()

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable (arXiv 1412.6980, algorithm 1, with epsilon as in its section 2)."""
        if not self._is_fused():
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        number = self._get_variable_index(variable)
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        var, m, v = (
            each.value if isinstance(each, keras.Variable) else each
            for each in (variable, self._momentums[number], self._velocities[number])
        )
        rate = tf.cast(learning_rate, dtype)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            # arXiv 1711.05101, algorithm 2; `assign` reuses the product's memory, `assign_sub` would read it again.
            var.assign(var * (1.0 - rate * self.weight_decay))
        tf.raw_ops.ResourceApplyAdam(
            var=var.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, dtype), step),
            lr=rate,
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
        )


def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _rows_once(grad: Any) -> Any:
    """Sum the slices of a table's gradient that belong to the same row."""
    import tensorflow as tf

    rows, places = tf.unique(grad.indices)
    values = tf.math.unsorted_segment_sum(grad.values, places, tf.size(rows))
    return tf.IndexedSlices(values, rows, grad.dense_shape)


def bert_optimizer(
    learning_rate: float = 5e-5,
    *,
    total_steps: int,
    schedule: str = "linear",
    warmup_fraction: float = 0.1,
    weight_decay: float = 0.01,
    global_clipnorm: float = 1.0,
) -> keras.optimizers.AdamW:
    """Make BERT's optimizer for fine-tuning: AdamW with epsilon 1e-6, warm-up, decay and clipping.

    Biases and LayerNorm weights have no weight decay.

    Args:
        learning_rate: the highest learning rate, above 0.
        total_steps: optimizer steps of the whole run.
        schedule: the learning rate after the warm-up: `linear` to 0, `constant`, or `cosine` to 0.
        warmup_fraction: fraction in [0, 1) of the steps, rounded down, in which the learning rate grows linearly.
        weight_decay: decoupled weight decay (arXiv 1711.05101), at least 0; multiplied by the learning rate.
        global_clipnorm: the highest common norm of all gradients, above 0; larger gradients are scaled down to it.

    Raises:
        InputError: a value is out of range, or the schedule is unknown.

    Example:
        >>> optimizer = bert_optimizer(learning_rate=1e-4, total_steps=100, warmup_fraction=0.0)
        >>> round(float(optimizer.learning_rate), 6)
        0.0001
    """
    if not 0 < learning_rate < math.inf:
        raise InputError(f"learning_rate={learning_rate}: expected a number > 0.")
    if total_steps < 1:
        raise InputError(f"total_steps={total_steps}: expected an integer >= 1.")
    if schedule not in SCHEDULES:
        raise InputError(f"schedule={schedule!r}: expected one of {', '.join(SCHEDULES)}.")
    if not 0 <= warmup_fraction < 1:
        raise InputError(f"warmup_fraction={warmup_fraction}: expected a fraction in [0, 1).")
    if not 0 <= weight_decay < math.inf:
        raise InputError(f"weight_decay={weight_decay}: expected a number >= 0.")
    if not global_clipnorm > 0:
        raise InputError(f"global_clipnorm={global_clipnorm}: expected a number > 0.")
    return BertAdamW(
        learning_rate=SCHEDULES[schedule](learning_rate, int(warmup_fraction * total_steps), total_steps),
        weight_decay=weight_decay,
        epsilon=1e-6,
        global_clipnorm=global_clipnorm,
    )
