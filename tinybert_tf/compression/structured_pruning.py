"""`prune_structure`: a model without its least important attention heads and feed-forward units."""

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
    """The config of a model with so many heads and units in each layer; a head stays as wide as it is.

    Raises:
        InputError: more than there are, or none.
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
    """A model with fewer heads and feed-forward units in each layer, and otherwise the same one.

    It is cut from the model as a student is from its teacher (`cut_student`), in the same basis. The heads that stay
    are those whose output varies most over the texts, the units those whose standard deviation times the norm of their
    outgoing weights is largest; what is left is fitted in closed form to make up for what is gone. What contributes
    nothing leaves the outputs as they are. The matrices are really smaller: no masks, no zeros.

    The directory that it saves loads with `from_pretrained`. Where heads are gone, transformers' classes refuse it: to
    them a head is always `hidden_size / num_attention_heads` wide. With fewer units alone they load it.

    Args:
        model: a task model or an encoder; unchanged.
        batches: some hundred texts, as `cut_student` takes them.
        num_attention_heads: heads of each layer that stay; by default all.
        intermediate_size: units of each layer that stay; by default all.
        ridge: how much the fit leans on the model's own weights, as in `cut_student`.
        max_tokens: tokens of the texts that are taken, likewise.

    Returns:
        A new model of the same class and precision.

    Raises:
        InputError: more heads or units than there are, or none; no texts; a model that has been quantized.

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
    # What a cut knows nothing of, such as a masked LM's head, is as it was.
    weights = exact.variables_by_name()
    for name, variable in pruned.variables_by_name().items():
        if tuple(variable.shape) == tuple(weights[name].shape):
            variable.assign(weights[name])
    pairs = [(layer, layer) for layer in range(1, model.num_hidden_layers + 1)]
    cut_student(pruned, exact, pairs, batches, ridge=ridge, max_tokens=max_tokens)
    return in_precision(pruned, model.dtype_policy.name)
