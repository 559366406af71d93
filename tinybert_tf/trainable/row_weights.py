"""`class_weight` and `sample_weight` of Keras's `fit`, for batches of this library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinybert_tf.errors import InputError

WEIGHTS = ("class_weight", "sample_weight")


def with_row_weights(batches: Any, arguments: dict[str, Any]) -> Any:
    """Give batches of this library the weights that `arguments` ask for; other data stays as it is.

    Keras ignores both arguments for a data adapter. They are removed from `arguments`.

    Raises:
        InputError: see the batches' `weighted`.
    """
    if not hasattr(batches, "weighted"):
        return batches
    asked = {name: arguments.pop(name, None) for name in WEIGHTS}
    return batches if all(value is None for value in asked.values()) else batches.weighted(**asked)


def refuse_row_weights(arguments: Mapping[str, Any], owner: str) -> None:
    """Refuse both arguments.

    Raises:
        InputError: one of the two is given.
    """
    for name in WEIGHTS:
        if arguments.get(name) is not None:
            raise InputError(f"{name}: {owner} takes none, its losses compare two models; use the losses' own weights.")
