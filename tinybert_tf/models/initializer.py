"""First weights: random ones, or none where a checkpoint's come next."""

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
    """Encoders that are made in the body get no values: drawing a BERT-base costs more than reading one."""
    token = _is_loading.set(True)
    try:
        yield
    finally:
        _is_loading.reset(token)


@contextlib.contextmanager
def drawing_nothing() -> Iterator[None]:
    """Put back, after the body, the generator that Keras takes the seeds of layers from."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def encoder_initializer(stddev: float) -> keras.initializers.Initializer:
    """BERT's truncated normal for a weight that every checkpoint has."""
    # Made in either case: it takes the next seed, and what is drawn after it (a new head) must not depend on this.
    drawn = keras.initializers.TruncatedNormal(stddev=stddev)
    return Unset() if _is_loading.get() else drawn


class Unset(keras.initializers.Initializer):
    """Whatever is in the memory, on TensorFlow; elsewhere zeros."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A tensor of `shape` and `dtype`, to be assigned to before it is read."""
        if keras.backend.backend() != "tensorflow":
            return ops.zeros(shape, dtype)
        import tensorflow as tf

        return tf.raw_ops.Empty(shape=shape, dtype=tf.as_dtype(dtype))
