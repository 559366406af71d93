"""Batches of a tokenized corpus for pretraining: segments, masked tokens, and whether B follows A."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinybert_tf import features
from tinybert_tf.data.batches.batch_source import BatchSource
from tinybert_tf.data.batches.permutation import RandomPermutation
from tinybert_tf.data.corpus.corpus import Corpus
from tinybert_tf.data.corpus.mapped_array import MappedArray
from tinybert_tf.data.corpus.masking import Masking, MaskingVocabulary
from tinybert_tf.data.corpus.segments import SEGMENTS, draw_segments
from tinybert_tf.data.tokenizers.tokenizer import as_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.input_bounds import InputBounds

BERT_MASKING = Masking()
TOKENS_PER_LOOK = 1 << 16
# The last number of a generator's seed, after (seed, epoch, step), so that the three have different draws.
SEGMENT_DRAWS, ORDER_DRAWS, MASKING_DRAWS = 1, 2, 3


class PretrainingBatches(BatchSource):
    """Batches for BERT's pretraining and for general distillation, new segments and new masks each epoch.

    `inputs` holds `input_ids`, `attention_mask` and `token_type_ids`, each `(batch, longest row of the batch)` int32:
    `[CLS] a [SEP] b [SEP]` with `next_sentence`, else `[CLS] a [SEP]` (see
    `tinybert_tf.data.corpus.segments.draw_segments` for `a` and `b`). The rest depends on `masking`:

    - a `Masking`: `inputs` also has `masked_positions` `(batch, max_predictions)` int32, padded with 0, and a batch is
      `(inputs, labels)`. `labels` are the tokens at these positions, `(batch, max_predictions)` int32, padded with
      -100. With `next_sentence` they are a dict: `masked_tokens` is that array, and `next_sentence`, `(batch,)` int32,
      is 0 where B follows A and 1 where it is from another document;
    - None: no token is masked, and a batch is `(inputs,)`.

    Order and content are a pure function of (`seed`, `epoch`, step) and of the corpus. Every epoch has as many rows as
    epoch 0, because a schedule has to know its steps, and the number of rows depends a little on the draws (by less
    than one in a hundred, except for a very small corpus). An epoch with more rows leaves some out at random, one with
    fewer serves some twice.

    Memory does not grow with the corpus: an epoch's segments are in a file without a name in the corpus's directory
    (25 bytes a row), their order is computed, and memory of the corpus is released after each batch.

    Args:
        corpus: tokenized with `tokenizer`.
        tokenizer: ours, or a fast one of transformers.
        batch_size: the number of rows in a step.
        seed: the seed of segments, order and masks, an integer >= 0.
        max_length: the most tokens of a row, special tokens included.
        masking: how tokens are masked; None masks none.
        next_sentence: whether rows have two segments, A and B, or only A.
        max_predictions: the most masked tokens of a row; by default `masking.max_predictions(max_length)`.
        short_sequence_probability: the probability that a row is not filled up, in [0, 1].

    Raises:
        InputError: the corpus was made with another tokenizer, or has only one document and `next_sentence` needs two;
            its directory cannot be written; no token can be masked; an argument is out of range.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Any,
        batch_size: int = 32,
        seed: int = 1,
        max_length: int = 128,
        masking: Masking | None = BERT_MASKING,
        next_sentence: bool = True,
        max_predictions: int | None = None,
        short_sequence_probability: float = 0.1,
    ) -> None:
        super().__init__(batch_size, seed)
        if seed is None:
            raise InputError("seed: expected an integer >= 0, got None")
        self._seed = seed
        self.tokenizer = as_tokenizer(tokenizer)
        self.corpus = corpus
        self.max_length = max_length
        self.masking = masking
        self.next_sentence = next_sentence
        self.short_sequence_probability = short_sequence_probability
        self._room = max_length - (3 if next_sentence else 2)
        self._check()
        if masking is not None:
            self._vocabulary = MaskingVocabulary(self.tokenizer)
            self.max_predictions = masking.max_predictions(max_length) if max_predictions is None else max_predictions
            if not 1 <= self.max_predictions <= max_length:
                raise InputError(f"max_predictions: expected 1 to max_length={max_length}, got {max_predictions}")
            self._check_known_tokens()
        self._epoch_rows = _EpochRows(self, 0)
        self._num_rows = self._epoch_rows.size

    @property
    def num_rows(self) -> int:
        """The number of rows of every epoch."""
        return self._num_rows

    def input_bounds(self) -> InputBounds:
        """The bounds that the tokenizer and `max_length` allow; the corpus is not read for them."""
        types = (0, int(self.next_sentence))
        return InputBounds((0, self.tokenizer.vocab_size - 1), self.max_length, types)

    def _check(self) -> None:
        if self.corpus.tokenizer_fingerprint != self.tokenizer.fingerprint:
            raise InputError(
                f"{self.corpus.directory}: was tokenized with another tokenizer; Corpus.tokenize(..., tokenizer) makes "
                "a corpus of this one"
            )
        if self.next_sentence and self.corpus.num_documents < 2:
            raise InputError(
                f"{self.corpus.source}: one document; next-sentence prediction needs two, with an empty line between "
                "them (or next_sentence=False)"
            )
        if self._room < 2:
            smallest = self.max_length - self._room + 2
            raise InputError(f"max_length={self.max_length} leaves no room for text; expected at least {smallest}")
        if not 0 <= self.short_sequence_probability <= 1:
            raise InputError(
                f"short_sequence_probability: expected a number from 0 to 1, got {self.short_sequence_probability}"
            )

    def _check_known_tokens(self) -> None:
        for start in range(0, self.corpus.num_tokens, TOKENS_PER_LOOK):
            is_known = not self._vocabulary.is_special[self.corpus.tokens[start : start + TOKENS_PER_LOOK]].all()
            self.corpus.release()
            if is_known:
                return  # almost always the first few rows have one
        raise InputError(
            f"{self.corpus.source}: not one token of it is in the vocabulary, so there is none to predict; expected "
            "text in the tokenizer's language, or another tokenizer"
        )

    def _generator(self, epoch: int, step: int, draws: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, epoch, step, draws))

    def _cut(self, epoch: int) -> Iterator[np.ndarray]:
        generator = self._generator(epoch, 0, SEGMENT_DRAWS)
        return draw_segments(self.corpus, self._room, self.next_sentence, self.short_sequence_probability, generator)

    def _batch(self, epoch: int, step: int) -> tuple[Any, ...]:
        epoch_rows = self._epoch_rows
        if epoch_rows.epoch != epoch:
            epoch_rows = self._epoch_rows = _EpochRows(self, epoch)
        places = np.arange(step * self.batch_size, min((step + 1) * self.batch_size, self.num_rows))
        rows = epoch_rows.segments(places)
        inputs = self._inputs(rows)
        self.corpus.release()
        if self.masking is None:
            return (inputs,)
        generator = self._generator(epoch, step, MASKING_DRAWS)
        masked = self.masking.mask(inputs["input_ids"], self._vocabulary, self.max_predictions, generator)
        inputs |= {"input_ids": masked.input_ids, features.MASKED_POSITIONS: masked.positions}
        if not self.next_sentence:
            return inputs, masked.labels
        follows = rows["is_random"].astype(np.int32)
        return inputs, {features.MASKED_TOKENS: masked.labels, features.NEXT_SENTENCE: follows}

    def _inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs of rows of `SEGMENTS`: special tokens are added, and all are padded to the longest row."""
        a_end, b_length = rows["a_length"][:, None] + 1, rows["b_length"][:, None]  # the column of the first [SEP]
        last = a_end + b_length + 1 if self.next_sentence else a_end  # ... and of the second
        column = np.arange(last.max() + 1)
        is_a = (column > 0) & (column < a_end)
        is_text = is_a | ((column > a_end) & (column < last))
        place = column + np.where(is_a, rows["a_start"][:, None] - 1, rows["b_start"][:, None] - a_end - 1)
        input_ids = np.full(is_text.shape, self.tokenizer.pad_token_id, np.int32)
        input_ids[is_text] = self.corpus.tokens[place[is_text]]
        input_ids[:, 0] = self.tokenizer.cls_token_id
        input_ids[(column == a_end) | (column == last)] = self.tokenizer.sep_token_id
        return {
            "input_ids": input_ids,
            "attention_mask": (column <= last).astype(np.int32),
            "token_type_ids": ((column > a_end) & (column <= last)).astype(np.int32),
        }


class _EpochRows:
    """The segments of an epoch in a random order, in a file that exists as long as this object."""

    def __init__(self, batches: PretrainingBatches, epoch: int) -> None:
        self.epoch = epoch
        directory = batches.corpus.directory
        try:
            with tempfile.TemporaryFile(dir=directory) as file:
                for rows in batches._cut(epoch):
                    file.write(rows.tobytes())
                    batches.corpus.release()
                file.flush()
                self._rows = MappedArray(file, SEGMENTS)
        except OSError as error:
            raise InputError(
                f"{directory}: the segments of an epoch cannot be written there ({error.strerror}); expected a "
                "directory that can be written"
            ) from error
        self.size = len(self._rows.values)
        self._order = RandomPermutation(self.size, batches._generator(epoch, 0, ORDER_DRAWS))

    def segments(self, places: np.ndarray) -> np.ndarray:
        """The rows at these places of the order, which starts over after its end."""
        rows = self._rows.values[self._order(places % self.size)]
        self._rows.release()
        return rows
