"""Learned layer maps: every student layer is paired with every teacher layer, and each pair has a weight."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tinybert_tf import features
from tinybert_tf.distillation.losses.base import DistillationLoss, Means
from tinybert_tf.distillation.paired_layers import Compare, FeatureOf, Pairs
from tinybert_tf.errors import InputError
from tinybert_tf.trainable.replicas import sum_across_replicas


class LayerWeights(keras.layers.Layer):
    """The learned weights of one loss's pairs of layers, and the loss weighted by them; a `PairedLayers`.

    `matrix` holds the weights of the last training step, `(student layers, teacher layers)`; it prints as a table.

    Args:
        loss: the loss that compares two layers.
        name: the name it is logged under.
        students: the student's layers.
        teachers: the teacher's.
    """

    couples_rows = False

    def __init__(self, loss: DistillationLoss, name: str, students: Sequence[int], teachers: Sequence[int]) -> None:
        super().__init__(dtype="float32", name=f"{name}_layers")
        if loss.layers != "mapped":
            raise InputError(f"{name} compares layers as `{loss.layers}`; a learned layer map is for `mapped` ones.")
        self.loss_name = name
        self.students, self.teachers = tuple(students), tuple(teachers)
        self.matrix = self._variable("matrix", len(students), len(teachers))
        self.built = True

    def _variable(self, name: str, *shape: int) -> Any:
        """A variable of equal weights that sum to 1."""
        even = keras.initializers.Constant(1.0 / float(np.prod(shape)))
        return self.add_weight(shape=shape, initializer=even, trainable=False, aggregation="mean", name=name)

    @property
    def pairs(self) -> Pairs:
        """Every student layer with every teacher layer."""
        return tuple(itertools.product(self.students, self.teachers))

    @property
    def num_comparisons(self) -> int:
        """The number of comparisons in a call of `weigh`."""
        raise NotImplementedError

    def means(self, student: FeatureOf, teacher: FeatureOf, compare: Compare, training: bool) -> Means:
        """The loss of all layers; see `weigh`."""
        students, teachers = [student(layer) for layer in self.students], [teacher(layer) for layer in self.teachers]
        return self.weigh(students, teachers, compare, training)

    def weigh(self, students: Sequence[Any], teachers: Sequence[Any], compare: Compare, training: bool) -> Means:
        """The loss of all layers, from their features."""
        raise NotImplementedError

    def rows(self) -> list[tuple[int, int, float]]:
        """`(student_layer, teacher_layer, weight)` of every pair."""
        weights = ops.convert_to_numpy(self.matrix).ravel()
        return [(*pair, float(weight)) for pair, weight in zip(self.pairs, weights, strict=True)]

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

    The flow F between student and teacher layers is the cheapest that carries the layers' masses; the cost of a pair,
    D, is its loss. The loss is `sum F D`, F taken as constant. Then the masses learn: a layer that is cheaper to move
    gets more, `softmax((sum c / c_i) / tau)` with `c_i` the cost of a unit of its mass. Tau is an argument of the
    authors' code; here it is the number of layers, so that deeper models do not make sharper masses.

    F is found by Sinkhorn's iterations (Cuturi, arXiv 1306.0895) with an entropy of 0.05 of the costs' deviation. Costs
    are those of the whole batch on all devices together; parts of a batch would have other flows. Where a cost is not
    finite, the flow and the masses stay as they were.
    """

    couples_rows = True
    ITERATIONS = 200
    ENTROPY = 0.05

    def __init__(self, loss: DistillationLoss, name: str, students: Sequence[int], teachers: Sequence[int]) -> None:
        super().__init__(loss, name, students, teachers)
        self.masses = (self._variable("student_masses", len(students)), self._variable("teacher_masses", len(teachers)))

    @property
    def num_comparisons(self) -> int:
        """The number of pairs: every student layer with every teacher layer."""
        return len(self.students) * len(self.teachers)

    def weigh(self, students: Sequence[Any], teachers: Sequence[Any], compare: Compare, training: bool) -> Means:
        """The terms of `sum F D`: totals times F, and counts."""
        compared = [compare(ours, theirs) for ours in students for theirs in teachers]
        totals, counts = (ops.stack([[mean[side] for mean in means] for means in compared]) for side in (0, 1))
        sums = [sum_across_replicas(ops.stop_gradient(each)) for each in (totals, counts)]
        costs = ops.reshape(ops.sum(ops.divide_no_nan(*sums), axis=-1), self.matrix.shape)
        are_finite = ops.all(ops.isfinite(costs))
        flow = cheapest_flow(costs, *self.masses, self.ENTROPY, self.ITERATIONS)
        flow = ops.where(are_finite, flow, self.matrix)
        if training:
            self.matrix.assign(flow)
            for axis, masses in enumerate(self.masses):
                masses.assign(ops.where(are_finite, _learned_masses(masses, flow * costs, axis), masses))
        weighted = ops.reshape(totals, (*self.matrix.shape, -1)) * flow[:, :, None]
        flat = ops.reshape(weighted, (-1,)), ops.reshape(counts, (-1,))
        return list(zip(*(ops.unstack(each, num=len(compared) * len(compared[0])) for each in flat), strict=True))


