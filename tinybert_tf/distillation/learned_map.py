"""Layer maps that are learned: every student layer with every teacher layer, and how much each pair weighs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tinybert_tf import features
from tinybert_tf.distillation.losses.base import DistillationLoss
from tinybert_tf.distillation.replicas import num_replicas, sum_across_replicas
from tinybert_tf.errors import InputError

Compare = Callable[[Any, Any], Any]  # (student, teacher) to the loss of the two


class LayerWeights(keras.layers.Layer):
    """The weights of one loss's pairs, `(student layers, teacher layers)`, and the loss that they make of the pairs.

    `matrix` holds those of the last training step; it prints as a table.

    Args:
        loss: what compares two layers.
        name: the name it is logged under.
        students: the student's layers.
        teachers: the teacher's.
    """

    def __init__(self, loss: DistillationLoss, name: str, students: Sequence[int], teachers: Sequence[int]) -> None:
        super().__init__(dtype="float32", name=f"{name}_layers")
        if loss.layers != "mapped":
            raise InputError(f"{name} compares layers as `{loss.layers}`; a learned layer map is for `mapped` ones.")
        self.loss_name = name
        self.students, self.teachers = tuple(students), tuple(teachers)
        self.matrix = self._variable("matrix", len(students), len(teachers))
        self.built = True

    def _variable(self, name: str, *shape: int) -> Any:
        """Weights that sum to 1, all equal."""
        even = keras.initializers.Constant(1.0 / float(np.prod(shape)))
        return self.add_weight(shape=shape, initializer=even, trainable=False, aggregation="mean", name=name)

    def weigh(self, students: Sequence[Any], teachers: Sequence[Any], compare: Compare, training: bool) -> Any:
        """The loss of all layers, a scalar, from their features."""
        raise NotImplementedError

    def rows(self) -> list[tuple[int, int, float]]:
        """`(student_layer, teacher_layer, weight)` of every pair."""
        matrix = ops.convert_to_numpy(self.matrix)
        return [
            (ours, theirs, float(matrix[i, j]))
            for i, ours in enumerate(self.students)
            for j, theirs in enumerate(self.teachers)
        ]

    def __str__(self) -> str:
        matrix = ops.convert_to_numpy(self.matrix)
        head = "student  teacher" + "".join(f"{layer:>7}" for layer in self.teachers)
        lines = [
            f"{layer:>7}         " + "".join(f"{weight:>7.3f}" for weight in row)
            for layer, row in zip(self.students, matrix, strict=True)
        ]
        return "\n".join([f"layer map of {self.loss_name}", head, *lines])


class EarthMover(LayerWeights):
    """Many-to-many by the earth mover's distance (BERT-EMD, Li et al., arXiv 2010.06133).

    The flow F between student and teacher layers is the cheapest that carries the layers' masses, where moving costs
    what the loss says of a pair, D; the loss is `sum F D`, F taken as constant. Then the masses learn: a layer of which
    moving costs less gets more, `softmax((sum c / c_i) / tau)` of the cost `c_i` of a unit of its mass. Tau is an
    argument of the authors' code; here it is the number of layers, so that depth does not sharpen.

    F is found by Sinkhorn's iterations (Cuturi, arXiv 1306.0895) with an entropy of 0.05 of the costs' deviation.
    """

    ITERATIONS = 200
    ENTROPY = 0.05

    def __init__(self, loss: DistillationLoss, name: str, students: Sequence[int], teachers: Sequence[int]) -> None:
        super().__init__(loss, name, students, teachers)
        self.masses = (self._variable("student_masses", len(students)), self._variable("teacher_masses", len(teachers)))

    def weigh(self, students: Sequence[Any], teachers: Sequence[Any], compare: Compare, training: bool) -> Any:
        """`sum F D`."""
        costs = ops.stack([ops.stack([compare(ours, theirs) for theirs in teachers]) for ours in students])
        known = sum_across_replicas(ops.stop_gradient(costs)) / num_replicas()
        flow = cheapest_flow(known, *self.masses, self.ENTROPY, self.ITERATIONS)
        if training:
            self.matrix.assign(flow)
            for axis, masses in enumerate(self.masses):
                cost = ops.sum(flow * known, axis=1 - axis) / ops.maximum(masses, 1e-6)
                share = ops.sum(cost) / ops.maximum(cost, 1e-6 * ops.max(cost) + 1e-12)
                masses.assign(_softmax(share / share.shape[0]))
        return ops.sum(flow * costs)


class LayerAttention(LayerWeights):
    """Each student layer learns from a mixture of all teacher layers (ALP-KD, Passban et al., arXiv 2012.14022).

    `C_i = sum_j e_ij H_T^j` with `e_ij = softmax_j(h_S^i . h_T^j)`, h the hidden states of [CLS], text by text. The
    loss compares `H_S^i`, projected first, with `C_i`, and is summed over student layers. `matrix` is the mean over the
    batch.
    """

    def __init__(self, loss: DistillationLoss, name: str, students: Sequence[int], teachers: Sequence[int]) -> None:
        if not (loss.feature == features.HIDDEN_STATES and loss.projected):
            raise InputError(
                f"{name}: layer map 'attention' mixes hidden states of one width; it is for losses that compare these "
                f"projected, such as `hidden_state` and `cosine`."
            )
        super().__init__(loss, name, students, teachers)
        self.matrix.assign(np.full(self.matrix.shape, 1.0 / len(teachers)))

    def weigh(self, students: Sequence[Any], teachers: Sequence[Any], compare: Compare, training: bool) -> Any:
        """The sum of the loss between each student layer and its mixture."""
        layers = ops.cast(ops.stack(list(teachers), axis=1), "float32")  # (batch, teachers, seq_len, width)
        total: Any = 0.0
        means = []
        for ours in students:
            first = ops.cast(ours[:, 0], "float32")
            attention = _softmax(ops.einsum("bw,btw->bt", first, layers[:, :, 0]))
            total = total + compare(ours, ops.einsum("bt,btsw->bsw", attention, layers))
            means.append(sum_across_replicas(ops.sum(attention, axis=0)))
        if training:
            texts = sum_across_replicas(ops.cast(ops.shape(layers)[0], "float32"))
            self.matrix.assign(ops.stack(means) / ops.maximum(texts, 1.0))
        return total


LEARNED_MAPS: dict[str, type[LayerWeights]] = {"emd": EarthMover, "attention": LayerAttention}


def _softmax(values: Any) -> Any:
    """Along the last axis, without Keras's warning where a model has one layer."""
    return ops.exp(ops.log_softmax(values, axis=-1))


def cheapest_flow(costs: Any, supply: Any, demand: Any, entropy: float, iterations: int) -> Any:
    """The flow `(n, m)` with sums `supply` `(n,)` and `demand` `(m,)` that costs least, smoothed; costs `(n, m)`."""
    scores = (ops.min(costs) - costs) / ops.maximum(entropy * ops.std(costs), 1e-12)
    log_supply, log_demand = ops.log(supply), ops.log(demand)

    def balance(_: Any, potentials: tuple[Any, Any]) -> tuple[Any, Any]:
        rows = log_supply - ops.logsumexp(scores + potentials[1][None, :], axis=1)
        return rows, log_demand - ops.logsumexp(scores + rows[:, None], axis=0)

    start = (ops.zeros_like(log_supply), ops.zeros_like(log_demand))
    rows, columns = ops.fori_loop(0, iterations, balance, start)
    return ops.exp(scores + rows[:, None] + columns[None, :])
