"""The losses given to `compile`, as totals and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops, tree

# `compile` takes a name, a function, an object or several of them; Keras has no public class that unites them.
from keras.src.trainers.compile_utils import CompileLoss

from tinybert_tf.errors import InputError
from tinybert_tf.trainable.replicas import num_replicas


class CountedLoss:
    """A loss of Keras or of the user as a total and a count: a mean over rows, or over labels that it does not ignore.

    Args:
        loss: as `keras.Model.compile` takes it.
        weight: the factor in the sum of several losses; if `loss` is a list, one factor for each.
    """

    def __init__(self, loss: Any, weight: Any = None) -> None:
        self._loss = loss
        self._compiled = CompileLoss(loss, weight)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """The total and the count, scalars; as in Keras, sample weights do not change the count."""
        value = ops.sum(self._compiled(y_true, y_pred, sample_weight))
        value = value if self.is_sum else value * float(num_replicas())  # Keras divides a mean by it
        count = self._count(y_true, y_pred, sample_weight)
        return ops.where(count > 0, value, 0.0) * count, count

    @property
    def is_sum(self) -> bool:
        """Whether the loss is a sum, which no count divides."""
        return getattr(self._loss, "reduction", "mean") in ("sum", "none", None)

    def check_divisible(self, reason: str) -> None:
        """Refuse a loss that cannot be added up from parts of a batch.

        Raises:
            InputError: the loss is a sum.
        """
        if self.is_sum:
            raise InputError(
                f"loss {self._loss.name}: reduction={self._loss.reduction!r} and {reason}: expected a mean, "
                f"reduction='sum_over_batch_size'."
            )

    def _count(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        if getattr(self._loss, "reduction", None) == "mean_with_sample_weight" and sample_weight is not None:
            return ops.sum(ops.cast(sample_weight, "float32"))
        ignored = getattr(self._loss, "ignore_class", None)
        if ignored is not None:
            return ops.sum(ops.cast(ops.not_equal(y_true, ignored), "float32"))
        return ops.cast(ops.shape(tree.flatten(y_pred)[0])[0], "float32")


def counted_losses(loss: Any, weights: Any = None) -> dict[str | None, CountedLoss]:
    """The losses of `compile` by the names of their outputs; None is the name of the only output."""
    if not isinstance(loss, Mapping):
        return {None: CountedLoss(loss, weights)}
    weights = weights if isinstance(weights, Mapping) else dict.fromkeys(loss, weights)
    return {name: CountedLoss(each, weights.get(name)) for name, each in loss.items() if each is not None}


def of_output(name: str | None, values: Any) -> Any:
    """The labels, predictions or sample weights of one output, if there are several outputs."""
    return values[name] if name is not None and isinstance(values, Mapping) else values
