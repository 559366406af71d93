"""Reads JSON from any source, within limits, and checks the types of its values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.errors import InputError

# The largest file in bytes. Those in use, an index of shards or a config with 100,000 labels, have a tenth of it.
LARGEST_FILE = 64 << 20
# Brackets within brackets. Our files have at most ten levels; Python's own limit is a RecursionError.
DEEPEST = 100
# Values in a message are cut here.
LONGEST_QUOTE = 40
# Halves of surrogate pairs, which JSON can escape but no text can hold.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Kind:
    """A kind of values: `fits` tests a value, `words` names the kind in a message, such as `a string`."""

    words: str
    fits: Callable[[Any], bool]

    def __or__(self, other: Kind) -> Kind:
        return Kind(f"{self.words} or {other.words}", lambda value: self.fits(value) or other.fits(value))


def integer(least: int) -> Kind:
    """The kind of integers that are not below `least`; true and false are not integers."""
    return Kind(
        f"an integer >= {least}", lambda value: isinstance(value, int) and type(value) is not bool and value >= least
    )


def list_of(kind: Kind, words: str) -> Kind:
    """The kind of lists whose items are all of one kind; `words` such as `a list of strings`."""
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
        kinds: the kinds of the values of these keys, if the keys are there; see `check_kinds`.

    Raises:
        InputError: there is no such file, or it does not hold a JSON object; a value is of another kind; the file is
            above 64 MiB, brackets are more than 100 deep, or a text has half a character.
    """
    values = parse_json(_read_text(path), str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, got {quote(values)}")
    check_kinds(values, kinds or {}, str(path))
    return values


def parse_json(text: str, place: str) -> Any:
    """The value of a JSON text; messages begin with `place`.

    Raises:
        InputError: it is not JSON, brackets are more than 100 deep, or a text has half a character.
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
    """Refuse the first value that is not of its key's kind; absent keys pass.

    Raises:
        InputError: `config.json: model_type: expected a string or null, got ["bert"]`.
    """
    for key, kind in kinds.items():
        if key in values and not kind.fits(values[key]):
            raise InputError(f"{place}: {key}: expected {kind.words}, got {quote(values[key])}")


def quote(value: Any) -> str:
    """A value for a message, cut to one line: a string's `repr`, any other value as JSON."""
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
    """Whether brackets are more than `DEEPEST` deep; a loop over levels finds it, without recursion."""
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
