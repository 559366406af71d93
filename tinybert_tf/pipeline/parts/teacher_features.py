"""A teacher's features for batches: from its cache, where they are filled in first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybert_tf import features
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.distillation.teacher_cache import CachedFeature, TeacherCache, TeacherFeatures
from tinybert_tf.errors import InputError

Answer = Callable[[Mapping[str, np.ndarray]], dict[str, Any]]
# Tokens that the teacher is asked for at once, or one row where it has more.
BATCH_TOKENS = 4096


def with_teacher_features(batches: Batches, distiller: Distiller, cache: TeacherCache) -> Batches:
    """The same batches with what the distiller compares of its teacher, which is not run in training then.

    Computed here, unless the cache has it. Of losses that compare padding nothing can be kept: `batches` as they are.

    Raises:
        InputError: the cache has no room for it, or cannot be written.
    """
    if any(comparison.loss.reads_padding for comparison in distiller.comparisons):
        return batches
    tokens, pad_token_id = batches.tokens, batches.pad_token_id
    missing = missing_bytes(cache, [distiller], tokens)
    if missing and not cache.has_room(missing):
        raise InputError(
            f"teacher cache {cache.directory}: {missing:,} bytes more are wanted than max_bytes={cache.max_bytes:,.0f} "
            f"and the disk have left."
        )
    fill(cache, [distiller], tokens, pad_token_id)
    return batches.with_row_inputs(read(cache, distiller, tokens))


def compared(distiller: Distiller) -> list[CachedFeature]:
    """What a distiller compares of its teacher."""
    return [CachedFeature(key, shape[1:]) for key, shape in distiller.teacher_shapes.items()]


def missing_bytes(cache: TeacherCache, distillers: list[Distiller], tokens: TokenizedTexts) -> int:
    """Bytes that `fill` would write."""
    folder = cache.folder(distillers[0].teacher, tokens.fingerprint())
    return cache.missing_bytes(folder, _union(distillers), tokens.lengths)


def fill(cache: TeacherCache, distillers: list[Distiller], tokens: TokenizedTexts, pad_token_id: int) -> None:
    """Compute what distillers of one teacher compare of these rows, as far as it is not there, in one pass."""
    teacher = distillers[0].teacher
    answer = _answers(teacher, _merged(distiller.teacher_arguments for distiller in distillers))
    folder = cache.folder(teacher, tokens.fingerprint())
    cache.fill(folder, _union(distillers), tokens.lengths, lambda: _AllRows(tokens, pad_token_id), answer)


def read(cache: TeacherCache, distiller: Distiller, tokens: TokenizedTexts) -> TeacherFeatures:
    """What was filled."""
    return TeacherFeatures(cache.folder(distiller.teacher, tokens.fingerprint()), compared(distiller), tokens.lengths)


def _union(distillers: Iterable[Distiller]) -> list[CachedFeature]:
    return list({feature.key: feature for distiller in distillers for feature in compared(distiller)}.values())


def _merged(calls: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One call's arguments for what several calls ask for."""
    calls = list(calls)
    merged: dict[str, Any] = {}
    for name in {name for call in calls for name in call} - {"last_layer"}:
        merged[name] = tuple(sorted({layer for call in calls for layer in call.get(name, ())}))
    if all("last_layer" in call for call in calls):
        merged["last_layer"] = max(call["last_layer"] for call in calls)
    return merged


def _answers(teacher: keras.Model, arguments: Mapping[str, Any]) -> Answer:
    """The teacher as the cache asks it, compiled once for all lengths."""
    shape = tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), shape)])
    def answer(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return features.by_teacher_key(teacher(inputs, training=False, **arguments))

    return lambda inputs: answer({name: tf.constant(values) for name, values in inputs.items()})


class _AllRows:
    """Every row of a data set once, rows of like length together."""

    def __init__(self, tokens: TokenizedTexts, pad_token_id: int) -> None:
        most = max(BATCH_TOKENS, int(tokens.lengths.max()))
        self._batches = Batches(tokens, None, pad_token_id=pad_token_id, batch_tokens=most)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        return self._batches.rows(step), self._batches[step][0]
