"""Totals and counts: a scalar and its pair give one gradient; what cannot be learned, or is no label, is no mean."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tinybert_tf import DistillationLoss, Distiller, DKDLoss, InputError, PredictionLoss, RKDLoss
from tinybert_tf.distillation.losses import LOSSES
from tinybert_tf.distillation.losses.arithmetic import masked_mean

MakeModel = Callable[..., Any]
LABELS = np.array([0, 1, 2, 1])


class Scalar(DistillationLoss):
    """A scalar, the mean over real tokens, as 0.1 asked for."""

    feature = "hidden_states"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return masked_mean(ops.mean(ops.abs(student - teacher), axis=-1), mask)


class Pair(Scalar):
    """The same, by its total and its count."""

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        apart = ops.mean(ops.abs(student - teacher), axis=-1) * mask
        return ops.sum(apart), ops.sum(mask)


class Rows(Scalar):
    """A class variable of 0.1: a mean over texts."""

    mean_over = "rows"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.mean(ops.abs(student[:, 0] - teacher[:, 0]))


class RowsPair(Rows):
    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        apart = ops.mean(ops.abs(student[:, 0] - teacher[:, 0]), axis=-1)
        return ops.sum(apart), ops.sum(ops.ones_like(apart))


@pytest.mark.parametrize(("scalar", "pair"), [(Scalar, Pair), (Rows, RowsPair)])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_scalar_is_a_mean(
    scalar: Any, pair: Any, parts: int, make_model: MakeModel, make_inputs: Callable[..., Any]
) -> None:
    def stepped(loss: DistillationLoss, parts: int) -> tuple[np.ndarray, float]:
        distiller = Distiller(make_model(seed=1), make_model(seed=2, num_hidden_layers=1), losses=[loss])
        before = [variable.numpy() for variable in distiller.trainable_variables]
        distiller.compile(optimizer=keras.optimizers.SGD(1.0), accumulation_steps=parts, run_eagerly=True)
        logged = distiller.train_on_batch(make_inputs([9, 2, 1, 5]), LABELS, return_dict=True)
        after = distiller.trainable_variables
        steps = [(one - two.numpy()).ravel() for one, two in zip(before, after, strict=True)]
        return np.concatenate(steps), float(logged["loss"])

    (whole, value), (ours, ours_value) = stepped(pair(), 1), stepped(scalar(), parts)
    assert ours_value == pytest.approx(value, rel=1e-5)
    assert np.linalg.norm(whole - ours) <= 1e-5 * np.linalg.norm(whole)


@pytest.mark.parametrize("result", [(1.0,), [(1.0, 2.0)] * 2, (1.0, 2.0, 3.0), [1.0]])
def test_pairs_are_as_many_as_the_loss_says(result: Any) -> None:
    class Odd(Scalar):
        def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
            return result

    zeros = np.zeros((1, 2, 3))
    with pytest.raises(InputError, match=r"^Odd\.call returned .*; expected a scalar tensor, or \(total, count\)"):
        Odd()(student=zeros, teacher=zeros, mask=np.ones((1, 2)))


# === What cannot be learned ===


@pytest.mark.parametrize(
    ("loss", "size", "message"),
    [
        (LOSSES["standardized_kl"](), 2, "found a last axis of 2, which makes the loss constant; expected 3 or more"),
        (DKDLoss(alpha=0.0), 2, "expected alpha > 0"),
        (LOSSES["kl"](), 1, "one column"),
        (PredictionLoss(), 1, "one class always has the probability 1"),
        (LOSSES["cosine"](), 1, "found a last axis of 1.*expected 2 or more"),
        (LOSSES["pkd"](), 1, "found a last axis of 1.*expected 2 or more"),
    ],
)
def test_a_constant_is_refused(loss: DistillationLoss, size: int, message: str) -> None:
    shape = (2, size) if loss.feature == "logits" else (2, 3, size)
    student, teacher = (np.random.default_rng(seed).normal(size=shape) for seed in (0, 1))
    with pytest.raises(InputError, match=message):
        loss(student=student, teacher=teacher, mask=np.ones((2, 3)), labels=np.array([0, 1]), predicts="classes")


@pytest.mark.parametrize("arguments", [{"distance_weight": 0, "angle_weight": 0}, {"angle_rows": 2}])
def test_an_rkd_of_nothing(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        RKDLoss(**arguments)


@pytest.mark.parametrize("rows", [1, 2])
def test_small_batches_count_nothing(rows: int) -> None:
    """Two vectors have always their mean distance, two tokens are always aligned."""
    student, teacher = (np.random.default_rng(seed).normal(size=(rows, 1, 4)) for seed in (0, 1))
    for name in ("rkd", "cka"):
        pairs = LOSSES[name]().means(student, teacher, np.ones((rows, 1)))
        assert [(float(total), float(count)) for total, count in pairs] == [(0.0, 0.0)] * len(pairs)


def test_batches_in_which_a_loss_is_constant(make_model: MakeModel, make_inputs: Callable[..., Any]) -> None:
    distiller = Distiller(make_model(seed=1), make_model(seed=2), losses=[RKDLoss()])
    distiller.compile(optimizer="sgd")
    with pytest.raises(InputError, match="rkd_loss: found batches of 2 rows on 1 devices"):
        distiller.fit(make_inputs([3, 4, 5, 6]), LABELS, batch_size=2, verbose=0)


@pytest.mark.parametrize(("name", "layer_map"), [("rkd", "uniform"), ("cka", "uniform"), ("hidden_state", "emd")])
def test_what_couples_rows_is_not_taken_in_parts(name: str, layer_map: str, make_model: MakeModel) -> None:
    distiller = Distiller(make_model(seed=1), make_model(seed=2), layer_map, losses=[LOSSES[name]()])
    with pytest.raises(InputError, match=f"accumulation_steps=2: {name}_loss compares the rows"):
        distiller.compile(optimizer="sgd", accumulation_steps=2)


def test_angles_of_a_large_batch(caplog: pytest.LogCaptureFixture) -> None:
    """64 of 256 rows are compared, every fourth; for more rows a log line gives the memory."""
    student, teacher = (np.random.default_rng(seed).normal(size=(256, 1, 2)) for seed in (0, 1))
    angles = RKDLoss(distance_weight=0.0)
    of_all = float(angles(student=student, teacher=teacher, mask=np.ones((256, 1))))
    of_chosen = float(angles(student=student[::4], teacher=teacher[::4], mask=np.ones((64, 1))))
    assert of_all == pytest.approx(of_chosen, rel=1e-6)
    (_, pairs), (_, triples) = RKDLoss().means(student, teacher, np.ones((256, 1)))
    assert (float(pairs), float(triples)) == (256 * 255, 64 * 63 * 62)
    with caplog.at_level(logging.WARNING):
        RKDLoss(angle_rows=256)
    assert "angles of 256 rows take 448 MiB a pair of layers" in caplog.text


# === Labels ===


@pytest.mark.parametrize("loss", [PredictionLoss(hard_label_weight=1.0), DKDLoss()])
def test_labels_of_one_column(loss: DistillationLoss) -> None:
    student, teacher = (np.random.default_rng(seed).normal(size=(4, 3)) for seed in (0, 1))
    plain, column = (float(loss(student=student, teacher=teacher, labels=each)) for each in (LABELS, LABELS[:, None]))
    assert column == plain
    if isinstance(loss, PredictionLoss):
        log_sums = np.log(np.exp(student).sum(axis=1))
        assert plain == pytest.approx(np.mean(log_sums - student[np.arange(4), LABELS]), rel=1e-5)
    with pytest.raises(InputError, match=r"labels: found shape \(4, 2\), expected \(4,\)"):
        loss(student=student, teacher=teacher, labels=np.zeros((4, 2), "int32"))
    assert np.isnan(loss(student=student, teacher=teacher, labels=np.array([0, 1, 3, 2])))


def test_missing_labels_do_not_weigh(make_model: MakeModel, make_inputs: Callable[..., Any]) -> None:
    """Logs of an epoch: each label counts alike, whatever batch it is in."""
    distiller = Distiller(make_model(seed=1), make_model(seed=2), losses=[PredictionLoss(hard_label_weight=1.0)])
    distiller.compile(optimizer="sgd", run_eagerly=True)
    inputs, labels = make_inputs([3, 5, 4, 6]), np.array([0, -100, 1, 2])
    whole, halves = (
        distiller.evaluate(inputs, labels, batch_size=size, return_dict=True, verbose=0) for size in (4, 2)
    )
    assert halves == pytest.approx(whole, rel=1e-5)


def test_rows_may_be_weighed_nowhere(make_model: MakeModel, make_inputs: Callable[..., Any]) -> None:
    distiller = Distiller(make_model(seed=1), make_model(seed=2), losses=[PredictionLoss()])
    distiller.compile(optimizer="sgd")
    for name, given in (("class_weight", {0: 2.0}), ("sample_weight", np.ones(4))):
        with pytest.raises(InputError, match=f"^{name}: Distiller takes none"):
            distiller.fit(make_inputs([3, 4, 5, 6]), LABELS, verbose=0, **{name: given})


def test_other_data_are_not_traced_again(make_model: MakeModel, make_inputs: Callable[..., Any]) -> None:
    distiller = Distiller(make_model(seed=1), make_model(seed=2, num_hidden_layers=1), losses=[PredictionLoss()])
    distiller.compile(optimizer="sgd")
    traces = []
    compute_loss = distiller.compute_loss
    distiller.compute_loss = lambda *args, **given: traces.append(0) or compute_loss(*args, **given)  # type: ignore[func-returns-value]

    class Counted:
        """Data that say their rows' lengths, as batches of the library do."""

        def __init__(self, lengths: list[int]) -> None:
            self.row_lengths = np.array(lengths)

        def __len__(self) -> int:
            return 1

    for lengths in ([3, 4, 5], [6, 2, 1]):
        distiller.weigh_batches(Counted(lengths))
        data = tf.data.Dataset.from_tensors((make_inputs(lengths, seq_len=6), LABELS[:3]))
        distiller.evaluate(data, verbose=0)
    assert len(traces) == 1
