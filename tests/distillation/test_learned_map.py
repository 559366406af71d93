"""Learned layer maps: flows against linear programming, both losses by hand, what is learned, and every refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from scipy.optimize import linprog
from scipy.special import softmax

from tinybert_tf import AttentionLoss, DistillationLoss, Distiller, EmbeddingLoss, HiddenStateLoss, InputError
from tinybert_tf.distillation.learned_map import EarthMover, cheapest_flow
from tinybert_tf.distillation.losses import LOSSES

LABELS = np.array([0, 1, 2])


def exact_flow(costs: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """The earth mover's flow by linear programming."""
    rows, columns = costs.shape
    sums = [np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))]
    found = linprog(costs.ravel(), A_eq=np.vstack(sums), b_eq=np.concatenate([supply, demand]))
    return found.x.reshape(costs.shape)


def learned(layer_map: str, make_model: Callable[..., Any], losses: Any = None) -> Distiller:
    teacher, student = make_model(seed=1, num_hidden_layers=4), make_model(seed=2)
    distiller = Distiller(teacher, student, layer_map=layer_map, losses=losses or [HiddenStateLoss()])
    distiller.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    return distiller


def hidden_states(distiller: Distiller, inputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Those of layers 1..N, `(layers, batch, seq_len, width)`."""
    return tuple(
        np.stack([np.asarray(states) for layer, states in sorted(features.items()) if layer > 0])
        for features in (
            model(inputs, output_hidden_states=True)["hidden_states"]
            for model in (distiller.student, distiller.teacher)
        )
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_flow_is_nearly_the_cheapest(seed: int) -> None:
    generator = np.random.default_rng(seed)
    costs = generator.uniform(0.5, 2.0, (4, 12))
    supply, demand = generator.dirichlet(np.full(4, 5.0)), generator.dirichlet(np.full(12, 5.0))
    tensors = [ops.convert_to_tensor(each, "float32") for each in (costs, supply, demand)]
    flow = np.asarray(cheapest_flow(*tensors, EarthMover.ENTROPY, EarthMover.ITERATIONS))
    np.testing.assert_allclose(flow.sum(axis=1), supply, rtol=0.02)
    np.testing.assert_allclose(flow.sum(axis=0), demand, rtol=1e-4)
    best = (exact_flow(costs, supply, demand) * costs).sum()
    assert best * 0.99 < (flow * costs).sum() < best * 1.05


def test_equal_costs_and_none() -> None:
    even = np.full(2, 0.5, "float32")
    for cost in (0.0, 3.0):
        flow = cheapest_flow(ops.full((2, 2), cost), even, even, EarthMover.ENTROPY, 10)
        np.testing.assert_allclose(flow, 0.25, rtol=1e-5)


def test_earth_mover_by_hand(make_model: Callable[..., Any], make_inputs: Callable[..., Any]) -> None:
    distiller, inputs = learned("emd", make_model), make_inputs([5, 3, 4])
    (weights,) = distiller.layer_weights
    np.testing.assert_allclose(weights.matrix, 1 / 8)
    ours, theirs = hidden_states(distiller, inputs)
    mask = inputs["attention_mask"]
    squared = ((ours[:, None] - theirs[None]) ** 2).mean(axis=-1)  # (students, teachers, batch, seq_len)
    costs = (squared * mask).sum(axis=(2, 3)) / mask.sum()
    flow = exact_flow(costs, np.full(2, 1 / 2), np.full(4, 1 / 4))
    evaluated = distiller.test_on_batch(inputs, LABELS, return_dict=True)
    assert float(evaluated["loss"]) == pytest.approx((flow * costs).sum(), rel=0.01)
    np.testing.assert_allclose(weights.matrix, 1 / 8)  # evaluation does not teach
    distiller.train_on_batch(inputs, LABELS)
    np.testing.assert_allclose(weights.matrix, flow, atol=0.05)
    moved = np.asarray(weights.matrix) * costs
    for axis, masses in enumerate(weights.masses):
        cost = moved.sum(axis=1 - axis) * len(costs.sum(axis=1 - axis))  # of a unit of mass
        np.testing.assert_allclose(masses, softmax(cost.sum() / cost / len(cost)), rtol=1e-3)
        assert np.argmax(masses) == np.argmin(cost)


def test_attention_by_hand(make_model: Callable[..., Any], make_inputs: Callable[..., Any]) -> None:
    distiller, inputs = learned("attention", make_model), make_inputs([5, 3, 4])
    (weights,) = distiller.layer_weights
    np.testing.assert_allclose(weights.matrix, 1 / 4)
    ours, theirs = hidden_states(distiller, inputs)
    attention = softmax(np.einsum("ibw,jbw->ibj", ours[:, :, 0], theirs[:, :, 0]), axis=-1)
    mixtures = np.einsum("ibj,jbsw->ibsw", attention, theirs)
    mask = inputs["attention_mask"]
    expected = (((ours - mixtures) ** 2).mean(axis=-1) * mask).sum() / mask.sum()
    logs = distiller.train_on_batch(inputs, LABELS, return_dict=True)
    assert float(logs["loss"]) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(weights.matrix, attention.mean(axis=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer_map", ["emd", "attention"])
def test_a_narrower_student_learns_in_graph_mode(
    layer_map: str, make_model: Callable[..., Any], make_inputs: Callable[..., Any]
) -> None:
    teacher, student = make_model(seed=1, hidden_size=24, num_hidden_layers=3), make_model(seed=2)
    distiller = Distiller(teacher, student, layer_map=layer_map, losses=[EmbeddingLoss(), HiddenStateLoss()])
    distiller.compile(optimizer=keras.optimizers.Adam(3e-3))
    assert [weights.loss_name for weights in distiller.layer_weights] == ["hidden_state_loss"]
    losses = []
    for _ in range(15):
        logs = distiller.train_on_batch(make_inputs([5, 3, 4]), LABELS, return_dict=True)
        losses.append(float(logs["hidden_state_loss"]))
        distiller.reset_metrics()
    assert losses[-1] < 0.9 * losses[0]
    matrix = np.asarray(distiller.layer_weights[0].matrix)
    assert matrix.shape == (2, 3)
    assert np.ptp(matrix) > 1e-3
    assert len(distiller.student.trainable_variables) < len(distiller.trainable_variables)  # and the projection
    assert not distiller.layer_weights[0].trainable_variables


@pytest.mark.parametrize("layer_map", ["emd", "attention"])
def test_models_of_one_layer(layer_map: str, make_model: Callable[..., Any], make_inputs: Callable[..., Any]) -> None:
    teacher, student = make_model(seed=1, num_hidden_layers=1), make_model(seed=2, num_hidden_layers=1)
    logged = []
    for chosen in (layer_map, "uniform"):
        distiller = Distiller(teacher, student, layer_map=chosen, losses=[HiddenStateLoss()])
        distiller.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
        logged.append(float(distiller.train_on_batch(make_inputs([5, 3, 4]), LABELS, return_dict=True)["loss"]))
    assert logged[0] == pytest.approx(logged[1], rel=1e-5)


def test_it_prints_as_a_table(make_model: Callable[..., Any]) -> None:
    (weights,) = learned("emd", make_model).layer_weights
    weights.matrix.assign([[0.5, 0, 0, 0.125], [0, 0.25, 0.125, 0]])
    assert str(weights) == (
        "layer map of hidden_state_loss\n"
        "student  teacher      1      2      3      4\n"
        "      1           0.500  0.000  0.000  0.125\n"
        "      2           0.000  0.250  0.125  0.000"
    )
    assert weights.rows()[5] == (2, 2, 0.25)


@pytest.mark.parametrize(
    ("layer_map", "loss", "message"),
    [
        ("attention", AttentionLoss(), "attention_loss: layer map 'attention' mixes hidden states of one width"),
        ("attention", LOSSES["cka"](), "cka_loss: layer map 'attention' mixes hidden states of one width"),
        ("emd", LOSSES["fsp"](), "fsp_loss compares layers as `consecutive`; a learned layer map is for `mapped` ones"),
    ],
)
def test_losses_that_a_learned_map_is_not_for(
    layer_map: str, loss: Any, message: str, make_model: Callable[..., Any]
) -> None:
    with pytest.raises(InputError, match=message):
        learned(layer_map, make_model, [loss])


def test_every_loss_keeps_a_map_of_its_own(make_model: Callable[..., Any], make_inputs: Callable[..., Any]) -> None:
    distiller = learned("emd", make_model, [AttentionLoss(), HiddenStateLoss(), LOSSES["value_relation"]()])
    distiller.train_on_batch(make_inputs([5, 3, 4]), LABELS)
    matrices = [np.asarray(weights.matrix) for weights in distiller.layer_weights]
    assert len(matrices) == 3
    for matrix in matrices:
        assert matrix.sum() == pytest.approx(1.0, rel=1e-4)
    assert not np.allclose(matrices[0], matrices[1], atol=1e-3)


class InfiniteOnce(DistillationLoss):
    """Cannot compare the first pair that it is given."""

    feature = "hidden_states"
    calls = 0

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        self.calls += 1
        return ops.mean(ops.square(student - teacher)) * (1.0 if self.calls > 1 else np.inf)


def test_one_infinite_cost_is_forgotten(make_model: Callable[..., Any], make_inputs: Callable[..., Any]) -> None:
    loss, inputs = InfiniteOnce(), make_inputs([5, 3, 4])
    distiller = learned("emd", make_model, [loss])
    (weights,) = distiller.layer_weights
    loss.calls = 0  # the shapes were looked at
    distiller.compute_loss(x=inputs, y=LABELS, y_pred=distiller(inputs), training=True)
    np.testing.assert_allclose(weights.matrix, 1 / 8)
    distiller.train_on_batch(inputs, LABELS)
    for variable in (weights.matrix, *weights.masses):
        assert np.isfinite(variable).all()
        assert np.sum(variable) == pytest.approx(1.0, rel=1e-4)
