"""The default of a key, read from the dataclass that has it."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints


def default_of(cls: type, key: str) -> Any:
    """The default of a dotted key of a configuration class; None if it has none.

    Example:
        >>> from tinybert_tf.config.schema import DistillConfig
        >>> default_of(DistillConfig, "train.batch_size")
        32
    """
    name, _, rest = key.partition(".")
    fields = {each.name: each for each in dataclasses.fields(cls)}
    if name not in fields:
        return None
    made = fields[name].default_factory
    value = fields[name].default if made is dataclasses.MISSING else made()
    if not rest:
        return None if value is dataclasses.MISSING else value
    if dataclasses.is_dataclass(value):
        inside = getattr(value, rest.partition(".")[0], None)
        return inside if "." not in rest else default_of(type(value), rest)
    section = _section_of(get_type_hints(cls)[name])
    return None if section is None else default_of(section, rest)


def _section_of(hint: Any) -> type | None:
    return next((each for each in (hint, *get_args(hint)) if dataclasses.is_dataclass(each)), None)  # type: ignore[return-value]
