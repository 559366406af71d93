"""Comparing a run directory's config with a command's, as values and not as text; going on with what a run chose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinybert_tf.config.chosen import value_at, with_choices
from tinybert_tf.config.load import dump_config, load_config
from tinybert_tf.config.models import MEDIUM, StudentSection
from tinybert_tf.config.resolved import resolved
from tinybert_tf.config.strict_yaml import parse_yaml
from tinybert_tf.errors import InputError

# Keys that say where files are kept, on which no result depends; and the names of chosen keys.
NOT_COMPARED = ("out", "cache_dir", "max_disk_gib", "chosen")
# Versions before 0.3 chose nothing and made no texts; their config files have the rate and the epochs that they took.
OLD_KEYS = ("train.learning_rate", "train.epochs")


def config_difference(path: Path, config: Any) -> str:
    """Describe how the config in a file differs from another one, as `there x=1, here x=2`; empty if it does not.

    A key that the file does not have gets its default. `NOT_COMPARED` is left out, and neither is what the run has
    chosen, if the other config leaves it open.
    """
    try:
        there = load_config(type(config), path)
    except InputError as error:
        return str(error)
    both = (_with_choices(each, there) for each in (there, config))
    theirs, ours = (dict(_leaves(parse_yaml(dump_config(resolved(each)), "config"))) for each in both)
    for key in dict.fromkeys([*theirs, *ours]):
        if key.partition(".")[0] not in NOT_COMPARED and theirs.get(key) != ours.get(key):
            return f"there {_shown(key, theirs)}, here {_shown(key, ours)}"
    return ""


def as_begun(path: Path, config: Any) -> Any:
    """Return the config with what a run has chosen, by its config file, where the config leaves it open.

    A run of an earlier version chose nothing: its student has half of the teacher's layers, which is `medium`.
    """
    return _with_choices(config, load_config(type(config), path)) if path.is_file() else config


def _with_choices(config: Any, there: Any) -> Any:
    """The config with what the run of another one has chosen, where it leaves that open."""
    config = _with_size(config, _size_of(there))
    if not hasattr(config, "chosen"):
        return config
    keys, made = (OLD_KEYS, {"data.augment": 0}) if there.chosen is None else (there.chosen, {})
    return with_choices(config, {**made, **{key: value_at(there, key) for key in keys}})


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
