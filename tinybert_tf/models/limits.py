"""What a model can read: token ids below `vocab_size`, texts of up to `max_position_embeddings` tokens."""

from __future__ import annotations

from pathlib import Path

from tinybert_tf.errors import InputError
from tinybert_tf.input_bounds import InputBounds
from tinybert_tf.models.config import EncoderConfig


def check_limits(config: EncoderConfig, vocab_size: int, max_length: int, source: str | Path) -> None:
    """Refuse a tokenizer or a length that a model has no embeddings for.

    Args:
        config: the model's.
        vocab_size: ids of the tokenizer.
        max_length: tokens a text is cut at, special tokens included.
        source: the model's directory, which the message names.

    Raises:
        InputError: one of the two is larger than the model's.
    """
    if vocab_size > config.vocab_size:
        raise InputError(
            f"{source}: the tokenizer has {vocab_size} tokens, the model vocab_size={config.vocab_size}; they do not "
            f"belong together."
        )
    if max_length > config.max_tokens:
        positions = config.max_position_embeddings
        most = "that many" if config.max_tokens == positions else config.max_tokens
        raise InputError(
            f"max_length={max_length}: {source} has max_position_embeddings={positions}; at most {most} tokens are "
            f"accepted."
        )


def check_bounds(config: EncoderConfig, bounds: InputBounds) -> None:
    """Refuse inputs that a model has no embeddings for. A model with one type of tokens, or none, reads no types.

    Raises:
        InputError: a token id, a token type or a length.
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
        InputError: they are.
    """
    if length > max_tokens:
        rest = max_position_embeddings - max_tokens
        less = f", of which the first {rest} are padding's" if rest else ""
        raise InputError(
            f"a sequence of {length} tokens; this model has max_position_embeddings={max_position_embeddings}{less}."
        )
