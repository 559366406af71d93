"""JSON files: limits, kinds of values, and one line that names what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinybert_tf import InputError, json_file
from tinybert_tf.json_file import FILE_NAME, FLAG, FRACTION, NULL, TEXTS, Kind, check_kinds, integer, read_object


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_object(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_an_object_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1, {"b": null}]}\r\n')
    assert read_object(path) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON (Expecting value"),
        (b"[1]", "expected a JSON object, got [1]"),
        (b'{"a": "\xff"}', "expected UTF-8 text, got byte 0xff at position 7"),
        (b'{"a": "\\ud83d"}', "\\ud83d is half a character; expected whole ones"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON (Exceeds the limit"),
        (b"[" * 100_000 + b"]" * 100_000, "expected JSON of at most 100 brackets within brackets, got more"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "expected JSON of at most 100 brackets within brackets, got more"),
    ],
)
def test_what_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert refused(path).startswith(message)


def test_depth_is_counted_in_brackets_and_not_in_strings(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a":' * 100 + f'"{"[" * 200}"' + "}" * 100)
    assert list(read_object(path)) == ["a"]


def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(tmp_path / "none") == "no such file"
    assert refused(tmp_path) == "expected a file, got something else of this name"
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "expected a file, got something else of this name"
    (tmp_path / "large").write_text("{" + " " * (1 << 20) + "}")
    monkeypatch.setattr(json_file, "LARGEST_FILE", 1 << 20)
    assert refused(tmp_path / "large") == "expected at most 1 MiB of JSON, got more"


@pytest.mark.parametrize(
    ("kind", "fits", "does_not"),
    [
        (integer(1), [1, 10**30], [0, True, 1.0, "1", None]),
        (FLAG, [True, False], [0, "true", None]),
        (FLAG | NULL, [True, None], [0, "null"]),
        (FRACTION, [0, 0.5], [1, -0.1, float("nan"), float("inf"), False, "0"]),
        (TEXTS, [[], ["a"]], ["a", [1], {"a": 1}, None]),
        (FILE_NAME, ["a.bin", ".a"], ["", ".", "..", "a/b", "/a", "../a", "a\\b", "a/", 1, None]),
    ],
)
def test_kinds(kind: Kind, fits: list[object], does_not: list[object]) -> None:
    assert [value for value in fits if not kind.fits(value)] == []
    assert [value for value in does_not if kind.fits(value)] == []


def test_the_message_names_file_key_and_both_values() -> None:
    check_kinds({"b": 0}, {"a": FLAG}, "a.json")
    with pytest.raises(InputError, match=r"^a\.json: a: expected true or false or null, got 'true'$"):
        check_kinds({"a": "true"}, {"a": FLAG | NULL}, "a.json")
