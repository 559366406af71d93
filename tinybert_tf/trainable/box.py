"""`Box`: hides models and their outputs from Keras."""

from __future__ import annotations

from typing import Any


class Box:
    """Holds a model, or its outputs, in `content`, where Keras does not look for layers and weights."""

    def __init__(self, content: Any) -> None:
        self.content = content
