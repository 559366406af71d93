"""What is seen of an export, and when it is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tinybert_tf import TextDataset, train_wordpiece
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.data.tasks import TASKS
from tinybert_tf.errors import VerificationError
from tinybert_tf.export.verify import ANSWERS, Verification, check, compare, worst

SEEN = Verification(
    100, "dev.tsv", max_difference=1e-5, mean_difference=1e-6, rms_difference=2e-6, largest=2.0, spread=1.0, agreement=1
)
TOKENIZER = train_wordpiece(["a b c d"], vocab_size=60, min_frequency=1)


def encoded(task: str, texts: Sequence[Any], label_names: Sequence[str] = ()) -> EncodedDataset:
    """Rows without labels."""
    return TASKS[task].encode(TASKS[task].of_texts(texts, TOKENIZER), TOKENIZER, label_names, 8)


def test_differences_agreement_and_metrics() -> None:
    dataset = TextDataset.from_lists(["a", "b", "c", "d"], ["n", "p", "p", "p"])
    data = TASKS["sequence_classification"].encode(dataset, TOKENIZER, ["n", "p"], 8)
    reference = np.array([[1.0, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    logits = np.array([[1.0, 0], [0, 1], [1, 0.5], [1, 0]], np.float32)
    found = compare(logits, reference, data, "sequence_classification", "dev.tsv", has_labels=True)
    assert (found.rows, found.agreement, found.max_difference) == (4, 0.75, 1.0)
    assert found.mean_difference == pytest.approx(1.5 / 8)
    assert found.rms_difference == pytest.approx(np.sqrt(1.25 / 8))
    assert (found.largest, found.spread, found.one_answer) == (1.0, 0.5, False)
    assert found.metrics is not None
    assert found.reference_metrics is not None
    assert (found.metrics["accuracy"], found.reference_metrics["accuracy"]) == (0.5, 0.75)
    # Of the four rows, the export has one wrong that its model has right: an error of sqrt((1/4 - 1/16) / 4).
    assert found.standard_error is not None
    assert found.standard_error["accuracy"] == pytest.approx(np.sqrt(0.5 * 0.5 / 4), rel=0.07)
    assert found.comparison is not None
    assert found.comparison["accuracy"]["difference"] == -0.25
    assert found.comparison["accuracy"]["standard_error"] == pytest.approx(np.sqrt((1 / 4 - 1 / 16) / 4), rel=0.07)
    unlabelled = compare(logits, reference, data, "sequence_classification", "words", has_labels=False)
    assert unlabelled.metrics is unlabelled.reference_metrics is unlabelled.comparison is None


@pytest.mark.parametrize(
    ("task", "found", "wanted", "same"),
    [
        ("sequence_classification", np.array([[3, 1], [0, 2]]), np.array([[1, 0], [9, 2]]), 1 / 2),
        ("multi_label", np.array([[3, -1], [1, 2]]), np.array([[1, -3], [1, -2]]), 1 / 2),
        ("regression", np.array([[0.1], [0.0], [2.2]]), np.array([[0.0], [1.0], [2.1]]), 2 / 3),
        # Two of three entities: precision 1, recall 2/3.
        ("token_classification", [["O", "B-x"], ["B-y", "O"]], [["B-x", "B-x"], ["B-y", "O"]], 0.8),
        ("question_answering", ["ann", ""], ["ann", "bob"], 1 / 2),
    ],
)
def test_the_same_answers(task: str, found: Any, wanted: Any, same: float) -> None:
    assert ANSWERS[task].agreement(found, wanted) == pytest.approx(same)


@pytest.mark.parametrize(
    ("task", "several", "one"),
    [
        ("sequence_classification", np.array([[3, 1], [0, 2]]), np.array([[3, 1], [1, 0]])),
        ("multi_label", np.array([[3, -1], [1, 2]]), np.array([[1, -3], [9, -2]])),
        ("regression", np.array([[3.0], [3.1]]), np.array([[3.0], [3.00001]])),
        ("token_classification", [["O"], ["B-x", "O"]], [["O"], ["O", "O"]]),
        ("question_answering", ["ann", ""], ["", ""]),
    ],
)
def test_one_answer_for_all_rows(task: str, several: Any, one: Any) -> None:
    assert not ANSWERS[task].are_one(several)
    assert ANSWERS[task].are_one(one)


def test_float32_is_held_to_its_logits() -> None:
    check(SEEN, is_exact=True, min_agreement=0.95)
    check(dataclasses.replace(SEEN, agreement=0.5), is_exact=True, min_agreement=0.95)
    with pytest.raises(
        VerificationError, match=r"100 rows of dev.tsv, logits differ by up to 0.00011 .*; expected at most 0.0001"
    ):
        check(dataclasses.replace(SEEN, max_difference=1.1e-4), is_exact=True, min_agreement=0.0)


def test_large_scores_are_held_to_what_float32_can_say_of_them() -> None:
    thousands = dataclasses.replace(SEEN, largest=3000.0, max_difference=0.02)
    check(thousands, is_exact=True, min_agreement=0.95)
    with pytest.raises(VerificationError, match=r"logits differ by up to 0.04 .*; expected at most 0.03 in"):
        check(dataclasses.replace(thousands, max_difference=0.04), is_exact=True, min_agreement=0.95)


def test_the_others_are_held_to_their_answers_and_to_a_quarter_of_the_logits() -> None:
    check(dataclasses.replace(SEEN, rms_difference=0.25, agreement=0.95), is_exact=False, min_agreement=0.95)
    with pytest.raises(VerificationError, match=r"94.0% of the answers are the model's; --min-agreement is 95.0%"):
        check(dataclasses.replace(SEEN, agreement=0.94), is_exact=False, min_agreement=0.95)
    with pytest.raises(
        VerificationError, match=r"differ by 0.26 \(root mean square\) from the model's; expected at most 0.25"
    ):
        check(dataclasses.replace(SEEN, rms_difference=0.26), is_exact=False, min_agreement=0.95)
    # Where the model has one answer the logits alone decide.
    check(dataclasses.replace(SEEN, one_answer=True, agreement=0.0), is_exact=False, min_agreement=0.95)


def answering_o() -> tuple[EncodedDataset, np.ndarray, np.ndarray]:
    """Twenty words of which one is an entity to the model, and none to the other."""
    data = encoded("token_classification", ["a b c d"] * 5, ["O", "B-x", "I-x"])
    reference = np.tile([1.0, 0.0, 0.0], (5, 6, 1))
    reference[2, 1] = [0.0, 1.0, 0.0]
    return data, np.tile([1.0, 0.0, 0.0], (5, 6, 1)), reference


def constant(task: str, row: list[float], reference: np.ndarray) -> tuple[EncodedDataset, np.ndarray, np.ndarray]:
    """One row of logits for every text, beside a reference."""
    texts: list[Any] = [("a", "b c")] * 40 if task == "question_answering" else ["a b"] * 40
    return encoded(task, texts, ["n", "p"]), np.zeros_like(reference) + row, reference


RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("token_classification", answering_o(), r"0.0% of the entities \(F1\) are the model's"),
        (
            "sequence_classification",
            constant("sequence_classification", [900.0, -900.0], RANDOM.normal([3.0, -3.0], 0.5, (40, 2))),
            r"logits differ by 9e\+02 \(root mean square\)",
        ),
        ("multi_label", constant("multi_label", [-9.0, -9.0], RANDOM.normal(-2.0, 0.5, (40, 2))), "logits differ by 7"),
        (
            # 39 of 40 scores are the mean, nearly.
            "regression",
            constant("regression", [2.0], np.array([[2.1]] * 39 + [[9.0]])),
            r"logits differ by 1.1 \(root mean square\)",
        ),
        (
            # There is no answer: the [CLS] token is worth more than all others.
            "question_answering",
            constant("question_answering", [0.0, 0.0], np.tile(np.eye(6, 1)[None] * 20, (40, 1, 2))),
            "logits differ by ",
        ),
    ],
)
def test_a_model_that_does_not_read_its_texts(
    task: str, given: tuple[EncodedDataset, np.ndarray, np.ndarray], message: str
) -> None:
    """Its answers are those of the model, or nearly: 95 % of the words, or all rows of a model with one answer."""
    data, logits, reference = given
    check(compare(reference, reference, data, task, "dev", has_labels=False), is_exact=False, min_agreement=0.95)
    seen = compare(logits, reference, data, task, "dev", has_labels=False)
    with pytest.raises(VerificationError, match=message):
        check(seen, is_exact=False, min_agreement=0.95)


def test_the_worst_of_several_ways() -> None:
    """The worst of several results has the least agreement, the largest differences, and any NaN among them."""
    others = dataclasses.replace(SEEN, rms_difference=0.5, agreement=0.9)
    found = worst([SEEN, others, dataclasses.replace(SEEN, max_difference=2.0)])
    assert (found.agreement, found.rms_difference, found.max_difference) == (0.9, 0.5, 2.0)
    assert np.isnan(worst([SEEN, dataclasses.replace(SEEN, max_difference=float("nan"))]).max_difference)


@pytest.mark.parametrize("is_exact", [True, False])
def test_what_is_no_number_is_refused(is_exact: bool) -> None:
    with pytest.raises(VerificationError, match="not finite"):
        check(dataclasses.replace(SEEN, max_difference=float("nan")), is_exact, 0.0)