class LayerAttention(LayerWeights):
    """Each student layer learns from a mixture of all teacher layers (ALP-KD, Passban et al., arXiv 2012.14022).

    `C_i = sum_j e_ij H_T^j` with `e_ij = softmax_j(h_S^i . h_T^j)`, where h are a text's hidden states of [CLS]. The
    loss compares the projected `H_S^i` with `C_i`, and is summed over student layers. `matrix` is the mean of e over
    the batch, or over its last part.
    """

    def __init__(self, loss: DistillationLoss, name: str, students: Sequence[int], teachers: Sequence[int]) -> None:
        if not (loss.feature == features.HIDDEN_STATES and loss.projected):
            raise InputError(
                f"{name}: layer map 'attention' mixes hidden states of one width; expected a loss that compares these "
                f"projected, such as `hidden_state` or `cosine`."
            )
        super().__init__(loss, name, students, teachers)
        self.matrix.assign(np.full(self.matrix.shape, 1.0 / len(teachers)))

    @property
    def num_comparisons(self) -> int:
        """The number of student layers: each is compared once."""
        return len(self.students)

    def weigh(self, students: Sequence[Any], teachers: Sequence[Any], compare: Compare, training: bool) -> Means:
        """The loss between each student layer and its mixture."""
        layers = ops.cast(ops.stack(list(teachers), axis=1), "float32")  # (batch, teachers, seq_len, width)
        compared: Means = []
        sums = []
        for ours in students:
            first = ops.cast(ours[:, 0], "float32")
            attention = _softmax(ops.einsum("bw,btw->bt", first, layers[:, :, 0]))
            compared += compare(ours, ops.einsum("bt,btsw->bsw", attention, layers))
            sums.append(ops.sum(attention, axis=0))
        if training:
            texts = ops.cast(ops.shape(layers)[0], "float32")
            matrix, texts = sum_across_replicas([ops.stack(sums), texts])
            self.matrix.assign(matrix / ops.maximum(texts, 1.0))
        return compared


LEARNED_MAPS: dict[str, type[LayerWeights]] = {"emd": EarthMover, "attention": LayerAttention}


# The number of scalings before they go into the exponents, and the lower bound of a flow or a sum of flows there.
SCALINGS = 10
LEAST = 1e-30


def _softmax(values: Any) -> Any:
    """Softmax over the last axis, without Keras's warning for a model of one layer."""
    return ops.exp(ops.log_softmax(values, axis=-1))


def _learned_masses(masses: Any, moved: Any, axis: int) -> Any:
    """The masses of one side's layers, from the cost that each has paid, `flow * costs`."""
    cost = ops.sum(moved, axis=1 - axis) / ops.maximum(masses, 1e-6)
    share = ops.sum(cost) / ops.maximum(cost, 1e-6 * ops.max(cost) + 1e-12)
    return _softmax(share / share.shape[0])


def cheapest_flow(costs: Any, supply: Any, demand: Any, entropy: float, iterations: int) -> Any:
    """The cheapest flow `(n, m)` with sums `supply` `(n,)` and `demand` `(m,)`, smoothed; `costs` are `(n, m)`.

    The iterations scale rows and columns by turns; after every `SCALINGS` of them the scales go into the exponents
    (Schmitzer, arXiv 1610.06519), so that they stay finite without a logarithm in each iteration.
    """
    scores = (ops.min(costs) - costs) / ops.maximum(entropy * ops.std(costs), 1e-12)
    scores = scores + (ops.log(supply) - ops.logsumexp(scores, axis=1))[:, None]

    def balance(_: Any, scores: Any) -> Any:
        kernel = ops.maximum(ops.exp(scores), LEAST)
        rows, columns = ops.ones_like(supply), ops.ones_like(demand)
        for _ in range(SCALINGS):
            columns = demand / ops.maximum(ops.matmul(rows, kernel), LEAST)
            rows = supply / ops.maximum(ops.matmul(kernel, columns), LEAST)
        columns = demand / ops.maximum(ops.matmul(rows, kernel), LEAST)
        return scores + ops.log(rows)[:, None] + ops.log(columns)[None, :]

    return ops.exp(ops.fori_loop(0, -(-iterations // SCALINGS), balance, scores))
