"""Initial weights: random ones, or unset ones if a checkpoint is loaded next."""

from __future__ import annotations

import contextlib
import contextvars
import random
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

_is_loading = contextvars.ContextVar("is_loading", default=False)


@contextlib.contextmanager
def before_loading() -> Iterator[None]:
    """Leave the weights of encoders made in the body unset: drawing a BERT-base takes longer than reading one."""
    token = _is_loading.set(True)
    try:
        yield
    finally:
        _is_loading.reset(token)


@contextlib.contextmanager
def drawing_nothing() -> Iterator[None]:
    """Restore, after the body, the generator from which Keras takes the seeds of layers."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def encoder_initializer(stddev: float) -> keras.initializers.Initializer:
    """Return BERT's initializer, a truncated normal, for a weight that every checkpoint has."""
    # Made in either case, as it takes the next seed: weights drawn later (a new head) must not depend on loading.
    drawn = keras.initializers.TruncatedNormal(stddev=stddev)
    return Unset() if _is_loading.get() else drawn


class Unset(keras.initializers.Initializer):
    """Leaves memory as it is on TensorFlow, and gives zeros on other backends."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return a tensor of `shape` and `dtype` whose values must be assigned before they are read."""
        if keras.backend.backend() != "tensorflow":
            return ops.zeros(shape, dtype)
        import tensorflow as tf

        return tf.raw_ops.Empty(shape=shape, dtype=tf.as_dtype(dtype))
