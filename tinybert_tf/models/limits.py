"""What a model can read: token ids below `vocab_size`, texts of up to `max_position_embeddings` tokens."""

from __future__ import annotations

from pathlib import Path

from tinybert_tf.errors import InputError
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
