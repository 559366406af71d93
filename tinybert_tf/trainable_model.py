"""A Keras model whose training starts as it should: traced once, on one device or on several."""

from __future__ import annotations

import contextlib
from typing import Any

import keras


class TrainableModel(keras.Model):
    """A `keras.Model` that makes its optimizer's variables in `compile`.

    Keras makes them while TensorFlow traces the first step, and TensorFlow then traces that step a second time: of a
    four-layer encoder with AdamW that is ten seconds for nothing.
    """

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.compile`."""
        super().compile(*args, **kwargs)
        strategy = getattr(self, "distribute_strategy", None)  # only TensorFlow's trainer has one
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """What Keras does before the first step under `tf.distribute`, from the batch of one replica.

        Keras (3.15) takes the mean of all replicas' batches, and fails where they differ in shape.
        """
        if iterator is not None and self.distribute_strategy.num_replicas_in_sync > 1:
            local = self.distribute_strategy.experimental_local_results
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(lambda values: local(values)[0], next(batches))
            iterator = None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
