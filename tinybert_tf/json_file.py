"""JSON that somebody else wrote: read within limits, its values checked by type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.errors import InputError

# Bytes of a file. The largest in use, an index of shards or a config with 100,000 labels, have a tenth of this.
LARGEST_FILE = 64 << 20
# Brackets within brackets. What we read has at most ten; Python's own limit is a RecursionError.
DEEPEST = 100
# Values in a message are cut here.
LONGEST_QUOTE = 40
# What JSON can escape, and no text can hold: one half of a character of two.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Kind:
    """What a value may be: `fits` says whether it is, `words` names it in a message, `a string`."""

    words: str
    fits: Callable[[Any], bool]

    def __or__(self, other: Kind) -> Kind:
        return Kind(f"{self.words} or {other.words}", lambda value: self.fits(value) or other.fits(value))


def integer(least: int) -> Kind:
    """An integer that is not below `least`; true and false are none."""
    return Kind(
        f"an integer >= {least}", lambda value: isinstance(value, int) and type(value) is not bool and value >= least
    )


def list_of(kind: Kind, words: str) -> Kind:
    """A list whose items are all of a kind; `words` as `a list of strings`."""
    return Kind(words, lambda value: isinstance(value, list) and all(map(kind.fits, value)))


NULL = Kind("null", lambda value: value is None)
TEXT = Kind("a string", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
FRACTION = Kind(
    "a fraction in [0, 1)", lambda value: isinstance(value, int | float) and type(value) is not bool and 0 <= value < 1
)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXTS = list_of(TEXT, "a list of strings")
FILE_NAME = Kind(
    "the name of a file in the same directory",
    lambda value: isinstance(value, str) and Path(value).name == value not in ("", "..") and "\\" not in value,
)


def read_object(path: Path, kinds: Mapping[str, Kind] | None = None) -> dict[str, Any]:
    """The object that a UTF-8 file holds, with or without a byte order mark.

    Args:
        path: the file.
        kinds: what the values of these keys may be, where the keys are there; see `check_kinds`.

    Raises:
        InputError: no such file, or no JSON object in it; a value of another kind; a file above 64 MiB, brackets more
            than 100 deep, half a character.
    """
    values = parse_json(_read_text(path), str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, got {quote(values)}")
    check_kinds(values, kinds or {}, str(path))
    return values


def parse_json(text: str, place: str) -> Any:
    """The value of a JSON text; `place` is what messages begin with.

    Raises:
        InputError: not JSON; brackets more than 100 deep; half a character.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep(place) from None
    except ValueError as error:
        raise InputError(f"{place}: not valid JSON ({error})") from error
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(value):
        raise _too_deep(place)
    if r"\ud" in text.lower() and (lone := LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False))):
        raise InputError(f"{place}: \\u{ord(lone[0]):04x} is half a character; expected whole ones")
    return value


def check_kinds(values: Mapping[str, Any], kinds: Mapping[str, Kind], place: str) -> None:
    """Refuse the first value that is not of its key's kind; keys that are not there pass.

    Raises:
        InputError: `config.json: model_type: expected a string or null, got ["bert"]`.
    """
    for key, kind in kinds.items():
        if key in values and not kind.fits(values[key]):
            raise InputError(f"{place}: {key}: expected {kind.words}, got {quote(values[key])}")


def quote(value: Any) -> str:
    """A string's `repr`, other values as JSON writes them, short enough for one line of a message."""
    quoted = repr(value) if isinstance(value, str) else json.dumps(value, default=repr)
    return quoted if len(quoted) <= LONGEST_QUOTE else f"{quoted[: LONGEST_QUOTE - 4]}...{quoted[-1]}"


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: expected a file, got something else of this name")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise InputError(f"{path}: expected at most {LARGEST_FILE >> 20} MiB of JSON, got more")
        return content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(f"{path}: expected UTF-8 text, got byte 0x{byte:02x} at position {error.start}") from error


def _is_deep(value: Any) -> bool:
    """Whether brackets are more than `DEEPEST` deep; counted level by level, so that no depth is too much."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inside
            for each in level
            if isinstance(each, dict | list)
            for inside in (each.values() if isinstance(each, dict) else each)
        ]
    return any(isinstance(each, dict | list) for each in level)


def _too_deep(place: str) -> InputError:
    return InputError(f"{place}: expected JSON of at most {DEEPEST} brackets within brackets, got more")
