"""Rows without labels after rows with labels: their tokens, and the missing label of every kind."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinybert_tf import TaggedDataset, TextDataset, train_wordpiece
from tinybert_tf.data.batches.encoded import EncodedDataset, with_missing
from tinybert_tf.data.batches.token_labels import TokenLabels
from tinybert_tf.data.tasks import find_task

TOKENIZER = train_wordpiece(["a b c d e"], vocab_size=50, min_frequency=1)


def encoded(texts: list[str], labels: list[str] | None, task: str = "sequence_classification") -> EncodedDataset:
    dataset = TextDataset.from_lists(texts, labels)
    return find_task(task).encode(dataset, TOKENIZER, ["no", "yes"] if task != "regression" else ["score"], 8)


def test_rows_follow_each_other() -> None:
    joined = encoded(["a", "b c"], ["no", "yes"]).with_unlabelled(encoded(["d e e", "a a"], None))
    assert joined.tokens.lengths.tolist() == [3, 4, 5, 4]
    alone = encoded(["d e e"], None).tokens
    assert joined.tokens.input_ids[7:12].tolist() == alone.input_ids.tolist()
    assert joined.labels.tolist() == [0, 1, -1, -1]
    (inputs, labels) = joined.batches(4, group_by_length=False)[0]
    assert inputs["attention_mask"].sum(axis=1).tolist() == [3, 4, 5, 4]
    assert labels.tolist() == [0, 1, -1, -1]


@pytest.mark.parametrize(
    ("task", "labels", "missing"),
    [("regression", ["1.5", "2"], math.nan), ("multi_label", ["no", "no,yes"], [-1.0, -1.0])],
)
def test_the_missing_label_of_a_task(task: str, labels: list[str], missing: object) -> None:
    joined = encoded(["a", "b"], labels, task).with_unlabelled(encoded(["c"], None, task))
    np.testing.assert_array_equal(joined.labels[2], missing)
    np.testing.assert_array_equal(joined.labels[:2], encoded(["a", "b"], labels, task).labels)


def test_missing_positions() -> None:
    tokens = encoded(["a", "b", "c"], None).tokens
    assert with_missing(np.array([[1, 2]], np.int32), tokens).tolist() == [[1, 2], [-1, -1], [-1, -1]]


def test_missing_labels_of_tokens() -> None:
    tagged = TaggedDataset([["a", "b"]], [["O", "B-x"]], "sentences", [1])
    more = TaggedDataset([["c", "d", "e"]], None, "sentences", [1])
    ours, theirs = (each.encode(TOKENIZER, ["O", "B-x", "I-x"], 8) for each in (tagged, more))
    joined = ours.with_unlabelled(theirs)
    assert isinstance(joined.labels, TokenLabels)
    assert joined.labels.padded(np.array([0, 1]), 5).tolist() == [[-100, 0, 1, -100, -100], [-100] * 5]


def test_without_labels_there_are_none() -> None:
    assert encoded(["a"], None).with_unlabelled(encoded(["b"], None)).labels is None
