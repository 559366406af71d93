"""Comparing a run directory's config with a command's, as values and not as text; going on with what a run chose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinybert_tf.config.load import dump_config, load_config
from tinybert_tf.config.models import MEDIUM, StudentSection
from tinybert_tf.config.resolved import resolved
from tinybert_tf.config.strict_yaml import parse_yaml
from tinybert_tf.errors import InputError

# Keys that say where files are kept; no result depends on them.
PLACES = ("out", "cache_dir", "max_disk_gib")


def config_difference(path: Path, config: Any) -> str:
    """Describe how the config in a file differs from another one, as `there x=1, here x=2`; empty if it does not.

    A key that the file does not have gets its default. `PLACES` are not compared, and neither is the student's size if
    the other config does not say it.
    """
    try:
        there = load_config(type(config), path)
    except InputError as error:
        return str(error)
    both = (_with_size(each, _size_of(there)) for each in (there, config))
    theirs, ours = (dict(_leaves(parse_yaml(dump_config(resolved(each)), "config"))) for each in both)
    for key in dict.fromkeys([*theirs, *ours]):
        if key not in PLACES and theirs.get(key) != ours.get(key):
            return f"there {_shown(key, theirs)}, here {_shown(key, ours)}"
    return ""


def as_begun(path: Path, config: Any) -> Any:
    """Return the config with the student's size of a run, by its config file, if the config does not say it.

    A run of an earlier version chose none: half of the teacher's layers, which is `medium`.
    """
    return _with_size(config, _size_of(load_config(type(config), path))) if path.is_file() else config


def _size_of(config: Any) -> str | None:
    """The name of the size of a run's student; None if it has other sizes or no choice, or there is no student."""
    section = getattr(config, "student", None)
    if not isinstance(section, StudentSection):
        return None
    return MEDIUM if section.is_open else section.size


def _with_size(config: Any, size: str | None) -> Any:
    """The config with this size, if it says nothing about the size of its student."""
    section = getattr(config, "student", None)
    if size is None or not isinstance(section, StudentSection) or not section.has_no_size:
        return config
    return dataclasses.replace(config, student=dataclasses.replace(section, size=size))


def _shown(key: str, values: Mapping[str, Any]) -> str:
    return f"{key}={values[key]}" if key in values else f"no {key}"


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted key."""
    inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        yield key, value
        return
    for name, item in inside:
        yield from _leaves(item, f"{key}.{name}" if key else str(name))
