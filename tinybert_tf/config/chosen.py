"""Values that a run chose for itself, because its config left them open: read and set by dotted keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


def value_at(config: Any, key: str) -> Any:
    """Return the value of a dotted key, such as `stages.0.epochs`; None if the config has no such section.

    Example:
        >>> from tinybert_tf.config.schema import DistillConfig, Data, TeacherSection
        >>> config = DistillConfig(teacher=TeacherSection("t"), data=Data(train="a.tsv"), out="run")
        >>> value_at(config, "stages.1.name")
        'prediction'
    """
    for name in key.split("."):
        if isinstance(config, tuple):
            config = config[int(name)] if int(name) < len(config) else None
        else:
            config = getattr(config, name, None)
    return config


def with_value(config: Any, key: str, value: Any) -> Any:
    """Return the config with another value of a dotted key."""
    name, _, rest = key.partition(".")
    if isinstance(config, tuple):
        changed = with_value(config[int(name)], rest, value)
        return (*config[: int(name)], changed, *config[int(name) + 1 :])
    inside = with_value(getattr(config, name), rest, value) if rest else value
    return dataclasses.replace(config, **{name: inside})


def with_choices(config: Any, values: Mapping[str, Any]) -> Any:
    """Return the config with these values, by dotted keys, where it leaves them open; `chosen` names them."""
    open_keys = [key for key, value in values.items() if value is not None and _is_open(config, key)]
    for key in open_keys:
        config = with_value(config, key, values[key])
    return dataclasses.replace(config, chosen=(*(config.chosen or ()), *open_keys))


def _is_open(config: Any, key: str) -> bool:
    """Return whether the config has the section of a key, and no value for the key."""
    section, _, _ = key.rpartition(".")
    return (not section or value_at(config, section) is not None) and value_at(config, key) is None
