"""The bounds of token ids, token types and lengths of a model's inputs, found on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

NO_TYPES = (0, 0)


@dataclass(frozen=True)
class InputBounds:
    """The smallest and the largest token id and token type, and the length of the longest row, padding included."""

    ids: tuple[int, int]
    length: int
    types: tuple[int, int] = NO_TYPES


def bounds_of(inputs: Any) -> InputBounds | None:
    """The bounds of batches that know theirs, or of a dict of arrays.

    None if they are not known before a pass: for `tf.data`, generators, symbolic tensors, and data without rows.
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
    """The smallest and the largest of at least one integer."""
    return int(values.min()), int(values.max())


def _as_array(values: Any) -> np.ndarray | None:
    """Values as a NumPy array; None for a tensor of a graph, which has no values yet."""
    if isinstance(values, np.ndarray | list | tuple):
        return np.asarray(values)
    return np.asarray(values) if hasattr(values, "__array__") and hasattr(values, "numpy") else None
