"""`HiddenStateLoss` and `EmbeddingLoss` by hand, and what padding does to them."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf import EmbeddingLoss, HiddenStateLoss

MASK = np.array([[1, 1, 0], [1, 0, 0]], "int32")
TEACHER = np.zeros((2, 3, 2), "float32")
STUDENT = np.array([[[1, 3], [2, 0], [9, 9]], [[0, 4], [9, 9], [9, 9]]], "float32")
LOSS_CLASSES = [HiddenStateLoss, EmbeddingLoss]


@pytest.mark.parametrize("loss_class", LOSS_CLASSES)
def test_tokens_by_hand(loss_class: type[HiddenStateLoss]) -> None:
    value = loss_class()(student=STUDENT, teacher=TEACHER, mask=MASK)
    assert float(value) == pytest.approx(((1 + 9) / 2 + 4 / 2 + 16 / 2) / 3)


@pytest.mark.parametrize("loss_class", LOSS_CLASSES)
def test_paper_by_hand(loss_class: type[HiddenStateLoss]) -> None:
    value = loss_class(reduction="paper")(student=STUDENT, teacher=TEACHER, mask=MASK)
    assert float(value) == pytest.approx((1 + 9 + 4 + 16 + 6 * 81) / 12)


@pytest.mark.parametrize(("reduction", "changes"), [("tokens", False), ("paper", True)])
def test_padded_values(reduction: str, changes: bool) -> None:
    loss = HiddenStateLoss(reduction=reduction)
    changed = STUDENT + 5.0 * (1 - MASK[:, :, None])
    before, after = (float(loss(student=student, teacher=TEACHER, mask=MASK)) for student in (STUDENT, changed))
    assert (before != after) is changes


def test_only_padding_gives_zero() -> None:
    assert float(HiddenStateLoss()(student=STUDENT, teacher=TEACHER, mask=np.zeros_like(MASK))) == 0.0


def test_which_layers_and_projection() -> None:
    assert HiddenStateLoss.feature == EmbeddingLoss.feature == "hidden_states"
    assert (HiddenStateLoss.layers, EmbeddingLoss.layers) == ("mapped", "embedding")
    assert HiddenStateLoss.projected
    assert EmbeddingLoss.projected
