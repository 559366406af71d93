"""Sums of losses' counts and of gradients over the replicas of a `tf.distribute` strategy.

On the other backends, and outside a strategy, there is one replica.
"""

from __future__ import annotations

from typing import Any

import keras


def num_replicas() -> int:
    """The number of replicas in sync in the current `tf.distribute` strategy."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def sum_across_replicas(values: Any) -> Any:
    """The sum over all replicas of a tensor, or of each tensor in a list."""
    if num_replicas() == 1 or (isinstance(values, list) and not values):
        return values
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return values if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def sum_before_clipping(optimizer: keras.optimizers.Optimizer) -> None:
    """Make an optimizer clip the sum of the replicas' gradients; Keras clips each replica's and sums afterwards."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if getattr(inner, "_sums_before_clipping", False):
        return
    clip = inner._clip_gradients
    inner._sums_before_clipping = True
    inner._clip_gradients = lambda gradients: clip(sum_across_replicas(list(gradients)))
    inner._all_reduce_sum_gradients = list
