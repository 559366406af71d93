"""The four losses of TinyBERT: values and gradients equal torch's in float64, for both reductions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import AttentionLoss, EmbeddingLoss, HiddenStateLoss, PredictionLoss

RELATIVE = 1e-6


@pytest.fixture(scope="module")
def losses(golden: Callable[[str], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return golden("losses")


def assert_same(
    losses: dict[str, np.ndarray],
    key: str,
    loss: Callable[[dict[str, tf.Variable]], tf.Tensor],
    **inputs: str,
) -> None:
    """Compares `loss` and its gradient with respect to each of the golden inputs named."""
    variables = {name: tf.Variable(losses[f"inputs/{path}"]) for name, path in inputs.items()}
    with tf.GradientTape() as tape:
        value = loss(variables)
    assert value.dtype == tf.float32
    np.testing.assert_allclose(value, losses[f"{key}/value"], rtol=RELATIVE)
    gradients = tape.gradient(value, variables)
    for name, gradient in gradients.items():
        expected = losses[f"{key}/gradient/{name}"]
        # Differences of close numbers lose digits: an element is exact to 1e-6 of itself or of the largest element.
        atol = RELATIVE * np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, rtol=RELATIVE, atol=atol, err_msg=f"{key}, gradient of {name}")


@pytest.mark.parametrize("reduction", ["paper", "tokens"])
@pytest.mark.parametrize("pair", [(1, 2), (2, 4)])
def test_attention(losses: dict[str, np.ndarray], reduction: str, pair: tuple[int, int]) -> None:
    student_layer, teacher_layer = pair
    loss = AttentionLoss(reduction=reduction)
    teacher, mask = losses[f"inputs/teacher/attention_scores/{teacher_layer}"], losses["inputs/mask"]
    assert_same(
        losses,
        f"{reduction}/attention/{student_layer}-{teacher_layer}",
        lambda variables: loss(student=variables["student"], teacher=teacher, mask=mask),
        student=f"student/attention_scores/{student_layer}",
    )


@pytest.mark.parametrize("reduction", ["paper", "tokens"])
@pytest.mark.parametrize(
    ("loss_class", "pair"), [(EmbeddingLoss, (0, 0)), (HiddenStateLoss, (1, 2)), (HiddenStateLoss, (2, 4))]
)
def test_hidden_state(
    losses: dict[str, np.ndarray],
    reduction: str,
    loss_class: type[EmbeddingLoss | HiddenStateLoss],
    pair: tuple[int, int],
) -> None:
    student_layer, teacher_layer = pair
    loss = loss_class(reduction=reduction)
    teacher, mask = losses[f"inputs/teacher/hidden_states/{teacher_layer}"], losses["inputs/mask"]

    def projected(variables: dict[str, tf.Variable]) -> tf.Tensor:
        student = tf.einsum("bsi,oi->bso", variables["student"], variables["weight"]) + variables["bias"]
        return loss(student=student, teacher=teacher, mask=mask)

    assert_same(
        losses,
        f"{reduction}/hidden/{student_layer}-{teacher_layer}",
        projected,
        student=f"student/hidden_states/{student_layer}",
        weight="fit_dense/weight",
        bias="fit_dense/bias",
    )


@pytest.mark.parametrize(
    ("reduction", "temperature", "hard_label_weight"),
    [
        ("paper", 1.0, 0.0),
        ("paper", 2.5, 0.0),
        ("tokens", 1.0, 0.0),
        ("tokens", 2.5, 0.0),
        ("tokens", 1.0, 0.3),
        ("tokens", 2.5, 0.3),
    ],
)
def test_prediction(
    losses: dict[str, np.ndarray], reduction: str, temperature: float, hard_label_weight: float
) -> None:
    loss = PredictionLoss(temperature=temperature, hard_label_weight=hard_label_weight, reduction=reduction)
    arguments = {"teacher": losses["inputs/teacher/logits"], "mask": losses["inputs/mask"]}
    if hard_label_weight:
        arguments["labels"] = losses["inputs/labels"]
    assert_same(
        losses,
        f"{reduction}/prediction/{temperature}/{hard_label_weight}",
        lambda variables: loss(student=variables["student"], **arguments),
        student="student/logits",
    )
