"""The sources of a run: the files of its data, models and losses, each with a hash of its content."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.checkpoints.formats import resolve_model, weight_files
from tinybert_tf.checkpoints.hf_directory import config_path
from tinybert_tf.data.tokenizers.tokenizer import TOKENIZER_FILES

GONE = "no such file"


def sources_of(config: Any) -> dict[str, str]:
    """Return the SHA-256 of each file on which a run's result depends, by its name in messages: `train file a.tsv`.

    These are the files of `data` and of the stages, or those of the `corpus`; weights, config and tokenizer of the
    teachers, the student and the trained model; the files of the user's own losses. `GONE` stands for a missing file.
    Data sets of the Hub have no file and are left out.

    Raises:
        InputError: a model's directory does not exist.
    """
    return {name: _digest(path) for name, path in source_files(config)}


def changed_source(before: dict[str, str], now: dict[str, str]) -> str | None:
    """Return the name of the first source that has changed; None if none has."""
    return next((name for name in [*before, *now] if before.get(name) != now.get(name)), None)


def source_files(config: Any) -> Iterator[tuple[str, Path]]:
    """Yield the names and paths of `sources_of`."""
    yield from _data_files(config)
    for role, directory in _model_directories(config):
        for path in _model_files(directory):
            yield f"{role} file {directory}: {path.name}", path
    for loss in _losses(config):
        code = _code_of(loss)
        if code is not None:
            yield f"file of the loss {loss}", code


def _data_files(config: Any) -> Iterator[tuple[str, Path]]:
    """Yield the files of data and of raw text."""
    data, corpus = getattr(config, "data", None), getattr(config, "corpus", None)
    named = [(name, getattr(data, name)) for name in ("train", "dev", "test") if data is not None]
    named += [("unlabelled", path) for path in getattr(data, "unlabelled", None) or ()]
    named += [("train", stage.train) for stage in getattr(config, "stages", ())]
    named += [("corpus", path) for path in getattr(corpus, "files", ())] + [("dev", getattr(corpus, "dev", None))]
    for role, path in named:
        if isinstance(path, str) and not path.startswith("hub:"):
            yield f"{role} file {path}", Path(path)


def _model_directories(config: Any) -> Iterator[tuple[str, str]]:
    """Yield the directories of all models, with their roles."""
    teacher, student = getattr(config, "teacher", None), getattr(config, "student", None)
    model, tokenizer = getattr(config, "model", None), getattr(config, "tokenizer", None)
    for directory in () if teacher is None else teacher.dirs:
        yield "teacher", directory
    for role, directory in (("student", getattr(student, "dir", None)), ("model", getattr(model, "dir", None))):
        if directory is not None:
            yield role, directory
    if tokenizer is not None:
        yield "tokenizer", tokenizer


def _model_files(directory: str) -> list[Path]:
    """Return the existing files of weights, config and tokenizer."""
    there = resolve_directory(directory, TOKENIZER_FILES)
    weights = weight_files(resolve_model(directory)) if config_path(there).is_file() else []
    names = (config_path(there), *(there / name for name in TOKENIZER_FILES))
    return [*weights, *(path for path in names if path.is_file())]


def _losses(config: Any) -> list[str]:
    """Return the names of all losses of the user."""
    sections = [
        *getattr(config, "losses", ()),
        *(loss for stage in getattr(config, "stages", ()) for loss in stage.losses),
    ]
    return list(dict.fromkeys(loss.name for loss in sections if ":" in loss.name))


def _code_of(loss: str) -> Path | None:
    """Return the file of `file.py:Class` or `module:Class`; None if there is no such module."""
    place, _, _ = loss.partition(":")
    if place.endswith(".py"):
        return Path(place)
    try:
        module = importlib.util.find_spec(place)
    except (ImportError, ValueError):
        return None
    return None if module is None or module.origin is None else Path(module.origin)


def _digest(path: Path) -> str:
    try:
        status = path.stat()
        return _digest_of(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except OSError:
        return GONE


@functools.cache  # the runs of an ablation share their files
def _digest_of(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
