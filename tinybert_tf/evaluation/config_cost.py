"""The cost of a model that is not built: parameters and arithmetic, from its `EncoderConfig`."""

from __future__ import annotations

from tinybert_tf.evaluation.cost import flops_per_token, task_model_parameters
from tinybert_tf.models.config import EncoderConfig


def parameters_of(config: EncoderConfig, num_outputs: int, has_pooler: bool) -> int:
    """Return the number of weights of an encoder of these sizes with a head; see `task_model_parameters`.

    Example:
        >>> parameters_of(EncoderConfig.from_preset("bert-tiny"), num_outputs=2, has_pooler=True)
        4386178
    """
    return task_model_parameters(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        num_outputs=num_outputs,
        embedding_size=config.embedding_size,
        attention_size=config.num_attention_heads * config.head_size,
        has_pooler=has_pooler,
    )


def table_parameters(config: EncoderConfig) -> int:
    """Return the number of weights in the tables of words, positions and token types.

    Example:
        >>> table_parameters(EncoderConfig.from_preset("bert-tiny"))
        3972608
    """
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    return rows * (config.embedding_size or config.hidden_size)


def arithmetic_of(config: EncoderConfig, seq_len: int) -> int:
    """Return the floating-point operations of the layers for one token of a text; see `flops_per_token`.

    Example:
        >>> arithmetic_of(EncoderConfig.from_preset("tinybert-4l-312d"), seq_len=128)
        9744384
    """
    return flops_per_token(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        intermediate_size=config.intermediate_size,
        seq_len=seq_len,
        attention_size=config.num_attention_heads * config.head_size,
    )
