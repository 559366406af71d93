"""Computing a teacher's features for all rows of a data set once, caching them, and adding them to batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybert_tf import features
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.distillation.cache.feature_file import CachedFeature
from tinybert_tf.distillation.cache.fingerprint import teacher_fingerprint
from tinybert_tf.distillation.cache.folders import longest_unused
from tinybert_tf.distillation.cache.padding import losses_of_padding
from tinybert_tf.distillation.cache.teacher_cache import TeacherCache
from tinybert_tf.distillation.cache.teacher_features import TeacherFeatures
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.errors import InputError
from tinybert_tf.features import FeatureRequest
from tinybert_tf.slow_work import say

Answer = Callable[[Mapping[str, np.ndarray]], dict[str, Any]]
# The most tokens that the teacher computes at once, or one row if it has more.
BATCH_TOKENS = 4096


def with_teacher_features(batches: Batches, distiller: Distiller, cache: TeacherCache) -> Batches:
    """Return the batches with the teacher's features that the distiller compares, so that training need not run it.

    Features that the cache lacks are computed here. If a loss compares padding, which no cache holds, `batches` are
    returned unchanged.

    Raises:
        InputError: the cache has no room for the features, or cannot be written.
    """
    if names := losses_of_padding(distiller):
        say_not_kept(names)
        return batches
    fingerprint = teacher_fingerprint(distiller.teacher)
    asked = AskedRows.of(cache, fingerprint, [distiller], batches.tokens, batches.pad_token_id)
    missing = asked.missing_bytes()
    if missing and not cache.has_room(missing):
        raise InputError(
            f"teacher cache {cache.directory}: {missing:,} bytes are more than max_bytes={cache.max_bytes:,.0f} and "
            f"the disk have left{longest_unused(cache.directory, missing, but=asked.folder)}."
        )
    asked.fill()
    return batches.with_row_inputs(asked.read(distiller))


def say_not_kept(names: Sequence[str]) -> None:
    """Log why a stage with these losses runs its teacher in every step."""
    say(f"teacher cache: {', '.join(names)} compares padding too, which is not kept: the teacher runs each step")


@dataclass(frozen=True)
class AskedRows:
    """The rows of a data set, and the Distillers that compare one teacher's features of them; `folder` keeps these.

    `pad_token_id` is that of the rows' tokenizer.
    """

    cache: TeacherCache
    folder: Path
    distillers: Sequence[Distiller]
    tokens: TokenizedTexts
    pad_token_id: int

    @classmethod
    def of(
        cls,
        cache: TeacherCache,
        fingerprint: str,
        distillers: Sequence[Distiller],
        tokens: TokenizedTexts,
        pad_token_id: int,
    ) -> AskedRows:
        """Make the rows with the cache folder of the teacher with this fingerprint."""
        return cls(cache, cache.folder_of(fingerprint, tokens.fingerprint()), distillers, tokens, pad_token_id)

    def missing_bytes(self) -> int:
        """Return the number of bytes that `fill` would write."""
        return self.cache.missing_bytes(self.folder, self._union(), self.tokens.lengths)

    def fill(self) -> None:
        """Compute the missing features of all Distillers in one pass."""
        requests = [FeatureRequest.of(**distiller.teacher_arguments) for distiller in self.distillers]
        answer = _answers(self.distillers[0].teacher, FeatureRequest.union(requests).arguments)
        batches = functools.partial(_AllRows, self.tokens, self.pad_token_id)
        self.cache.fill(self.folder, self._union(), self.tokens.lengths, batches, answer)

    def read(self, distiller: Distiller) -> TeacherFeatures:
        """Return the features that one Distiller compares; call `fill` first."""
        return TeacherFeatures(self.folder, _compared(distiller), self.tokens.lengths)

    def _union(self) -> list[CachedFeature]:
        return list({one.key: one for distiller in self.distillers for one in _compared(distiller)}.values())


def _compared(distiller: Distiller) -> list[CachedFeature]:
    return [CachedFeature(key, shape[1:]) for key, shape in distiller.teacher_shapes.items()]


def _answers(teacher: keras.Model, arguments: Mapping[str, Any]) -> Answer:
    """Return the teacher's call, compiled once for all lengths."""
    shape = tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), shape)])
    def answer(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return features.by_teacher_key(teacher(inputs, training=False, **arguments))

    return lambda inputs: answer({name: tf.constant(values) for name, values in inputs.items()})


class _AllRows:
    """Batches of every row of a data set once; rows of similar length are together."""

    def __init__(self, tokens: TokenizedTexts, pad_token_id: int) -> None:
        most = max(BATCH_TOKENS, int(tokens.lengths.max()))
        self._batches = Batches(tokens, None, pad_token_id=pad_token_id, batch_tokens=most)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        return self._batches.rows(step), self._batches[step][0]
