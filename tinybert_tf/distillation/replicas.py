"""What a loss must know of `tf.distribute`: how many replicas share the step, and sums over them.

The only TensorFlow-specific lines of this room. On the other backends, and outside a strategy, there is one replica.
"""

from __future__ import annotations

from typing import Any

import keras


def num_replicas() -> int:
    """Replicas in sync in the current `tf.distribute` strategy."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def sum_across_replicas(value: Any) -> Any:
    """The sum of a scalar over all replicas of the step."""
    if num_replicas() == 1:
        return value
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return value if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, value)
