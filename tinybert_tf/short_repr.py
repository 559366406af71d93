"""A short `repr` for objects: a name and a few values in two lines, long values cut."""

from __future__ import annotations

import reprlib
from typing import Any

# Two lines of 120 characters.
LONGEST = 240

_cutter = reprlib.Repr()
_cutter.maxstring = _cutter.maxother = 60
_cutter.maxlist = _cutter.maxtuple = _cutter.maxdict = 4


def short_repr(shown: object, **values: Any) -> str:
    """Return `Name(key=value, ...)`, at most `LONGEST` characters.

    Example:
        >>> short_repr([], rows=3, labels=list("abcdefgh"))
        "list(rows=3, labels=['a', 'b', 'c', 'd', ...])"
    """
    written = ", ".join(f"{key}={_cutter.repr(value)}" for key, value in values.items())
    written = f"{type(shown).__name__}({written})"
    return written if len(written) <= LONGEST else f"{written[: LONGEST - 4]}...)"
