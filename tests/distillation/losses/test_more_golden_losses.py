"""The losses beside TinyBERT's: values and gradients equal torch's in float64, padding full of large noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import (
    AttentionKLLoss,
    CKALoss,
    CosineLoss,
    DistillationLoss,
    DKDLoss,
    FSPLoss,
    GramLoss,
    KeyRelationLoss,
    KLLoss,
    LogitsMSELoss,
    NSTLoss,
    PKDLoss,
    QueryRelationLoss,
    RKDLoss,
    StandardizedKLLoss,
    ValueRelationLoss,
)
from tinybert_tf.distillation.losses import LOSSES

# Of a value, and of the largest element of its gradient: differences of close numbers lose digits in float32.
RELATIVE = 1e-5

OF_LOGITS = {
    "kl/1": KLLoss(),
    "kl/2.5": KLLoss(temperature=2.5),
    "standardized_kl/2": StandardizedKLLoss(temperature=2.0),
    "logits_mse": LogitsMSELoss(),
    "dkd/1-8-4": DKDLoss(),
    "dkd/0.5-2-1": DKDLoss(alpha=0.5, beta=2.0, temperature=1.0),
}
# The golden loss, the loss, and the inputs: the student's and the teacher's.
CASES: list[tuple[str, DistillationLoss, str, str]] = [
    *((key, loss, "logits/student", "logits/teacher") for key, loss in OF_LOGITS.items()),
    *((f"tokens/{key}", loss, "token_logits/student", "token_logits/teacher") for key, loss in OF_LOGITS.items()),
    ("attention_kl", AttentionKLLoss(), "scores/student", "scores/teacher"),
    ("relation", QueryRelationLoss(), "vectors/student", "vectors/teacher"),
    ("relation", KeyRelationLoss(num_relation_heads=3), "vectors/student", "vectors/teacher"),
    ("relation/2", ValueRelationLoss(num_relation_heads=2), "vectors/student", "vectors/wide"),
    ("relation/1", ValueRelationLoss(num_relation_heads=1), "vectors/student", "vectors/wide"),
    ("cosine", CosineLoss(), "hidden/student", "hidden/teacher"),
    ("pkd", PKDLoss(), "hidden/student", "hidden/teacher"),
    ("rkd/1-2", RKDLoss(), "hidden/student", "hidden/wide"),
    ("rkd/1-0", RKDLoss(angle_weight=0.0), "hidden/student", "hidden/teacher"),
    ("cka", CKALoss(), "hidden/student", "hidden/wide"),
    ("nst", NSTLoss(), "hidden/student", "hidden/wide"),
    ("gram", GramLoss(), "hidden/student", "hidden/teacher"),
]


@pytest.fixture(scope="module")
def losses(golden: Callable[[str], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return golden("more_losses")


def assert_gradient(actual: tf.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=RELATIVE, atol=RELATIVE * np.abs(expected).max())


@pytest.mark.parametrize(
    ("key", "loss", "student", "teacher"), CASES, ids=[f"{case[0]} {case[1].name}" for case in CASES]
)
def test_value_and_gradient(
    losses: dict[str, np.ndarray], key: str, loss: DistillationLoss, student: str, teacher: str
) -> None:
    variable = tf.Variable(losses[f"inputs/{student}"])
    labels = losses["inputs/token_labels" if key.startswith("tokens/") else "inputs/labels"]
    with tf.GradientTape() as tape:
        value = loss(student=variable, teacher=losses[f"inputs/{teacher}"], mask=losses["inputs/mask"], labels=labels)
    np.testing.assert_allclose(value, losses[f"{key}/value"], rtol=RELATIVE)
    assert_gradient(tape.gradient(value, variable), losses[f"{key}/gradient"])


def test_flow_of_two_layers(losses: dict[str, np.ndarray]) -> None:
    student = tuple(tf.Variable(losses[f"inputs/hidden/student{upper}"]) for upper in ("", "/upper"))
    teacher = tuple(losses[f"inputs/hidden/teacher{upper}"] for upper in ("", "/upper"))
    with tf.GradientTape() as tape:
        value = FSPLoss()(student=student, teacher=teacher, mask=losses["inputs/mask"])
    np.testing.assert_allclose(value, losses["fsp/value"], rtol=RELATIVE)
    for gradient, layer in zip(tape.gradient(value, student), ("lower", "upper"), strict=True):
        assert_gradient(gradient, losses[f"fsp/gradient/{layer}"])


def test_every_loss_has_golden_numbers() -> None:
    of_tinybert = {"embedding", "attention", "hidden_state", "prediction"}  # test_golden_losses.py
    here = {type(loss) for _, loss, _, _ in CASES} | {FSPLoss}
    assert here == {loss for name, loss in LOSSES.items() if name not in of_tinybert}
