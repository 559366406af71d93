"""The cost of models that are not built."""

from __future__ import annotations

import dataclasses

from tinybert_tf import EncoderConfig, SequenceClassifier
from tinybert_tf.evaluation.config_cost import arithmetic_of, parameters_of, table_parameters

SMALL = EncoderConfig(
    vocab_size=10,
    hidden_size=4,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=6,
)


def test_parameters_are_those_of_the_built_model() -> None:
    model = SequenceClassifier(SMALL, num_labels=3)
    assert parameters_of(SMALL, num_outputs=3, has_pooler=True) == model.count_params()


def test_tables() -> None:
    assert table_parameters(SMALL) == (10 + 6 + 2) * 4
    electra = dataclasses.replace(SMALL, model_type="electra", embedding_size=3)
    assert table_parameters(electra) == (10 + 6 + 2) * 3


def test_arithmetic() -> None:
    """In a layer, for a token of five: 8 h a + 4 h i + 4 a n."""
    assert arithmetic_of(SMALL, seq_len=5) == 2 * (8 * 4 * 4 + 4 * 4 * 8 + 4 * 4 * 5)
    one_head = dataclasses.replace(SMALL, num_attention_heads=1, head_dim=2)
    assert arithmetic_of(one_head, seq_len=5) == 2 * (8 * 4 * 2 + 4 * 4 * 8 + 4 * 2 * 5)
