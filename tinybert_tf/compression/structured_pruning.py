"""`prune_structure`: removes a model's least important attention heads and feed-forward units."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.cut.student import MAX_TOKENS, cut_student
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.pretrained import in_precision
from tinybert_tf.models.quantization.state import refuse_quantized

Model = TypeVar("Model", TransformerEncoder, TaskModel)

SIZES = ("num_attention_heads", "intermediate_size")


def pruned_config(
    config: EncoderConfig, num_attention_heads: int | None = None, intermediate_size: int | None = None
) -> EncoderConfig:
    """Return the config of a model with so many heads and units in each layer; heads keep their width.

    Raises:
        InputError: a number is below 1 or above the model's.
    """
    given: dict[str, Any] = {"num_attention_heads": num_attention_heads, "intermediate_size": intermediate_size}
    sizes = {name: size for name, size in given.items() if size is not None}
    for name, size in sizes.items():
        if not 1 <= size <= getattr(config, name):
            raise InputError(f"{name}: expected 1 to the model's {getattr(config, name)}, got {size}.")
    return dataclasses.replace(config, head_dim=config.head_size, **sizes)


def prune_structure(
    model: Model,
    batches: Iterable[Mapping[str, Any] | tuple[Any, ...]],
    *,
    num_attention_heads: int | None = None,
    intermediate_size: int | None = None,
    ridge: float = 1e-3,
    max_tokens: int | None = MAX_TOKENS,
) -> Model:
    """Make a copy of a model with fewer attention heads and feed-forward units in each layer.

    The copy is cut from the model as a student from its teacher (`cut_student`), in the same basis. The heads whose
    output varies most over the texts stay, and the units whose standard deviation times the norm of their outgoing
    weights is largest. The remaining weights are fitted in closed form to make up for the removed ones. Removing heads
    or units that contribute nothing does not change the outputs. The matrices become smaller: no masks, no zeros.

    A directory that the copy saves loads with `from_pretrained`. transformers' classes load it if only units were
    removed; they refuse fewer heads, as their heads are always `hidden_size / num_attention_heads` wide.

    Args:
        model: a task model or an encoder, which does not change.
        batches: a few hundred texts, in the form that `cut_student` takes.
        num_attention_heads: number of heads that stay in each layer; by default all.
        intermediate_size: number of units that stay in each layer; by default all.
        ridge: how much the fit leans on the model's own weights, as in `cut_student`.
        max_tokens: the most tokens of the texts that are read, as in `cut_student`.

    Returns:
        A new model of the same class and precision.

    Raises:
        InputError: a number of heads or units is below 1 or above the model's, there are no texts, or the model is
            quantized.

    Example:
        >>> import numpy as np
        >>> from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
        >>> model = SequenceClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
        >>> ids = np.arange(1, 97).reshape(12, 8)
        >>> batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        >>> smaller = prune_structure(model, [batch], num_attention_heads=1, intermediate_size=384)
        >>> smaller.config.num_attention_heads, smaller.config.head_size, smaller.config.intermediate_size
        (1, 64, 384)
    """
    refuse_quantized(model, "structured pruning")
    config = pruned_config(model.config, num_attention_heads, intermediate_size)
    exact = in_precision(model, "float32")
    pruned = type(model).from_config({**exact.get_config(), model.config_argument: dataclasses.asdict(config)})
    # Weights that a cut does not fit, such as a masked LM's head, are copied.
    weights = exact.variables_by_name()
    for name, variable in pruned.variables_by_name().items():
        if tuple(variable.shape) == tuple(weights[name].shape):
            variable.assign(weights[name])
    pairs = [(layer, layer) for layer in range(1, model.num_hidden_layers + 1)]
    cut_student(pruned, exact, pairs, batches, ridge=ridge, max_tokens=max_tokens)
    return in_precision(pruned, model.dtype_policy.name)
