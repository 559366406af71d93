"""Data sets of the Hugging Face Hub, written `hub:owner/name:split` in place of a file's path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tinybert_tf.errors import InputError

PREFIX = "hub:"
_SPLIT = re.compile(r"hub:(?P<name>[\w.-]+/[\w.-]+)(/(?P<config>[\w.-]+))?:(?P<split>.+)")


def is_hub_split(path: str | Path) -> bool:
    """Whether a path names a data set of the Hub, not a file."""
    return str(path).startswith(PREFIX)


def load_split(path: str | Path) -> Any:
    """The `datasets.Dataset` of `hub:owner/name:split` or `hub:owner/name/config:split`.

    Raises:
        InputError: the name has another form, `datasets` is not installed, or it finds no such data set.
    """
    found = _SPLIT.fullmatch(str(path))
    if found is None:
        raise InputError(f"{path}: expected hub:owner/name:split or hub:owner/name/config:split")
    try:
        import datasets
    except ImportError:
        raise InputError(f"{path}: reading it takes the package datasets: pip install 'tinybert_tf[hub]'") from None
    try:
        return datasets.load_dataset(found["name"], found["config"], split=found["split"])
    except (OSError, ValueError) as error:  # not there, not reachable, no such config or split
        raise InputError(f"{path}: cannot be loaded from the Hub ({' '.join(str(error).split())})") from error


def columns_of(dataset: Any, *names: str, place: str = "") -> list[list[Any]]:
    """Columns of a `datasets.Dataset`, as lists; messages begin with `place`.

    Raises:
        InputError: there is no such column.
    """
    for name in names:
        if name not in dataset.column_names:
            raise InputError(
                f"{place}the data set has no column {name!r}; it has {', '.join(map(repr, dataset.column_names))}"
            )
    return [list(dataset[name]) for name in names]
