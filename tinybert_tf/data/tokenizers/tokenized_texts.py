"""The flat arrays that token ids live in."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers

from tinybert_tf.input_bounds import InputBounds, extremes


@dataclass(frozen=True)
class TokenizedTexts:
    """Token ids of many texts in flat arrays, so that they can be memory-mapped.

    `input_ids` (int32) and `token_type_ids` (int8) hold all rows one after the other; row `i` is
    `offsets[i]:offsets[i + 1]` (`offsets`: int64, `(rows + 1,)`). `num_truncated` counts the rows that were longer
    than the `max_length` they were cut at.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    offsets: np.ndarray
    num_truncated: int = 0

    @classmethod
    def of(cls, chunks: Iterable[list[tokenizers.Encoding]]) -> TokenizedTexts:
        """The rows of encodings, which come in one chunk or more."""
        parts = [_flatten(chunk) for chunk in chunks]
        input_ids, token_type_ids, lengths, is_truncated = (np.concatenate(part) for part in zip(*parts, strict=True))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(input_ids, token_type_ids, offsets, int(is_truncated.sum()))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def followed_by(self, more: TokenizedTexts) -> TokenizedTexts:
        """All these rows, and after them those of `more`."""
        return TokenizedTexts(
            np.concatenate([self.input_ids, more.input_ids]),
            np.concatenate([self.token_type_ids, more.token_type_ids]),
            np.concatenate([self.offsets, more.offsets[1:] + self.offsets[-1]]),
            self.num_truncated + more.num_truncated,
        )

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each row, `(rows,)` int64, special tokens included."""
        return np.diff(self.offsets)

    @functools.cached_property
    def bounds(self) -> InputBounds:
        """The bounds of all rows; there must be at least one row."""
        return InputBounds(extremes(self.input_ids), int(self.lengths.max()), extremes(self.token_type_ids))

    def fingerprint(self) -> str:
        """A hash of all rows; it depends on the texts, the tokenizer and the length they were cut at."""
        digest = hashlib.sha256()
        for array in (self.input_ids, self.token_type_ids, self.offsets):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def padded(
        self, rows: Sequence[int] | np.ndarray, pad_token_id: int, length: int | None = None
    ) -> dict[str, np.ndarray]:
        """`input_ids`, `attention_mask`, `token_type_ids` of `rows`, each `(len(rows), length)` int32.

        `length` is at least that of the longest row, and by default equal to it.
        """
        starts = self.offsets[rows]
        lengths = self.offsets[np.asarray(rows) + 1] - starts
        columns = np.arange(lengths.max(initial=0) if length is None else length)
        is_token = columns < lengths[:, None]
        positions = (starts[:, None] + columns)[is_token]
        input_ids = np.full(is_token.shape, pad_token_id, np.int32)
        token_type_ids = np.zeros(is_token.shape, np.int32)
        input_ids[is_token] = self.input_ids[positions]
        token_type_ids[is_token] = self.token_type_ids[positions]
        return {
            "input_ids": input_ids,
            "attention_mask": is_token.astype(np.int32),
            "token_type_ids": token_type_ids,
        }


def _flatten(encodings: list[tokenizers.Encoding]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ids and token types of all rows one after the other; each row's length, and whether it was cut."""
    return (
        np.array([token_id for encoding in encodings for token_id in encoding.ids], np.int32),
        np.array([type_id for encoding in encodings for type_id in encoding.type_ids], np.int8),
        np.array([len(encoding) for encoding in encodings], np.int64),
        # `overflowing` holds the tokens that were cut off: it is not empty if the whole row is longer than max_length.
        np.array([bool(encoding.overflowing) for encoding in encodings], np.bool_),
    )
