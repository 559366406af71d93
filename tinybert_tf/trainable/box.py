"""A place for what Keras should not find."""

from __future__ import annotations

from typing import Any


class Box:
    """Holds a model, or outputs of one, in `content`; Keras looks for no layers and weights in it."""

    def __init__(self, content: Any) -> None:
        self.content = content
