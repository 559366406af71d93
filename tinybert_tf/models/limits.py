"""The limits of a model's inputs: token ids below `vocab_size`, texts of at most `config.max_tokens` tokens."""

from __future__ import annotations

from pathlib import Path

from tinybert_tf.errors import InputError
from tinybert_tf.input_bounds import InputBounds
from tinybert_tf.models.config import EncoderConfig


def check_limits(config: EncoderConfig, vocab_size: int, max_length: int, source: str | Path) -> None:
    """Refuse a tokenizer or a length for which a model has no embeddings.

    Args:
        config: the model's config.
        vocab_size: number of the tokenizer's ids.
        max_length: number of tokens at which a text is cut, special tokens included.
        source: the model's directory, which the message names.

    Raises:
        InputError: one of the two is above the model's limit.
    """
    if vocab_size > config.vocab_size:
        raise InputError(
            f"{source}: the tokenizer has {vocab_size} tokens, the model has vocab_size={config.vocab_size}; they do "
            f"not belong together."
        )
    if max_length > config.max_tokens:
        raise InputError(
            f"max_length={max_length}: {source} has max_position_embeddings={config.max_position_embeddings}; expected "
            f"at most {config.max_tokens} tokens."
        )


def check_bounds(config: EncoderConfig, bounds: InputBounds) -> None:
    """Refuse inputs for which a model has no embeddings. A model with one token type, or none, reads no types.

    Raises:
        InputError: a token id, a token type or a length is out of range.
    """
    check_length(config.max_position_embeddings, config.max_tokens, bounds.length)
    types = [("token_type_ids", bounds.types, "type_vocab_size")] if config.type_vocab_size > 1 else []
    for name, (lowest, highest), size in [("input_ids", bounds.ids, "vocab_size"), *types]:
        top = getattr(config, size) - 1
        if lowest < 0 or highest > top:
            found = lowest if lowest < 0 else highest
            raise InputError(f"{name}: got {found}; expected 0 to {top}, since the model has {size}={top + 1}.")


def check_length(max_position_embeddings: int, max_tokens: int, length: int) -> None:
    """Refuse more tokens than a model has positions for.

    Raises:
        InputError: the sequence is longer than `max_tokens`.
    """
    if length > max_tokens:
        rest = max_position_embeddings - max_tokens
        less = f", and keeps the first {rest} for padding" if rest else ""
        raise InputError(
            f"a sequence of {length} tokens; this model has max_position_embeddings={max_position_embeddings}{less}."
        )
