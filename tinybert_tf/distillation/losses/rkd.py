"""Relational knowledge distillation."""

from __future__ import annotations

import logging
from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import length, scaled, unit
from tinybert_tf.distillation.losses.base import DistillationLoss
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError

logger = logging.getLogger(__name__)

ANGLE_ROWS = 64
# For angles, their differences and gradients, in both models.
BYTES_A_TRIPLE = 28


class RKDLoss(DistillationLoss):
    """Distances and angles among a batch's [CLS] vectors, for each mapped pair (Park et al., arXiv 1904.05068).

    `w_D mean huber(d_T(i, j) - d_S(i, j)) + w_A mean huber(cos_T(i, j, k) - cos_S(i, j, k))`: d is
    the distance of two examples, divided by the mean distance; cos is the cosine of the angle at j. The means are over
    the pairs and triples of different examples. Vectors may have any width, and are not projected. A batch of two
    teaches nothing: their distance is the mean distance. On several devices, pairs and triples are within each device's
    part of the batch, and both means are over all devices.

    Angles take about `28 * rows**3` bytes of memory for each pair of layers.

    Args:
        distance_weight: w_D, at least 0.
        angle_weight: w_A, at least 0; twice the other in the paper.
        angle_rows: the most rows of a batch whose angles are compared, at least 3; from a larger batch the loss takes
            evenly spaced rows. A value above the default logs the memory that it needs.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: a weight below 0, or both 0; `angle_rows` below 3.

    Example:
        >>> import numpy as np
        >>> student = np.array([[[0.0, 0.0]], [[3.0, 0.0]], [[0.0, 4.0]]])
        >>> float(RKDLoss()(student=student, teacher=7 * student, mask=np.ones((3, 1))))
        0.0
    """

    feature = "hidden_states"
    mean_over = "rows"
    any_width = True
    couples_rows = True
    min_rows = 3

    def __init__(
        self,
        distance_weight: float = 1.0,
        angle_weight: float = 2.0,
        weight: Weight = 1.0,
        name: str | None = None,
        angle_rows: int = ANGLE_ROWS,
    ) -> None:
        super().__init__(weight=weight, name=name)
        for argument, value in (("distance_weight", distance_weight), ("angle_weight", angle_weight)):
            if not 0 <= value < float("inf"):
                raise InputError(f"{type(self).__name__}: {argument}={value}; expected a number >= 0.")
        if distance_weight == angle_weight == 0:
            raise InputError(f"{type(self).__name__}: both weights are 0, and so is the loss; expected one above 0.")
        if not isinstance(angle_rows, int) or angle_rows < 3:
            raise InputError(f"{type(self).__name__}: angle_rows={angle_rows!r}; expected an integer >= 3.")
        if angle_rows > ANGLE_ROWS:
            megabytes = BYTES_A_TRIPLE * angle_rows**3 / 2**20
            logger.warning(f"{self.name}: angles of {angle_rows} rows take {megabytes:,.0f} MiB a pair of layers.")
        self.distance_weight, self.angle_weight = float(distance_weight), float(angle_weight)
        self.angle_rows = angle_rows

    @property
    def num_means(self) -> int:
        """Over pairs, and over triples."""
        return 2

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair of layers: `(total, count)` of distances and of angles."""
        rows = ops.shape(student)[0]
        distances = _compared(_distances, student[:, 0], teacher[:, 0])
        chosen = ops.minimum(rows, self.angle_rows)
        rows_of_angles = ops.arange(chosen) * rows // ops.maximum(chosen, 1)
        student, teacher = (ops.take(vectors[:, 0], rows_of_angles, axis=0) for vectors in (student, teacher))
        angles = _compared(_angles, student, teacher)
        return [scaled(self.distance_weight, distances), scaled(self.angle_weight, angles)]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "distance_weight": self.distance_weight,
            "angle_weight": self.angle_weight,
            "angle_rows": self.angle_rows,
        }


def _compared(relation: Any, student: Any, teacher: Any) -> tuple[Any, Any]:
    """`(total, count)` of Huber's loss between relations of different rows of `(rows, width)`."""
    pairs = 1.0 - ops.eye(ops.shape(student)[0], dtype="float32")  # (rows, rows), 1 for two different examples
    (ours, counted), (theirs, _) = (relation(vectors, pairs) for vectors in (student, teacher))
    counted = ops.where(ops.shape(student)[0] > 2, counted, 0.0)
    size = ops.abs(theirs - ours)
    huber = ops.where(size <= 1.0, 0.5 * ops.square(size), size - 0.5)
    return ops.sum(huber * counted), ops.sum(counted)


def _distances(vectors: Any, pairs: Any) -> tuple[Any, Any]:
    """Distances over their mean, `(rows, rows)`, and 1 where they count."""
    distances = length(_differences(vectors))
    mean = ops.sum(distances * pairs) / ops.maximum(ops.sum(pairs), 1.0)
    return distances / ops.maximum(mean, 1e-6), pairs


def _angles(vectors: Any, pairs: Any) -> tuple[Any, Any]:
    """Cosines at the first of three examples, `(rows, rows, rows)`, and 1 where they count."""
    directions = unit(_differences(vectors))
    cosines = ops.matmul(directions, ops.transpose(directions, (0, 2, 1)))
    return cosines, pairs[:, :, None] * pairs[:, None, :] * pairs[None, :, :]


def _differences(vectors: Any) -> Any:
    """`[j, i]`: from j to i."""
    return vectors[None, :, :] - vectors[:, None, :]
