"""Dropout that needs half the random bits on TensorFlow."""

from __future__ import annotations

from typing import Any

import keras


class Dropout(keras.layers.Dropout):
    """Dropout (JMLR 15, 2014, p. 1929) that decides on each number by 16 random bits on TensorFlow, not by a float.

    The dropped fraction is `rate`, rounded to a multiple of 2^-16. On other backends this is Keras's own dropout.
    """

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Return `inputs`; in training with some set to zero and the others multiplied by `1 / (1 - rate)`."""
        is_usual = not training or self.rate == 0 or self.noise_shape is not None or self.rate > 1 - 2**-16
        if is_usual or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training)
        import tensorflow as tf

        size = tf.size(inputs)
        seed = tf.cast(self.seed_generator.next() % (2**31 - 1), tf.int32)  # XLA takes no other type
        bits = tf.random.stateless_uniform([(size + 1) // 2], seed, minval=None, maxval=None, dtype=tf.int32)
        halves = tf.reshape(tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:size], tf.shape(inputs))
        kept = halves >= tf.constant(round(self.rate * 2**16), tf.uint16)
        return inputs * (tf.cast(kept, inputs.dtype) * tf.cast(1.0 / (1.0 - self.rate), inputs.dtype))
