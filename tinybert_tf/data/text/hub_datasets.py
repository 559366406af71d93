"""Data sets of the Hugging Face Hub, where a file's path is wanted: `hub:owner/name:split`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tinybert_tf.errors import InputError

PREFIX = "hub:"
_SPLIT = re.compile(r"hub:(?P<name>[\w.-]+/[\w.-]+)(/(?P<config>[\w.-]+))?:(?P<split>.+)")


def is_hub_split(path: str | Path) -> bool:
    """Whether a data set of the Hub is meant, and no file."""
    return str(path).startswith(PREFIX)


def load_split(path: str | Path) -> Any:
    """The `datasets.Dataset` of `hub:owner/name:split` or, of one with several, `hub:owner/name/config:split`.

    Raises:
        InputError: it is written otherwise, `datasets` is not installed, or it finds no such data set.
    """
    found = _SPLIT.fullmatch(str(path))
    if found is None:
        raise InputError(f"{path}: hub:owner/name:split is accepted, or hub:owner/name/config:split")
    try:
        import datasets
    except ImportError:
        raise InputError(f"{path}: the package datasets is wanted, pip install 'tinybert_tf[hub]'; or a file") from None
    try:
        return datasets.load_dataset(found["name"], found["config"], split=found["split"])
    except (OSError, ValueError) as error:  # not there, not reachable, no such config or split
        raise InputError(f"{path}: cannot be had from the Hub ({' '.join(str(error).split())}); a file can") from error


def columns_of(dataset: Any, *names: str, place: str = "") -> list[list[Any]]:
    """Columns of a `datasets.Dataset`, as lists; `place` is what a message begins with.

    Raises:
        InputError: one is not there.
    """
    for name in names:
        if name not in dataset.column_names:
            raise InputError(
                f"{place}the data set has no column {name!r}; it has {', '.join(map(repr, dataset.column_names))}"
            )
    return [list(dataset[name]) for name in names]
