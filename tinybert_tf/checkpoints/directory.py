"""Finds the directory on disk that a path or a Hub id stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tinybert_tf.errors import InputError

_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[\w.-]+)?")
# A run directory keeps its model in one of these folders; that of a distillation in `student`.
_MODEL_FOLDERS = ("student", "model")


def resolve_directory(path_or_hub_id: str | Path, allow_patterns: Sequence[str]) -> Path:
    """Return the model directory that `path_or_hub_id` stands for, and download it if it is a Hub id.

    An existing directory comes first; a run directory stands for the model inside it (`student/`, else `model/`). A
    name that is not on disk and looks like `name` or `organisation/name` is fetched from the Hugging Face Hub, as far
    as its files match `allow_patterns`.

    Raises:
        InputError: it is a file, or neither a directory nor a reachable id.
    """
    directory = local_directory(path_or_hub_id)
    return _download(str(path_or_hub_id), allow_patterns) if directory is None else directory


def local_directory(path_or_hub_id: str | Path) -> Path | None:
    """`resolve_directory` for directories on disk; a Hub id gives None, and nothing is fetched."""
    if not str(path_or_hub_id):
        raise InputError("the name of the model is empty; expected a directory with config.json or a Hub id")
    path = Path(path_or_hub_id)
    if path.is_dir():
        return _model_inside(path)
    if path.exists():
        raise InputError(f"{path}: expected a model directory (with config.json), got a file")
    if isinstance(path_or_hub_id, str) and _HUB_ID.fullmatch(path_or_hub_id):
        return None
    raise InputError(
        f"{str(path_or_hub_id)!r}: no such directory; expected a directory with config.json, or a Hub id (name or "
        "organisation/name)"
    )


def _model_inside(directory: Path) -> Path:
    if (directory / "config.json").exists():
        return directory
    candidates = (directory / folder for folder in _MODEL_FOLDERS)
    return next((folder for folder in candidates if (folder / "config.json").exists()), directory)


def _download(hub_id: str, allow_patterns: Sequence[str]) -> Path:
    from huggingface_hub import errors, snapshot_download

    reasons = {
        errors.GatedRepoError: "access to it must be requested on the Hub",
        errors.RepositoryNotFoundError: "the Hub has no such model, or it is private",
        errors.LocalEntryNotFoundError: "the Hub cannot be reached and it is not in the local cache",
        errors.OfflineModeIsEnabled: "the Hub is switched off (HF_HUB_OFFLINE)",
    }
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(allow_patterns)))
    except Exception as error:  # the Hub client, its HTTP library and the disk each raise their own classes
        told = (reason for kind, reason in reasons.items() if isinstance(error, kind))
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = next(told, first_line)
        raise InputError(f"{hub_id!r} is neither a directory nor a reachable Hub id: {reason}") from error
