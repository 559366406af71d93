"""Copies tensors of a file into variables of a model and back, along a table of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from keras import ops

from tinybert_tf.checkpoints.families import BERT, Family
from tinybert_tf.checkpoints.name_tables import WORD_EMBEDDINGS, TensorName
from tinybert_tf.checkpoints.tensors import Tensors
from tinybert_tf.errors import InputError

# Other names of the same tensor: LayerNorm's in TensorFlow, and the masked LM's bias under its tied name.
_SPELLINGS = (
    (".LayerNorm.weight", ".LayerNorm.gamma"),
    (".LayerNorm.bias", ".LayerNorm.beta"),
    ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ("lm_head.bias", "lm_head.decoder.bias"),
)

# It holds the numbers 0, 1, 2, ..., which no model needs.
_POSITION_IDS = "embeddings.position_ids"

_CONFIG_FIELDS = {
    "word_embeddings": "vocab_size, hidden_size",
    "attention.": "hidden_size",
    "position_embeddings": "max_position_embeddings, hidden_size",
    "token_type_embeddings": "type_vocab_size, hidden_size",
    "intermediate": "intermediate_size, hidden_size",
    "output.dense": "intermediate_size, hidden_size",
    "classifier": "num_labels, hidden_size",
    "cls.predictions.bias": "vocab_size",
}


class Variable(Protocol):
    """A Keras variable, or anything else with a shape, `assign` and `__array__`."""

    @property
    def shape(self) -> Any:
        """The sizes of the axes."""

    def assign(self, value: np.ndarray) -> Any:
        """Replace the value."""

    def __array__(self, dtype: Any = None) -> np.ndarray:
        """Return the value."""


@dataclass(frozen=True)
class LoadReport:
    """The tensors that loading left out, by their names in the file.

    `missing`: tensors that the file does not have; their variables keep their initial values. `unused`: tensors of the
    file for which the model has no variable.
    """

    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        parts = (("newly initialised", self.missing), ("not used", self.unused))
        return "; ".join(f"{what}: {_listed(names)}" for what, names in parts if names) or "every tensor was used"


def assign_tensors(
    variables: Mapping[str, Variable], table: Sequence[TensorName], tensors: Tensors, family: Family = BERT
) -> LoadReport:
    """Assign the tensors of a file to the variables that `table` pairs them with; on an error assign none.

    `variables` maps paths relative to the model to variables, and has every path of the table. The names of encoder and
    pooler tensors begin with the family's prefix (`bert.`) if that of the word embeddings does.

    Raises:
        InputError: a required tensor is missing, or a shape differs.
    """
    prefix = family.tensor_prefix if f"{family.tensor_prefix}{WORD_EMBEDDINGS}" in tensors else ""
    found = {name: _find(name, prefix, tensors) for name in table}
    _check_required([name.tensor for name in table if name.required and found[name] is None], tensors, family)
    present = {name: tensor for name, tensor in found.items() if tensor is not None}
    _check_shapes(variables, present, tensors)
    for name, tensor in present.items():
        value = tensors.read(tensor)
        # Not `value.T`, which NumPy copies element by element on one core.
        variables[name.variable].assign(ops.transpose(value) if name.transposed else value)
    used = {*present.values(), prefix + _POSITION_IDS, *family.masked_lm.tied}
    return LoadReport(
        missing=tuple(name.tensor for name in table if found[name] is None),
        unused=tuple(name for name in tensors.names() if name not in used),
    )


def collect_tensors(
    variables: Mapping[str, Variable], table: Sequence[TensorName], prefix: str
) -> dict[str, np.ndarray]:
    """Return the variables' values under the tensor names of `table`: float32, in the file's orientation, contiguous.

    `prefix` (`"bert."` for a task model, `""` for a bare encoder) goes before encoder and pooler tensors only.
    """
    collected = {}
    for name in table:
        value = np.asarray(variables[name.variable]).astype(np.float32, copy=False)
        key = prefix + name.tensor if name.prefixed else name.tensor
        collected[key] = np.ascontiguousarray(value.T if name.transposed else value)
    return collected


def _find(name: TensorName, prefix: str, tensors: Tensors) -> str | None:
    written = prefix + name.tensor if name.prefixed else name.tensor
    spellings = [written.removesuffix(ours) + theirs for ours, theirs in _SPELLINGS if written.endswith(ours)]
    return next((spelling for spelling in (written, *spellings) if spelling in tensors), None)


def _check_required(missing: list[str], tensors: Tensors, family: Family) -> None:
    if not missing:
        return
    has = _listed(tensors.names(), limit=3) or "no tensors"
    raise InputError(
        f"{tensors.path}: expected {_listed(missing)}, with or without `{family.tensor_prefix}` in front; the file has "
        f"{has}"
    )


def _check_shapes(variables: Mapping[str, Variable], present: Mapping[TensorName, str], tensors: Tensors) -> None:
    wrong = []
    for name, tensor in present.items():
        expected = tuple(variables[name.variable].shape)
        expected = expected[::-1] if name.transposed else expected
        if tensors.shape(tensor) != expected:
            hint = next((field for part, field in _CONFIG_FIELDS.items() if part in tensor), "hidden_size")
            wrong.append(f"{tensor} has shape {tensors.shape(tensor)}; the model expects {expected} (see {hint})")
    if wrong:
        more = f", and {len(wrong) - 1} more tensors differ" if len(wrong) > 1 else ""
        raise InputError(f"{tensors.path}: tensor {wrong[0]}{more}")


def _listed(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
