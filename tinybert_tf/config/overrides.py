"""Single keys that override the values of a file, and the source of each value."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tinybert_tf.config.rules import SettingError


class Overrides:
    """Sets dotted keys in `plain` (changed in place) and remembers the source of each.

    `defaults` holds the plain values of top-level keys that `plain` may lack, so that a key inside them can be set.
    Messages begin with a source: `"run.yaml: "` for the file, `"--set "` for a setting.
    """

    def __init__(self, plain: dict[str, Any], file: str, defaults: Mapping[str, Any]) -> None:
        self._plain = plain
        self._file = file
        self._defaults = defaults
        self._sources: dict[str, str] = {}

    def set(self, key: str, value: Any, source: str) -> None:
        """Set `key`, and make the sections around it; raises SettingError if a list or a scalar is in the way."""
        self._sources[key] = source
        *sections, last = key.split(".")
        if sections and sections[0] in self._defaults:
            self._plain.setdefault(sections[0], copy.deepcopy(self._defaults[sections[0]]))
        node: Any = self._plain
        for depth, part in enumerate(sections, start=1):
            place: Any = _place(node, part, key)
            child = node[place] if isinstance(node, list) else node.get(place)
            if child is None:
                child = {}
                self._sources[".".join(sections[:depth])] = source
            elif isinstance(child, str) and isinstance(node, list):
                child = {"name": child}  # a loss that was written as a name only
            node[place] = child
            node = child
        node[_place(node, last, key)] = copy.deepcopy(value)

    def source(self, key: str) -> str:
        """Return the source of `key`, or of the nearest section around it that was set; else the file."""
        parts = key.split(".")
        around = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((self._sources[outer] for outer in around if outer in self._sources), self._file)


def _place(node: Any, part: str, key: str) -> Any:
    if isinstance(node, dict):
        return part
    if not isinstance(node, list):
        raise SettingError(key, f"expected a section to look for {part!r} in, got {node!r}")
    if not part.isdecimal() or int(part) >= len(node):
        raise SettingError(key, f"expected an item from 0 to {len(node) - 1}, got {part!r}")
    return int(part)
