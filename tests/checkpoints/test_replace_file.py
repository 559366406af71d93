"""A file that is replaced is the old one or the new one, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinybert_tf.checkpoints.replace_file import partial_of, replace_file, replace_text


def test_the_new_contents_and_nothing_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for text in ("a\r\nb\n", "caf\u00e9"):
        replace_text(path, text)
        assert path.read_bytes() == text.encode()
        assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_half_way(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    replace_text(path, "old")

    def fails(beside: Path) -> None:
        beside.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    partial_of(path).write_text("half of something longer")
    replace_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()

    def private(path: Path) -> None:
        path.write_text("")
        path.chmod(0o600)

    replace_file(tmp_path / "mine", private)
    assert (tmp_path / "mine").stat().st_mode == (tmp_path / "other").stat().st_mode
