"""`class_weight` and `sample_weight` of Keras's `fit`, for batches that Keras takes as they are."""

from __future__ import annotations

from typing import Any


def with_row_weights(batches: Any, arguments: dict[str, Any]) -> Any:
    """Batches of this library that give weights as Keras would, where `arguments` ask for them; other data as it is.

    Keras ignores both arguments for its own kind of data adapter. They are taken out of `arguments`.

    Raises:
        InputError: as the batches' `weighted`.
    """
    if not hasattr(batches, "weighted"):
        return batches
    asked = {name: arguments.pop(name, None) for name in ("class_weight", "sample_weight")}
    return batches if all(value is None for value in asked.values()) else batches.weighted(**asked)
