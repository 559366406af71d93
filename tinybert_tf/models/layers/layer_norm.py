"""LayerNorm with a fast form."""

from __future__ import annotations

from typing import Any

import keras

from tinybert_tf.models.layers import fast


class LayerNorm(keras.layers.LayerNormalization):
    """A LayerNorm (arXiv 1607.06450) that computes in float32, whatever the precision of its input and result."""

    def __init__(self, epsilon: float, **kwargs: Any) -> None:
        super().__init__(epsilon=epsilon, autocast=False, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Normalise each row of `(..., width)` by itself."""
        if fast.is_fast():
            return fast.layer_norm(inputs, self.gamma, self.beta, self.epsilon, training)
        return super().call(inputs)
