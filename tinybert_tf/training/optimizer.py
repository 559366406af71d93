"""BERT's optimizer: AdamW with linear warm-up and decay of the learning rate."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tinybert_tf.errors import InputError

# Biases and LayerNorm's scale and shift, by the names that Keras layers give them.
NOT_DECAYED = ("bias", "gamma", "beta")


@keras.saving.register_keras_serializable("tinybert_tf")
class LinearWarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that grows linearly from 0 to `peak` and then falls linearly to 0.

    `peak * step / warmup_steps` up to step `warmup_steps`, then
    `peak * (total_steps - step) / (total_steps - warmup_steps)`, and 0 from `total_steps` on, as Hugging Face's
    `get_linear_schedule_with_warmup`. Steps count from 0: with a warm-up the first update has the rate 0, without one
    the full rate. Computed in float32.

    Args:
        peak: the highest learning rate.
        warmup_steps: optimizer steps until it is reached, fewer than `total_steps`.
        total_steps: optimizer steps of the whole run.

    Example:
        >>> schedule = LinearWarmupDecay(peak=1.0, warmup_steps=2, total_steps=6)
        >>> [float(schedule(step)) for step in range(8)]
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int) -> None:
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step: Any) -> Any:
        """The learning rate of the update number `step`, a float32 scalar."""
        step = ops.cast(step, "float32")
        rising = step / max(self.warmup_steps, 1)
        falling = (self.total_steps - step) / (self.total_steps - self.warmup_steps)
        return self.peak * ops.maximum(0.0, ops.where(step < self.warmup_steps, rising, falling))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "total_steps": self.total_steps}


@keras.saving.register_keras_serializable("tinybert_tf")
class BertAdamW(keras.optimizers.AdamW):
    """AdamW without weight decay on biases and LayerNorm.

    A class, because Keras's `get_config` does not hold what is excluded from weight decay.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Whole words: Keras asks with names such as `bias`, `bias:0` and `bias/replica_1:0`.
        self.exclude_from_weight_decay(var_names=[rf"\b{name}\b" for name in NOT_DECAYED])


def bert_optimizer(
    learning_rate: float = 5e-5,
    *,
    total_steps: int,
    warmup_fraction: float = 0.1,
    weight_decay: float = 0.01,
    global_clipnorm: float = 1.0,
) -> keras.optimizers.AdamW:
    """The optimizer that BERT is fine-tuned with: AdamW, epsilon 1e-6, linear warm-up and decay, clipping.

    Biases and LayerNorm weights do not decay.

    Args:
        learning_rate: the highest learning rate, above 0.
        total_steps: optimizer steps of the whole run; the learning rate is 0 after them.
        warmup_fraction: fraction in [0, 1) of these steps, rounded down, in which the learning rate grows.
        weight_decay: decoupled weight decay (arXiv 1711.05101), at least 0; multiplied by the learning rate.
        global_clipnorm: the gradients' common norm is scaled down to this, above 0.

    Raises:
        InputError: a value out of range.

    Example:
        >>> optimizer = bert_optimizer(learning_rate=1e-4, total_steps=100, warmup_fraction=0.0)
        >>> round(float(optimizer.learning_rate), 6)
        0.0001
    """
    if not 0 < learning_rate < math.inf:
        raise InputError(f"learning_rate={learning_rate}: a number above 0 is wanted.")
    if total_steps < 1:
        raise InputError(f"total_steps={total_steps}: at least one optimizer step is wanted.")
    if not 0 <= warmup_fraction < 1:
        raise InputError(f"warmup_fraction={warmup_fraction}: a fraction in [0, 1) is wanted.")
    if not 0 <= weight_decay < math.inf:
        raise InputError(f"weight_decay={weight_decay}: a number of at least 0 is wanted.")
    if not global_clipnorm > 0:
        raise InputError(f"global_clipnorm={global_clipnorm}: a number above 0 is wanted.")
    return BertAdamW(
        learning_rate=LinearWarmupDecay(learning_rate, int(warmup_fraction * total_steps), total_steps),
        weight_decay=weight_decay,
        epsilon=1e-6,
        global_clipnorm=global_clipnorm,
    )
