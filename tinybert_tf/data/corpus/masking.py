"""Tokens hidden from a masked language model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.errors import InputError

# Marks positions without a prediction; Hugging Face's losses ignore it too.
NO_LABEL = -100
# 80 % of the chosen tokens become [MASK], 10 % a random token, and the rest stay (arXiv 1810.04805, section 3.1).
MASK_PROBABILITY = 0.8
RANDOM_PROBABILITY = 0.1


class MaskingVocabulary:
    """The properties of a vocabulary that masking needs.

    `mask_token_id`; `is_special` and `continues_word`, each `(vocab_size,)` bool by token id; `random_token_ids`, all
    ids that are not special.

    Raises:
        InputError: the tokenizer has no `[MASK]`; `continues_word` is read and the tokenizer is not a WordPiece one.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.mask_token_id = tokenizer.mask_token_id
        self.is_special = self._is_among(tokenizer.special_token_ids())
        ids = np.array(sorted(tokenizer.vocabulary().values()), np.int32)
        self.random_token_ids = ids[~self.is_special[ids]]

    @cached_property
    def continues_word(self) -> np.ndarray:
        """Whether a token continues the word of the token before it, `(vocab_size,)` bool."""
        return self._is_among(self._tokenizer.continuation_ids())

    def _is_among(self, token_ids: list[int]) -> np.ndarray:
        return np.isin(np.arange(self._tokenizer.vocab_size), token_ids)


@dataclass(frozen=True)
class MaskedTokens:
    """A masked batch: `input_ids` `(batch, length)`, `positions` and `labels` `(batch, max_predictions)`, all int32.

    `positions` are the columns of the chosen tokens in order, padded with 0, and `labels` their ids before masking,
    padded with -100.
    """

    input_ids: np.ndarray
    positions: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Masking:
    """BERT's masking: 80 % of the chosen tokens become `[MASK]`, 10 % a random token, and 10 % stay.

    A fraction `probability` of a row's tokens is chosen, but at least one token. Special tokens are neither chosen nor
    drawn. With `whole_word` the pieces of a word (`play`, `##ing`) are chosen together: words are taken in random order
    until no other one fits. If all words of a row are too long for its share, one with at most `max_predictions` pieces
    is chosen nevertheless.

    Source: Devlin et al., arXiv 1810.04805, section 3.1, and `create_pretraining_data.py` of google-research/bert.

    Example:
        >>> Masking(probability=0.15).max_predictions(max_length=128)
        20

    Raises:
        InputError: `probability` is not in (0, 1).
    """

    probability: float = 0.15
    whole_word: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise InputError(f"probability: expected a number > 0 and < 1, got {self.probability}")

    def max_predictions(self, max_length: int) -> int:
        """The most tokens chosen in a row of `max_length` tokens: `ceil(probability max_length)`."""
        return math.ceil(round(self.probability * max_length, 6))

    def mask(
        self,
        input_ids: np.ndarray,
        vocabulary: MaskingVocabulary,
        max_predictions: int,
        generator: np.random.Generator,
    ) -> MaskedTokens:
        """Choose and replace tokens of `input_ids`, `(batch, length)`; a function of the arguments alone.

        In a row with `n` tokens that are not special, `round(probability n)` tokens are chosen, at most
        `max_predictions`.
        """
        is_chosen = self._choose(input_ids, vocabulary, max_predictions, generator)
        rows, columns = np.nonzero(is_chosen)
        slots = (np.cumsum(is_chosen, axis=1) - 1)[is_chosen]
        originals = input_ids[is_chosen]
        positions = np.zeros((len(input_ids), max_predictions), np.int32)
        positions[rows, slots] = columns
        labels = np.full_like(positions, NO_LABEL)
        labels[rows, slots] = originals
        masked_ids = input_ids.astype(np.int32)
        masked_ids[is_chosen] = _replaced(originals, vocabulary, generator)
        return MaskedTokens(masked_ids, positions, labels)

    def _choose(
        self, input_ids: np.ndarray, vocabulary: MaskingVocabulary, max_predictions: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Which tokens are masked, `(batch, length)` bool."""
        is_maskable = ~vocabulary.is_special[input_ids]
        begins_word = is_maskable.copy()
        if self.whole_word:
            begins_word[:, 1:] &= ~(vocabulary.continues_word[input_ids[:, 1:]] & is_maskable[:, :-1])
        word = np.where(is_maskable, np.cumsum(begins_word, axis=1) - 1, -1)  # by row; -1: no word
        row = np.arange(len(input_ids))[:, None]
        most_words = max(1, int(word.max(initial=0)) + 1)
        lengths = np.zeros((len(input_ids), most_words), np.int64)
        np.add.at(lengths, ((row + 0 * word)[is_maskable], word[is_maskable]), 1)
        share = np.maximum(1, np.rint(is_maskable.sum(axis=1) * self.probability)).astype(np.int64)
        order = np.argsort(generator.random(lengths.shape), axis=1)
        is_taken = np.zeros(lengths.shape, np.bool_)
        np.put_along_axis(
            is_taken, order, _take(lengths[row, order], np.minimum(share, max_predictions), max_predictions), axis=1
        )
        return is_maskable & is_taken[row, word]


def _take(lengths: np.ndarray, room: np.ndarray, max_predictions: int) -> np.ndarray:
    """Take words from left to right, each that still fits the row's `room`; `(batch, words)` bool.

    If none fits, the first one that has at most `max_predictions` tokens. A length of 0 stands for no word.
    """
    is_taken = np.zeros(lengths.shape, np.bool_)
    left = room.copy()
    for column in range(lengths.shape[1]):
        length = lengths[:, column]
        is_taken[:, column] = (length > 0) & (length <= left)
        left -= length * is_taken[:, column]
        if not left.any():
            break
    fits_alone = (lengths > 0) & (lengths <= max_predictions)
    is_first = fits_alone & (np.cumsum(fits_alone, axis=1) == 1)
    return is_taken | (is_first & ~is_taken.any(axis=1, keepdims=True))


def _replaced(token_ids: np.ndarray, vocabulary: MaskingVocabulary, generator: np.random.Generator) -> np.ndarray:
    """Each token replaced: by `[MASK]`, by a random token, or by itself."""
    draw = generator.random(len(token_ids))
    others = generator.choice(vocabulary.random_token_ids, len(token_ids))
    kept_or_other = np.where(draw < MASK_PROBABILITY + RANDOM_PROBABILITY, others, token_ids)
    return np.where(draw < MASK_PROBABILITY, vocabulary.mask_token_id, kept_or_other)
