from __future__ import annotations

import pytest

from tinybert_tf import EncoderConfig, InputError
from tinybert_tf.models.limits import check_limits

CONFIG = EncoderConfig(vocab_size=100, max_position_embeddings=64)


def test_what_fits() -> None:
    check_limits(CONFIG, vocab_size=100, max_length=64, source="bert")
    check_limits(CONFIG, vocab_size=90, max_length=8, source="bert")


@pytest.mark.parametrize(
    ("vocab_size", "max_length", "message"),
    [
        (101, 64, "bert: the tokenizer has 101 tokens, the model has vocab_size=100"),
        (100, 65, "max_length=65: bert has max_position_embeddings=64"),
    ],
)
def test_what_does_not(vocab_size: int, max_length: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_limits(CONFIG, vocab_size, max_length, "bert")
