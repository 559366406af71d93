"""A file that is replaced is the old one or the new one, whatever happens in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from tinybert_tf import InputError
from tinybert_tf.checkpoints.replace_file import replace_file, replace_text


def test_the_new_contents_and_nothing_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for text in ("a\r\nb\n", "caf\u00e9"):
        replace_text(path, text)
        assert path.read_bytes() == text.encode()
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")]
)
def test_a_write_that_fails_half_way(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "metrics.json"
    replace_text(path, "old")

    def fails(beside: Path) -> None:
        beside.write_text("half")
        raise error

    with pytest.raises(InputError, match=rf"^{path}: cannot be written \(.*No space left on device\); what was there"):
        replace_file(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_share_a_file(tmp_path: Path) -> None:
    """Another writer replaces the file while this one is half way."""
    path = tmp_path / "metrics.json"

    def in_two_halves(beside: Path) -> None:
        beside.write_text("first half, ")
        replace_text(path, "the other writer's")
        assert path.read_text() == "the other writer's"
        with beside.open("a") as file:
            file.write("second half")

    replace_file(path, in_two_halves)
    assert path.read_text() == "first half, second half"
    assert list(tmp_path.iterdir()) == [path]


def test_contents_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    replace_text(tmp_path / "file", "text")
    assert done == ["fsync", "replace"]


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()

    def private(path: Path) -> None:
        path.write_text("")
        path.chmod(0o600)

    replace_file(tmp_path / "mine", private)
    assert (tmp_path / "mine").stat().st_mode == (tmp_path / "other").stat().st_mode
