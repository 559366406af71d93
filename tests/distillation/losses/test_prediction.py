"""`PredictionLoss` by hand: temperature, hard labels, one prediction a text and one a token."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import InputError, PredictionLoss

# softmax of (0, ln 3) is (1/4, 3/4); of (0, 0) it is (1/2, 1/2).
TEACHER = np.array([[0.0, math.log(3)], [0.0, 0.0]])
STUDENT = np.array([[0.0, 0.0], [0.0, math.log(3)]])
SOFT = (math.log(2) + -(math.log(1 / 4) + math.log(3 / 4)) / 2) / 2
LABELS = np.array([1, 0])


def test_soft_cross_entropy() -> None:
    assert float(PredictionLoss()(student=STUDENT, teacher=TEACHER)) == pytest.approx(SOFT)


def test_paper_divides_by_the_number_of_classes() -> None:
    assert float(PredictionLoss(reduction="paper")(student=STUDENT, teacher=TEACHER)) == pytest.approx(SOFT / 2)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 10.0])
def test_temperature(temperature: float) -> None:
    scaled = {"student": temperature * STUDENT, "teacher": temperature * TEACHER}
    assert float(PredictionLoss(temperature)(**scaled)) == pytest.approx(temperature**2 * SOFT, rel=1e-5)
    assert float(PredictionLoss(temperature, reduction="paper")(**scaled)) == pytest.approx(SOFT / 2, rel=1e-5)


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_hard_labels(weight: float) -> None:
    hard = (math.log(2) + math.log(4)) / 2  # -ln(1/2), -ln(1/4)
    value = PredictionLoss(hard_label_weight=weight)(student=STUDENT, teacher=TEACHER, labels=LABELS)
    assert float(value) == pytest.approx((1 - weight) * SOFT + weight * hard)


def test_the_hard_term_has_no_temperature() -> None:
    loss = PredictionLoss(temperature=4.0, hard_label_weight=1.0)
    value = loss(student=STUDENT, teacher=TEACHER, labels=LABELS)
    assert float(value) == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_labels_are_not_used_without_a_hard_term() -> None:
    loss = PredictionLoss()
    with_labels = loss(student=STUDENT, teacher=TEACHER, labels=LABELS)
    assert float(with_labels) == float(loss(student=STUDENT, teacher=TEACHER))


def test_one_prediction_a_token() -> None:
    student, teacher = STUDENT[None], TEACHER[None]  # one text of two tokens
    loss = PredictionLoss()
    assert float(loss(student=student, teacher=teacher, mask=np.array([[1, 1]]))) == pytest.approx(SOFT)
    assert float(loss(student=student, teacher=teacher, mask=np.array([[1, 0]]))) == pytest.approx(math.log(2))
    assert float(loss(student=student, teacher=teacher, mask=np.array([[0, 0]]))) == 0.0
    loss = PredictionLoss(hard_label_weight=1.0)
    value = loss(student=student, teacher=teacher, mask=np.array([[0, 1]]), labels=LABELS[None])
    assert float(value) == pytest.approx(math.log(4))


def test_padded_tokens_change_nothing() -> None:
    student, teacher, mask = STUDENT[None], TEACHER[None], np.array([[1, 0]])
    changed = student + np.array([[0.0, 0.0], [4.0, 0.0]])
    before, after = (
        float(PredictionLoss()(student=values, teacher=teacher, mask=mask)) for values in (student, changed)
    )
    assert before == after


@pytest.mark.parametrize("predicts", ["classes", "positions"])
def test_the_paper_has_no_predictions_of_tokens(predicts: str) -> None:
    given = {"student": STUDENT[None], "teacher": TEACHER[None], "mask": np.array([[1, 1]]), "predicts": predicts}
    with pytest.raises(
        InputError, match=r"^prediction_loss: reduction='paper' is for one prediction a text; expected 'tokens'"
    ):
        PredictionLoss(reduction="paper")(**given)


# === Labels that are each right or not ===

# sigmoid of (0, ln 3) is (1/2, 3/4); of (-ln 3, 0) it is (1/4, 1/2).
YES_TEACHER = np.array([[0.0, math.log(3)]])
YES_STUDENT = np.array([[-math.log(3), 0.0]])
FIRST, SECOND = -(math.log(1 / 4) + math.log(3 / 4)) / 2, math.log(2)


def test_each_label_is_a_prediction() -> None:
    value = float(PredictionLoss()(student=YES_STUDENT, teacher=YES_TEACHER, predicts="labels"))
    assert value == pytest.approx((FIRST + SECOND) / 2)
    of_first = PredictionLoss()(student=YES_STUDENT[:, :1], teacher=YES_TEACHER[:, :1], predicts="labels")
    assert float(of_first) == pytest.approx(FIRST)  # one label alone is no score


@pytest.mark.parametrize(("labels", "hard"), [([[1, 0]], math.log(4) + math.log(2)), ([[0, -1]], -2 * math.log(3 / 4))])
def test_hard_labels_of_each(labels: list[list[int]], hard: float) -> None:
    """-ln(1/4) for a yes, -ln(3/4) for a no; below 0 is no label."""
    loss = PredictionLoss(hard_label_weight=0.25)
    value = loss(student=YES_STUDENT, teacher=YES_TEACHER, labels=np.array(labels), predicts="labels")
    assert float(value) == pytest.approx(0.75 * (FIRST + SECOND) / 2 + 0.25 * hard / 2)


def test_temperature_of_labels() -> None:
    loss = PredictionLoss(temperature=4.0)
    value = loss(student=4 * YES_STUDENT, teacher=4 * YES_TEACHER, predicts="labels")
    assert float(value) == pytest.approx(16 * (FIRST + SECOND) / 2, rel=1e-5)


# === Positions: where an answer starts and ends ===

# Of two real tokens and one of padding; by column, over the real tokens: SOFT's two terms.
PADDING = np.array([[7.0, -7.0]])
AT_TEACHER = np.concatenate([TEACHER.T, PADDING])[None]
AT_STUDENT = np.concatenate([STUDENT.T, PADDING])[None]
AT_MASK = np.array([[1, 1, 0]])


def test_each_column_is_a_prediction_of_a_position() -> None:
    given = {"student": AT_STUDENT, "teacher": AT_TEACHER, "mask": AT_MASK, "predicts": "positions"}
    assert float(PredictionLoss()(**given)) == pytest.approx(SOFT)
    scaled = {**given, "student": 2 * AT_STUDENT, "teacher": 2 * AT_TEACHER}
    assert float(PredictionLoss(temperature=2.0)(**scaled)) == pytest.approx(4 * SOFT, rel=1e-5)


def test_hard_positions() -> None:
    given = {"student": AT_STUDENT, "teacher": AT_TEACHER, "mask": AT_MASK, "predicts": "positions"}
    loss = PredictionLoss(hard_label_weight=1.0)
    assert float(loss(**given, labels=np.array([[1, 0]]))) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert float(loss(**given, labels=np.array([[-100, 1]]))) == pytest.approx(-math.log(3 / 4))


def test_hard_positions_of_rows_of_any_length() -> None:
    logits, mask = tf.TensorSpec([None, None, 2]), tf.TensorSpec([None, None])
    loss = PredictionLoss(hard_label_weight=1.0)

    @tf.function(input_signature=[logits, logits, mask, tf.TensorSpec([None, 2], tf.int32)])
    def traced(student: Any, teacher: Any, mask: Any, labels: Any) -> Any:
        return loss(student=student, teacher=teacher, mask=mask, labels=labels, predicts="positions")

    given = [tf.constant(value, tf.float32) for value in (AT_STUDENT, AT_TEACHER, AT_MASK)]
    assert float(traced(*given, tf.constant([[1, 0]]))) == pytest.approx((math.log(2) + math.log(4)) / 2)


# Scores: one column. Differences between teacher and student are 1 and -3, between labels and student 2 and -1.
SCORES_TEACHER = np.array([[3.0], [1.0]])
SCORES_STUDENT = np.array([[2.0], [4.0]])
SCORES = np.array([4.0, 3.0], "float32")


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("reduction", ["tokens", "paper"])
def test_scores_are_compared_by_their_squared_error(weight: float, reduction: str) -> None:
    loss = PredictionLoss(hard_label_weight=weight, reduction=reduction)
    value = loss(student=SCORES_STUDENT, teacher=SCORES_TEACHER, labels=SCORES)
    assert float(value) == pytest.approx((1 - weight) * (1 + 9) / 2 + weight * (4 + 1) / 2)


def test_scores_are_read_as_numbers_and_nan_is_none() -> None:
    loss = PredictionLoss(hard_label_weight=1.0)
    given = {"student": SCORES_STUDENT, "teacher": SCORES_TEACHER}
    assert float(loss(**given, labels=np.array([4, 3]))) == pytest.approx(2.5)
    assert float(loss(**given, labels=np.array([np.nan, 3.0]))) == pytest.approx(1.0)
    negative = float(loss(**given, labels=np.array([-1.0, 3.0])))
    assert negative == pytest.approx((9 + 1) / 2)  # -1 is a score, although it is no class


def test_the_gradient_of_a_score_without_a_label_is_nothing() -> None:
    student = keras.Variable(SCORES_STUDENT)
    loss = PredictionLoss(hard_label_weight=1.0)
    with tf.GradientTape() as tape:
        value = loss(student=student.value, teacher=SCORES_TEACHER, labels=np.array([np.nan, 3.0]))
    np.testing.assert_allclose(tape.gradient(value, student.value), [[0.0], [2.0]])


def test_one_score_a_token() -> None:
    given = {"student": SCORES_STUDENT[None], "teacher": SCORES_TEACHER[None], "mask": np.array([[0, 1]])}
    assert float(PredictionLoss()(**given)) == pytest.approx(9.0)


def test_scores_have_no_temperature() -> None:
    with pytest.raises(InputError, match=r"^prediction_loss: temperature=2.0 softens classes; scores take 1\.$"):
        PredictionLoss(temperature=2.0)(student=SCORES_STUDENT, teacher=SCORES_TEACHER)


def test_labels_are_needed_for_a_hard_term_alone() -> None:
    assert not PredictionLoss().needs_labels
    assert PredictionLoss(hard_label_weight=0.1).needs_labels


def test_large_logits_stay_finite() -> None:
    value = PredictionLoss()(student=np.array([[1e4, -1e4]]), teacher=np.array([[1e4, -1e4]]))
    assert float(value) == 0.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperature_is_above_zero(temperature: float) -> None:
    with pytest.raises(InputError, match=f"temperature={temperature}; expected a number > 0"):
        PredictionLoss(temperature=temperature)


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_the_hard_label_weight_is_a_fraction(weight: float) -> None:
    with pytest.raises(InputError, match=rf"hard_label_weight={weight}; expected a fraction in \[0, 1\]"):
        PredictionLoss(hard_label_weight=weight)


def test_rows_without_a_label_do_not_count_in_the_hard_term():
    logits = np.array([[2.0, 0.0], [0.5, -1.0], [3.0, 1.0]], "float32")
    loss = PredictionLoss(hard_label_weight=1.0)
    of_two = loss(student=logits[:2], teacher=logits[:2], labels=np.array([1, 0]))
    of_three = loss(student=logits, teacher=logits, labels=np.array([1, 0, -100]))
    assert float(of_three) == pytest.approx(float(of_two), rel=1e-6)
    assert float(of_two) == pytest.approx((np.log1p(np.exp(2.0)) + np.log1p(np.exp(-1.5))) / 2, rel=1e-6)
