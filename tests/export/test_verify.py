"""What is seen of an export, and when it is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tinybert_tf.data.tasks import TASKS
from tinybert_tf.data.text.dataset import TextDataset
from tinybert_tf.data.tokenizers.tokenizer import train_wordpiece
from tinybert_tf.errors import VerificationError
from tinybert_tf.export.verify import SAME_ANSWERS, Verification, check, compare

SEEN = Verification(100, "dev.tsv", 1e-5, 1e-6, 1.0)


def test_differences_agreement_and_metrics() -> None:
    tokenizer = train_wordpiece(["a b c d"], vocab_size=60, min_frequency=1)
    dataset = TextDataset.from_lists(["a", "b", "c", "d"], ["n", "p", "p", "p"])
    data = TASKS["sequence_classification"].encode(dataset, tokenizer, ["n", "p"], 8)
    reference = np.array([[1.0, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    logits = np.array([[1.0, 0], [0, 1], [1, 0.5], [1, 0]], np.float32)
    found = compare(logits, reference, data, "sequence_classification", "dev.tsv", has_labels=True)
    assert (found.rows, found.agreement, found.max_difference) == (4, 0.75, 1.0)
    assert found.mean_difference == pytest.approx(1.5 / 8)
    assert found.metrics is not None
    assert found.reference_metrics is not None
    assert (found.metrics["accuracy"], found.reference_metrics["accuracy"]) == (0.5, 0.75)
    unlabelled = compare(logits, reference, data, "sequence_classification", "words", has_labels=False)
    assert unlabelled.metrics is unlabelled.reference_metrics is None


@pytest.mark.parametrize(
    ("task", "found", "wanted", "same"),
    [
        ("sequence_classification", np.array([[3, 1], [0, 2]]), np.array([[1, 0], [9, 2]]), [True, False]),
        ("multi_label", np.array([[3, -1], [1, 2]]), np.array([[1, -3], [1, -2]]), [True, False]),
        ("regression", np.array([[0.1], [0.0], [2.2]]), np.array([[0.0], [1.0], [2.1]]), [True, False, True]),
        ("token_classification", [["O", "B-x"], ["O"]], [["O", "O"], ["O"]], [True, False, True]),
        ("question_answering", ["ann", ""], ["ann", "bob"], [True, False]),
    ],
)
def test_the_same_answer(task: str, found: Any, wanted: Any, same: list[bool]) -> None:
    assert np.ravel(SAME_ANSWERS[task](found, wanted)).tolist() == same


def test_float32_is_held_to_its_logits() -> None:
    check(SEEN, is_exact=True, min_agreement=0.95)
    check(dataclasses.replace(SEEN, agreement=0.5), is_exact=True, min_agreement=0.95)
    with pytest.raises(VerificationError, match=r"100 rows of dev.tsv, logits differ by up to 0.00011 .*; 0.0001 is"):
        check(dataclasses.replace(SEEN, max_difference=1.1e-4), is_exact=True, min_agreement=0.0)


def test_the_others_are_held_to_their_answers() -> None:
    check(dataclasses.replace(SEEN, max_difference=3.0, agreement=0.95), is_exact=False, min_agreement=0.95)
    with pytest.raises(VerificationError, match=r"94.0% of the answers are the model's; --min-agreement is 95.0%"):
        check(dataclasses.replace(SEEN, agreement=0.94), is_exact=False, min_agreement=0.95)


@pytest.mark.parametrize("is_exact", [True, False])
def test_what_is_no_number_is_refused(is_exact: bool) -> None:
    with pytest.raises(VerificationError, match="not finite"):
        check(dataclasses.replace(SEEN, max_difference=float("nan")), is_exact, 0.0)
