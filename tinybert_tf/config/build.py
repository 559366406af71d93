"""Makes the dataclasses of a configuration from plain mappings, along their type hints."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import itertools
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from tinybert_tf.config.rules import SettingError


class SectionBuilder:
    """Makes sections from plain mappings along the type hints, and collects absent required keys in `missing`."""

    def __init__(self, root: type) -> None:
        self.missing: list[str] = []
        self._known_keys = list(_leaf_keys(root, ""))

    def section(self, cls: type, value: Any, key: str) -> Any:
        """Return a `cls`, or None if keys inside it are missing; `key` is the section's own, empty for the root."""
        value = cls.from_shorthand(value) if hasattr(cls, "from_shorthand") else value
        value = {} if value is None else value
        fields = {each.name: each for each in dataclasses.fields(cls)}
        if not isinstance(value, Mapping):
            raise SettingError(key, f"expected a section with the keys {', '.join(fields)}, got {value!r}")
        for name in value:
            if name not in fields:
                raise SettingError(_join(key, name), self._unknown(name, list(fields), key))
        hints, given = get_type_hints(cls), {}
        missing_before = len(self.missing)
        needed = cls.needed_keys(value) if hasattr(cls, "needed_keys") else ()
        for name, each in fields.items():
            required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
            if required and value.get(name) is None and not dataclasses.is_dataclass(hints[name]):
                self.missing.append(_join(key, name))
            elif required or name in value:
                given[name] = self._value(hints[name], value.get(name), _join(key, name))
            inside = [path for path in needed if path.startswith(f"{name}.")]
            self.missing += [path for path in inside if _value_at(value, path) is None]
        if len(self.missing) > missing_before:
            return None
        try:
            return cls(**given)
        except SettingError as error:
            raise SettingError(_join(key, error.key), error.problem) from error

    def _unknown(self, name: str, accepted: list[str], key: str) -> str:
        near = [_join(key, match) for match in difflib.get_close_matches(name, accepted, n=1)]
        elsewhere = [known for known in self._known_keys if known.rpartition(".")[2] == name]
        guess = next(iter(near + elsewhere), None)
        return f"unknown key; did you mean {guess}?" if guess else f"unknown key; expected one of {', '.join(accepted)}"

    def _value(self, hint: Any, value: Any, key: str) -> Any:
        if dataclasses.is_dataclass(hint):
            return self.section(hint, value, key)  # type: ignore[arg-type]  # hints are classes, never instances
        if hint in _SCALARS:
            expected, convert = _SCALARS[hint]
            try:
                return convert(value)
            except (ValueError, OverflowError) as error:
                raise SettingError(
                    key, f"expected {expected}, got {'null' if value is None else repr(value)}"
                ) from error
        return _STRUCTURES[get_origin(hint)](self, get_args(hint), value, key)

    def _union(self, hints: tuple[Any, ...], value: Any, key: str) -> Any:
        if value is None and types.NoneType in hints:
            return None
        is_list, is_section = isinstance(value, list | tuple), isinstance(value, Mapping)
        choices = [hint for hint in hints if hint is not types.NoneType]
        fitting = (
            hint
            for hint in choices
            if (get_origin(hint) is tuple) == is_list and dataclasses.is_dataclass(hint) == is_section
        )
        *first, last = [*fitting] or choices[:1]
        for hint in first:  # a number or a text: the first type that fits
            with contextlib.suppress(SettingError):
                return self._value(hint, value, key)
        return self._value(last, value, key)

    def _tuple(self, hints: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
        any_length = hints[-1] is Ellipsis
        if isinstance(value, str) and hints[0] is str:
            value = [item.strip() for item in value.split(",")]
        if not isinstance(value, list | tuple) or not (any_length or len(value) == len(hints)):
            raise SettingError(key, f"expected a list{'' if any_length else f' of {len(hints)}'}, got {value!r}")
        item_hints = itertools.repeat(hints[0], len(value)) if any_length else hints
        pairs = zip(item_hints, value, strict=True)
        return tuple(self._value(hint, item, _join(key, str(number))) for number, (hint, item) in enumerate(pairs))

    def _mapping(self, hints: tuple[Any, ...], value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, Mapping | None):
            raise SettingError(key, f"expected a mapping of keys to values, got {value!r}")
        return dict(value or {})


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise ValueError
    return value in (True, "true")


def _text(value: Any) -> str:
    if not isinstance(value, str | Path):
        raise ValueError
    return str(value)


_SCALARS: Mapping[type, tuple[str, Callable[[Any], Any]]] = {
    int: ("an integer", _integer),
    float: ("a number", _number),
    bool: ("true or false", _boolean),
    str: ("text (write it in quotes)", _text),
}

_STRUCTURES: Mapping[Any, Callable[[SectionBuilder, tuple[Any, ...], Any, str], Any]] = {
    Union: SectionBuilder._union,
    types.UnionType: SectionBuilder._union,
    tuple: SectionBuilder._tuple,
    dict: SectionBuilder._mapping,
}


def _value_at(value: Any, key: str) -> Any:
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _leaf_keys(cls: type, key: str) -> Iterator[str]:
    for name, hint in get_type_hints(cls).items():
        if dataclasses.is_dataclass(hint):
            yield from _leaf_keys(hint, _join(key, name))  # type: ignore[arg-type]  # hints are classes
        else:
            yield _join(key, name)


def _join(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name
