"""What token ids, token types and lengths a model's inputs have, looked up on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

NO_TYPES = (0, 0)


@dataclass(frozen=True)
class InputBounds:
    """The smallest and the largest token id, the same of token types, and the tokens of the longest row, padded."""

    ids: tuple[int, int]
    length: int
    types: tuple[int, int] = NO_TYPES


def bounds_of(inputs: Any) -> InputBounds | None:
    """The bounds of batches that know theirs, or of a dict of arrays.

    None where they are not known before a pass: of `tf.data`, a generator, symbolic tensors, or what has no rows.
    """
    known = getattr(inputs, "input_bounds", None)
    if known is not None:
        return known()
    if not isinstance(inputs, Mapping):
        return None
    ids, types = (_as_array(inputs.get(name)) for name in ("input_ids", "token_type_ids"))
    if ids is None or ids.ndim != 2 or not ids.size:
        return None
    of_types = NO_TYPES if types is None or not types.size else extremes(types)
    return InputBounds(extremes(ids), ids.shape[1], of_types)


def extremes(values: np.ndarray) -> tuple[int, int]:
    """The smallest and the largest of some integers, of which there is at least one."""
    return int(values.min()), int(values.max())


def _as_array(values: Any) -> np.ndarray | None:
    """Values that are there, as NumPy has them; None for a tensor of a graph."""
    if isinstance(values, np.ndarray | list | tuple):
        return np.asarray(values)
    return np.asarray(values) if hasattr(values, "__array__") and hasattr(values, "numpy") else None
