"""Makes a checked configuration from a config file, flags and `--set`."""

from __future__ import annotations

import argparse
import os
from typing import Any

from tinybert_tf.cli.verb import Flag
from tinybert_tf.errors import InputError

# Keys that take a preset, a named size or a directory.
_SIZES = ("student", "model")


def load(verb_flags: tuple[Flag, ...], cls: Any, arguments: argparse.Namespace) -> Any:
    """The configuration from the file, the flags and `--set`; later values override earlier ones.

    Raises:
        InputError: see `load_config`; missing keys are named by their flags.
    """
    from tinybert_tf.config.load import MissingKeysError, load_config

    flags = [flag for flag in verb_flags if flag.key]
    given: dict[str, Any] = {}
    for flag in flags:
        value = getattr(arguments, flag.attribute)
        if value is not None and value is not False:
            given |= _preset_size_or_dir(flag, value) if flag.key in _SIZES else {flag.key: value}
    try:
        return load_config(cls, arguments.config, given, arguments.settings)
    except MissingKeysError as error:
        flag_of = {flag.key: flag.name for flag in flags}
        missing = ", ".join(flag_of.get(key, key) for key in error.keys)
        raise InputError(f"{arguments.verb} needs {missing} (or a config with {', '.join(error.keys)}).") from None


def _preset_size_or_dir(flag: Flag, value: str) -> dict[str, Any]:
    """Return the keys of a section that a value sets; a directory with the name of a size or preset needs its `./`."""
    from tinybert_tf.config.models import SIZE_NAMES
    from tinybert_tf.models.config import PRESETS

    kind = "size" if value in SIZE_NAMES else "preset" if value in PRESETS else "dir"
    if kind == "dir" and not os.path.isdir(value) and "/" not in value:
        raise InputError(
            f"{flag.name} {value!r} is neither a directory nor a size nor a preset; sizes: {', '.join(SIZE_NAMES)}; "
            f"presets: {', '.join(PRESETS)}."
        )
    return {**{f"{flag.key}.{each}": None for each in ("preset", "dir", "size")}, f"{flag.key}.{kind}": value}
