"""Losses that a config names by where they are: in a file of the user's, or in an installed module."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from tinybert_tf.distillation.losses import DistillationLoss
from tinybert_tf.errors import InputError


def is_reference(name: str) -> bool:
    """Whether a loss's name says where it is: `losses.py:ValueLoss`, or `package.module:ValueLoss`."""
    return ":" in name


def load_loss_class(reference: str) -> type[DistillationLoss]:
    """The class behind `file.py:Class` (as data files, from the working directory) or `module:Class`.

    The file or module is run: what a config names here is trusted as a program is.

    Raises:
        InputError: no such file, module or class; one that cannot be imported; a class that is no `DistillationLoss`.
    """
    place, _, name = reference.partition(":")
    try:
        module = _run(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:  # whatever the user's file raises
        raise InputError(f"loss {reference!r}: {place} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, DistillationLoss)):
        what = f"{place} has no {name!r}" if found is None else f"{name} is {found!r}"
        raise InputError(f"loss {reference!r}: {what}; a subclass of tinybert_tf.DistillationLoss is wanted.")
    return found


def _run(path: Path) -> ModuleType:
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    return module
