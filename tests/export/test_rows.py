"""Rows in batches: each its own answer, in its own place, whatever is computed together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.export.rows import batches_of_rows, logits_of_rows

LENGTHS = [5, 2, 9, 3, 3, 8, 1]


@pytest.fixture
def tokens() -> TokenizedTexts:
    """Row `i` is `i + 1`, as often as it is long."""
    ids = np.repeat(np.arange(len(LENGTHS)) + 1, LENGTHS).astype(np.int32)
    return TokenizedTexts(ids, np.zeros(len(ids), np.int8), np.concatenate([[0], np.cumsum(LENGTHS)]))


class Sums:
    """Gives a row's sum, or each token itself and its double; notes the shapes it is called with."""

    def __init__(self, lengths: Sequence[int] | None, per_token: bool = False) -> None:
        self.lengths = lengths
        self.per_token = per_token
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        ids = inputs["input_ids"].astype(np.float32)
        self.shapes.append(ids.shape)
        assert ((ids == 77) == (inputs["attention_mask"] == 0)).all()
        return np.stack([ids, 2 * ids], -1) if self.per_token else (ids * inputs["attention_mask"]).sum(1)[:, None]


@pytest.mark.parametrize("lengths", [None, [4, 8, 16], [9]])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_each_row_has_its_own_answer(lengths: list[int] | None, batch_size: int, tokens: TokenizedTexts) -> None:
    found = logits_of_rows(Sums(lengths), tokens, 77, batch_size)
    assert found[:, 0].tolist() == [(row + 1) * length for row, length in enumerate(LENGTHS)]
    per_token = logits_of_rows(Sums(lengths, per_token=True), tokens, 77, batch_size)
    assert per_token.shape == (7, 9, 2)
    for row, length in enumerate(LENGTHS):
        assert per_token[row, :, 0].tolist() == [row + 1] * length + [0] * (9 - length)
        assert (per_token[row, :, 1] == 2 * per_token[row, :, 0]).all()


def test_no_row_is_padded_to_more_than_its_own_length_of_the_runner(tokens: TokenizedTexts) -> None:
    runner = Sums([4, 8, 16])
    logits_of_rows(runner, tokens, 77, batch_size=3)
    assert sorted(runner.shapes) == [(1, 4), (1, 16), (2, 8), (3, 4)]


def test_batches_are_padded_to_their_longest_row() -> None:
    batches = [(rows.tolist(), length) for rows, length in batches_of_rows(np.array(LENGTHS), None, 3)]
    assert batches == [([6, 1, 3], 3), ([4, 0, 5], 8), ([2], 9)]


def test_a_row_that_is_too_long(tokens: TokenizedTexts) -> None:
    with pytest.raises(InputError, match="a text of 9 tokens; this model takes at most 8"):
        logits_of_rows(Sums([4, 8]), tokens, 77, 2)
