"""`AttentionLoss` by hand, and what padding does to it."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf import AttentionLoss

HEADS, LENGTH = 2, 3


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    shape = (2, HEADS, LENGTH, LENGTH)
    generator = np.random.default_rng(0)
    return generator.normal(size=shape).astype("float32"), generator.normal(size=shape).astype("float32")


MASK = np.array([[1, 1, 0], [1, 0, 0]], "int32")


def test_tokens_by_hand(scores: tuple[np.ndarray, np.ndarray]) -> None:
    student, teacher = scores
    total = 0.0
    for row, length in enumerate([2, 1]):
        for head in range(HEADS):
            for i in range(length):
                for j in range(length):
                    total += float(student[row, head, i, j] - teacher[row, head, i, j]) ** 2
    expected = total / (HEADS * (2**2 + 1**2))
    value = AttentionLoss()(student=student, teacher=teacher, mask=MASK)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_paper_by_hand(scores: tuple[np.ndarray, np.ndarray]) -> None:
    student, teacher = scores
    # Padded columns are 0 on both sides, padded rows count, and the mean is over everything.
    difference = (student - teacher) * MASK[:, None, None, :]
    value = AttentionLoss(reduction="paper")(student=student, teacher=teacher, mask=MASK)
    assert float(value) == pytest.approx(np.mean(difference**2), rel=1e-5)


def test_paper_sets_very_low_scores_to_zero() -> None:
    student, teacher = np.full((1, 1, 1, 1), -100.0), np.full((1, 1, 1, 1), 3.0)
    one = np.ones((1, 1), "int32")
    assert float(AttentionLoss(reduction="paper")(student=student, teacher=teacher, mask=one)) == 9.0
    assert float(AttentionLoss()(student=student, teacher=teacher, mask=one)) == 103.0**2


@pytest.mark.parametrize("place", [(0, 0, 2, 0), (0, 1, 0, 2), (1, 0, 1, 1), (1, 1, 2, 0)])
def test_padded_rows_and_columns_change_nothing(scores: tuple[np.ndarray, np.ndarray], place: tuple[int, ...]) -> None:
    student, teacher = scores
    changed = student.copy()
    changed[place] += 50.0
    loss = AttentionLoss()
    before = float(loss(student=student, teacher=teacher, mask=MASK))
    assert float(loss(student=changed, teacher=teacher, mask=MASK)) == before


@pytest.mark.parametrize(("place", "changes"), [((0, 0, 2, 0), True), ((0, 1, 0, 2), False)])
def test_paper_counts_padded_rows(scores: tuple[np.ndarray, np.ndarray], place: tuple[int, ...], changes: bool) -> None:
    student, teacher = scores
    changed = student.copy()
    changed[place] += 50.0
    loss = AttentionLoss(reduction="paper")
    before = float(loss(student=student, teacher=teacher, mask=MASK))
    assert (float(loss(student=changed, teacher=teacher, mask=MASK)) != before) is changes


def test_more_padding_changes_nothing(scores: tuple[np.ndarray, np.ndarray]) -> None:
    student, teacher = scores
    padding = ((0, 0), (0, 0), (0, 4), (0, 4))
    wider = [np.pad(tensor, padding, constant_values=value) for tensor, value in ((student, 7.0), (teacher, -7.0))]
    loss = AttentionLoss()
    before = float(loss(student=student, teacher=teacher, mask=MASK))
    after = float(loss(student=wider[0], teacher=wider[1], mask=np.pad(MASK, ((0, 0), (0, 4)))))
    assert after == pytest.approx(before, rel=1e-6)


def test_only_padding_gives_zero(scores: tuple[np.ndarray, np.ndarray]) -> None:
    student, teacher = scores
    assert float(AttentionLoss()(student=student, teacher=teacher, mask=np.zeros_like(MASK))) == 0.0
