"""A directory that is replaced is the old one or the new one, whatever happens in between."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.checkpoints import replace_directory as replacing
from tinybert_tf.checkpoints.replace_directory import replace_directory, sweep_partials

FILES = ("config.json", "model.safetensors")


@pytest.fixture(params=["swapped", "set aside"])
def model(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an old model, where the system can swap names and where it cannot."""
    if request.param == "set aside":
        monkeypatch.setattr(replacing, "_swapped", lambda *names: False)
    replace_directory(tmp_path / "model", writing("old"))
    (tmp_path / "model" / "notes.txt").write_text("of the old one")
    return tmp_path / "model"


def writing(text: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        for name in FILES:
            (directory / name).write_text(text)

    return write


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_all_files_are_new_at_once(model: Path) -> None:
    def write(directory: Path) -> None:
        writing("new")(directory)
        assert {contents(model)[name] for name in FILES} == {"old"}

    replace_directory(model, write)
    assert contents(model) == dict.fromkeys(FILES, "new")
    assert list(model.parent.iterdir()) == [model]


def test_a_full_disk_leaves_the_old_model(model: Path) -> None:
    def write(directory: Path) -> None:
        (directory / FILES[0]).write_text("new")
        raise OSError(28, "No space left on device")

    before = contents(model)
    with pytest.raises(InputError, match=rf"^{model}: cannot be written \(No space left on device\); what was there"):
        replace_directory(model, write)
    assert contents(model) == before
    assert list(model.parent.iterdir()) == [model]


def test_a_process_that_is_killed_between_the_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    replace_directory(model, writing("old"))
    replace = os.replace

    def killed(new: Any, path: Any) -> None:
        if model.exists():
            replace(new, path)

    with monkeypatch.context() as patched:
        patched.setattr(replacing, "_swapped", lambda *names: False)
        patched.setattr(os, "replace", killed)
        patched.setattr(replacing.shutil, "rmtree", lambda *_, **__: None)
        replace_directory(model, writing("new"))
    assert not model.exists()
    sweep_partials(tmp_path)
    assert contents(model) == dict.fromkeys(FILES, "old")
    assert list(tmp_path.iterdir()) == [model]


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "student.0a1b2c3d.partial" / "deep.partial").mkdir(parents=True)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.safetensors.partial").touch()
    (tmp_path / "kept").touch()
    sweep_partials(tmp_path, is_deep=False)
    assert {path.name for path in tmp_path.rglob("*")} == {"checkpoints", "last.safetensors.partial", "kept"}
    sweep_partials(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"checkpoints", "kept"}
