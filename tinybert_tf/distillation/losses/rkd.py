"""Relational knowledge distillation."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import length
from tinybert_tf.distillation.losses.base import DistillationLoss, global_mean
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError


class RKDLoss(DistillationLoss):
    """Distances and angles among a batch's [CLS] vectors, for each mapped pair (Park et al., arXiv 1904.05068).

    `w_D mean huber(d_T(i, j) - d_S(i, j)) + w_A mean huber(cos_T(i, j, k) - cos_S(i, j, k))`: d is
    the distance of two examples, divided by the mean distance; cos that of the angle at j of three. The means are over
    the pairs and triples of different examples. Vectors may have any width, and are not projected. On several devices,
    pairs and triples are those of each device's part of the batch.

    Args:
        distance_weight: w_D, at least 0.
        angle_weight: w_A, at least 0; twice the other in the paper.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: a weight below 0.

    Example:
        >>> import numpy as np
        >>> student = np.array([[[0.0, 0.0]], [[3.0, 0.0]], [[0.0, 4.0]]])
        >>> float(RKDLoss()(student=student, teacher=7 * student, mask=np.ones((3, 1))))
        0.0
    """

    feature = "hidden_states"
    mean_over = "rows"
    any_width = True

    def __init__(
        self,
        distance_weight: float = 1.0,
        angle_weight: float = 2.0,
        weight: Weight = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(weight=weight, name=name)
        for argument, value in (("distance_weight", distance_weight), ("angle_weight", angle_weight)):
            if not 0 <= value < float("inf"):
                raise InputError(f"{type(self).__name__}: {argument}={value}; a number of at least 0 is wanted.")
        self.distance_weight, self.angle_weight = float(distance_weight), float(angle_weight)

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, a scalar."""
        pairs = 1.0 - ops.eye(ops.shape(student)[0], dtype="float32")  # (batch, batch), 1 for two different examples
        triples = pairs[:, :, None] * pairs[:, None, :] * pairs[None, :, :]
        (distances, cosines), (teacher_distances, teacher_cosines) = (
            _relations(vectors[:, 0], pairs) for vectors in (student, teacher)
        )
        return self.distance_weight * _mean_huber(
            teacher_distances - distances, pairs
        ) + self.angle_weight * _mean_huber(teacher_cosines - cosines, triples)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "distance_weight": self.distance_weight,
            "angle_weight": self.angle_weight,
        }


def _relations(vectors: Any, pairs: Any) -> tuple[Any, Any]:
    """Distances over their mean, `(batch, batch)`, and cosines at the first of three examples, `(batch,) * 3`."""
    differences = vectors[None, :, :] - vectors[:, None, :]  # [j, i]: from j to i
    distances = length(differences)
    directions = differences / distances[:, :, None]
    mean = ops.sum(distances * pairs) / ops.maximum(ops.sum(pairs), 1.0)
    cosines = ops.matmul(directions, ops.transpose(directions, (0, 2, 1)))
    return distances / ops.maximum(mean, 1e-6), cosines


def _mean_huber(differences: Any, counted: Any) -> Any:
    size = ops.abs(differences)
    huber = ops.where(size <= 1.0, 0.5 * ops.square(differences), size - 0.5)
    return global_mean(ops.sum(huber * counted), ops.sum(counted))
