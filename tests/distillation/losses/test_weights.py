"""Weights that change: the line, its refusals, and what a Distiller makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tinybert_tf import Distiller, HiddenStateLoss, InputError, LogitsMSELoss, WeightSchedule


@pytest.mark.parametrize(("step", "weight"), [(0, 0.2), (1, 0.4), (2, 0.6), (4, 1.0), (5, 1.0), (10**6, 1.0)])
def test_a_straight_line_that_ends(step: int, weight: float) -> None:
    assert float(WeightSchedule(0.2, 1.0, steps=4)(step)) == pytest.approx(weight, rel=1e-6)
    assert float(WeightSchedule(0.2, 1.0, steps=4)(ops.convert_to_tensor(step))) == pytest.approx(weight, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 0.0, 1), "start=-1.0; expected a number >= 0"),
        ((1.0, float("nan"), 1), "end=nan; expected a number >= 0"),
        ((1.0, 0.0, 0), "steps=0; expected a number >= 1"),
    ],
)
def test_refusals(arguments: tuple[float, float, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WeightSchedule(*arguments)


def test_a_loss_keeps_it() -> None:
    loss = HiddenStateLoss(weight=WeightSchedule(1.0, 0.0, 10))
    assert HiddenStateLoss.from_config(loss.get_config()).weight == WeightSchedule(1.0, 0.0, 10)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_the_sum_follows_the_optimizers_steps(
    dtype: str, make_model: Callable[..., Any], make_inputs: Callable[..., Any]
) -> None:
    losses = [
        HiddenStateLoss(weight=WeightSchedule(3.0, 1.0, steps=2)),
        LogitsMSELoss(weight=lambda step: ops.cast(step, "float32")),  # any function of the step
    ]
    teacher, student = (make_model(seed, of, num_hidden_layers=1) for seed, of in ((1, None), (2, dtype)))
    distiller = Distiller(teacher, student, losses=losses)
    distiller.compile(optimizer=keras.optimizers.SGD(1e-3))  # traced: the weight is no constant of the first trace
    batch = make_inputs([5, 3]), np.array([0, 1])
    for step, (first, second) in enumerate([(3.0, 0.0), (2.0, 1.0), (1.0, 2.0), (1.0, 3.0)]):
        evaluated = distiller.test_on_batch(*batch, return_dict=True)
        distiller.reset_metrics()
        logs = distiller.train_on_batch(*batch, return_dict=True)
        distiller.reset_metrics()
        for values in (evaluated, logs):
            hidden, logits = float(values["hidden_state_loss"]), float(values["logits_mse_loss"])
            assert float(values["loss"]) == pytest.approx(first * hidden + second * logits, rel=1e-4), step
