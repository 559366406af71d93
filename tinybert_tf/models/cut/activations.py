"""The values inside an encoder layer, step by step, on a few batches of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tinybert_tf.models.encoder.attention import MASKED, SelfAttention
from tinybert_tf.models.encoder.embeddings import Embeddings
from tinybert_tf.models.encoder.encoder_layer import EncoderLayer
from tinybert_tf.slow_work import SlowWork, say

_OF_ATTENTION = ("queries", "keys", "values", "context")


class Texts:
    """The batches that a cut is fitted on, with a mask of the positions that hold tokens.

    Args:
        batches: dicts of `input_ids`, `attention_mask` and optionally `token_type_ids`, each `(batch, seq_len)`; or
            tuples that begin with such a dict, as `fit` takes them.
        max_tokens: the first batches are taken up to so many tokens, at least one batch; None takes all.
    """

    def __init__(self, batches: Iterable[Mapping[str, Any] | tuple[Any, ...]], max_tokens: int | None = None) -> None:
        self.batches = _first(batches, max_tokens)
        self.work = SlowWork("cut", 0)
        self.masks = [np.asarray(batch["attention_mask"]).astype(bool) for batch in self.batches]
        self.mask_biases = [np.where(mask, 0.0, MASKED).astype(np.float32)[:, None, None, :] for mask in self.masks]

    @property
    def num_tokens(self) -> int:
        """Number of tokens of all texts."""
        return int(sum(mask.sum() for mask in self.masks))

    def tokens(self, values: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Per-position values of each batch, `(batch, seq_len, ...)`, as rows without padding, `(tokens, ...)`."""
        return (array[mask] for array, mask in zip(values, self.masks, strict=True))


def _first(batches: Iterable[Mapping[str, Any] | tuple[Any, ...]], max_tokens: int | None) -> list[Mapping[str, Any]]:
    """The first batches, up to so many tokens; if others are left out, a line tells how many texts are used."""
    taken: list[Mapping[str, Any]] = []
    tokens = 0
    for batch in batches:
        inputs = batch[0] if isinstance(batch, tuple) else batch
        tokens += int(np.asarray(inputs["attention_mask"]).sum())
        if max_tokens is not None and taken and tokens > max_tokens:
            texts = sum(len(each["input_ids"]) for each in taken)
            say(f"cut: uses the first {texts:,} texts, up to max_tokens={max_tokens:,}")
            break
        taken.append(inputs)
    return taken


@dataclass
class LayerActivations:
    """The values inside one layer for each batch, float32, `(batch, seq_len, ...)`.

    `queries`, `keys`, `values`: `(..., heads, head_size)`; `context`: the heads' weighted values side by side;
    `attended`, `normalised`: before and after the attention's LayerNorm; `expanded`: the feed-forward units before
    their activation; `summed`, `output`: before and after the layer's last LayerNorm.
    """

    queries: list[np.ndarray]
    keys: list[np.ndarray]
    values: list[np.ndarray]
    context: list[np.ndarray]
    attended: list[np.ndarray]
    normalised: list[np.ndarray]
    expanded: list[np.ndarray]
    summed: list[np.ndarray]
    output: list[np.ndarray]


def embedding_sums(embeddings: Embeddings, texts: Texts) -> list[np.ndarray]:
    """Word, position and token type embeddings summed, before their LayerNorm."""
    return [as_array(embeddings.summed(batch["input_ids"], batch.get("token_type_ids"))) for batch in texts.batches]


def attention_context(attention: SelfAttention, hidden: np.ndarray, mask_bias: np.ndarray) -> dict[str, np.ndarray]:
    """`queries`, `keys`, `values` `(batch, seq_len, heads, head_size)` and `context` `(batch, seq_len, width)`."""
    _, inside = attention(hidden, mask_bias, training=False)
    return _in_positions({name: inside[name] for name in _OF_ATTENTION}, hidden)


def layer_activations(layer: EncoderLayer, hidden: Sequence[np.ndarray], texts: Texts) -> LayerActivations:
    """Run one layer on `hidden`, `(batch, seq_len, hidden_size)` for each batch, in inference mode."""
    found: list[dict[str, np.ndarray]] = []
    for inputs, mask_bias in zip(hidden, texts.mask_biases, strict=True):
        output, inside = layer(inputs, mask_bias, training=False)
        inside.pop("scores")
        found.append(_in_positions({**inside, "output": output}, inputs))
        texts.work.step()
    return LayerActivations(**{name: [inside[name] for inside in found] for name in found[0]})


def _in_positions(inside: Mapping[str, Any], hidden: np.ndarray) -> dict[str, np.ndarray]:
    """Give a layer's intermediates the axes of its input, `(batch, seq_len, ...)`."""
    arrays = {name: as_array(value) for name, value in inside.items()}
    by_head = {name: arrays.pop(name).transpose(0, 2, 1, 3) for name in ("queries", "keys", "values")}
    return {**by_head, **{name: array.reshape(*hidden.shape[:2], -1) for name, array in arrays.items()}}


def as_array(tensor: Any) -> np.ndarray:
    """A Keras tensor as float32."""
    return np.asarray(ops.convert_to_numpy(tensor), np.float32)
