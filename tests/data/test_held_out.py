"""Rows that are held out: each label gives its share, a text or document goes to one side, a seed decides which."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError, QuestionDataset, TaggedDataset, TextDataset
from tinybert_tf.data.answers.squad import Question
from tinybert_tf.data.held_out import held_out
from tinybert_tf.data.tasks import find_task

LABELS = ["a"] * 600 + ["b"] * 300 + ["c"] * 100 + ["rare"]
TEXTS = [f"text {row}" for row in range(len(LABELS))]


def test_each_label_gives_its_share() -> None:
    rows = held_out(TEXTS, LABELS, 0.1, 1, "train.tsv")
    counts = Counter(np.array(LABELS)[rows].tolist())
    assert all(abs(counts[label] - share) <= 1 for label, share in {"a": 60, "b": 30, "c": 10}.items())
    assert counts["rare"] == 0  # there would be none to learn from
    np.testing.assert_array_equal(held_out(TEXTS, LABELS, 0.1, 1, "train.tsv"), rows)
    assert (held_out(TEXTS, LABELS, 0.1, 2, "train.tsv") != rows).any()


@pytest.mark.parametrize("fraction", [0.001, 0.5, 0.999])
def test_both_sides_have_rows(fraction: float) -> None:
    rows = held_out(["a", "b", "c", "d"], ["x", "x", "y", "y"], fraction, 1, "train.tsv")
    assert 1 <= rows.sum() <= 2  # one of each label stays


def test_a_unit_goes_to_one_side() -> None:
    units = [f"document {row % 7}" for row in range(70)]
    rows = held_out(units, [""] * 70, 0.3, 1, "train.json")
    assert rows.sum() in (20, 30)
    assert not {unit for unit, is_out in zip(units, rows, strict=True) if is_out} & {
        unit for unit, is_out in zip(units, rows, strict=True) if not is_out
    }
    with pytest.raises(InputError, match=r"train\.json: nothing can be held out of one text or document; expected"):
        held_out(["one", "one"], ["", ""], 0.1, 1, "train.json")


def question(number: int) -> Question:
    return Question(f"q{number}", f"text {number}", [("text", 0)], f"[{number}]", f"document {number // 5}")


DATASETS: dict[str, Any] = {
    "sequence_classification": TextDataset.from_lists(TEXTS, LABELS),
    "regression": TextDataset.from_lists(TEXTS, list(range(len(TEXTS)))),
    "multi_label": TextDataset.from_lists(TEXTS, ["a,b" if label == "a" else label for label in LABELS]),
    "token_classification": TaggedDataset(
        [["w", str(row)] for row in range(100)], [["O", "B-x"]] * 100, "s", [*range(100)]
    ),
    "question_answering": QuestionDataset([question(number) for number in range(100)], "questions"),
}


@pytest.mark.parametrize("task", DATASETS)
def test_every_task_is_split(task: str) -> None:
    dataset = DATASETS[task]
    rest, dev = find_task(task).split(dataset, 0.2, 1)
    assert type(rest) is type(dev) is type(dataset)
    assert len(rest) + len(dev) == len(dataset)
    assert len(dev) == pytest.approx(0.2 * len(dataset), abs=1)


def test_rows_keep_their_places_and_scores_their_spread() -> None:
    _, dev = find_task("regression").split(DATASETS["regression"], 0.2, 1)
    assert [dev.place(row) for row in range(3)] == [f"texts[{dev.labels[row]}]" for row in range(3)]
    tenths = Counter((dev.scores() // (len(TEXTS) / 10)).tolist())
    assert set(tenths) == set(range(10))
    assert set(tenths.values()) <= {19, 20, 21}


def test_questions_about_one_document_stay_together() -> None:
    rest, dev = find_task("question_answering").split(DATASETS["question_answering"], 0.2, 1)
    of = [{each.document for each in part.questions} for part in (rest, dev)]
    assert not of[0] & of[1]
    assert len(of[1]) == 4
