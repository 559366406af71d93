"""Comparing a run directory's config with a command's, as values and not as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinybert_tf.config.load import dump_config, load_config
from tinybert_tf.config.resolved import resolved
from tinybert_tf.config.strict_yaml import parse_yaml
from tinybert_tf.errors import InputError

# Keys that say where files are kept; no result depends on them.
PLACES = ("out", "cache_dir", "max_disk_gib")


def config_difference(path: Path, config: Any) -> str:
    """Describe how the config in a file differs from another one, as `there x=1, here x=2`; empty if it does not.

    A key that the file does not have gets its default. `PLACES` are not compared.
    """
    try:
        there = load_config(type(config), path)
    except InputError as error:
        return str(error)
    theirs, ours = (dict(_leaves(parse_yaml(dump_config(resolved(each)), "config"))) for each in (there, config))
    for key in dict.fromkeys([*theirs, *ours]):
        if key not in PLACES and theirs.get(key) != ours.get(key):
            return f"there {_shown(key, theirs)}, here {_shown(key, ours)}"
    return ""


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
