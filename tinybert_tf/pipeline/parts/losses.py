"""The losses of a config: by their names, or by where they are, in a file of the user's or an installed module."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from pathlib import Path
from types import ModuleType

from tinybert_tf.config.schema import LossSection, WeightSection
from tinybert_tf.distillation.losses import LOSSES, DistillationLoss, WeightSchedule
from tinybert_tf.errors import InputError


def make_loss(stage: str, section: LossSection) -> DistillationLoss:
    """The loss of a config.

    Raises:
        InputError: an unknown loss, or an option that it does not have; `stage` is named.
    """
    name, options = section.name, dict(section.options)
    if isinstance(section.weight, WeightSection):
        options["weight"] = WeightSchedule(**dataclasses.asdict(section.weight))
    elif section.weight != 1.0:
        options["weight"] = section.weight
    if ":" in name:
        loss_class = load_loss_class(name)
    elif name in LOSSES:
        loss_class = LOSSES[name]
    else:
        known = f"one of {', '.join(LOSSES)}, or your own (file.py:Class)"
        raise InputError(f"stage {stage!r}: loss {name!r} is not known; {known} is.")
    accepted = _arguments(loss_class)
    unknown = [option for option in options if option not in accepted]
    if unknown:
        raise InputError(f"stage {stage!r}: loss {name!r} has no option {unknown[0]!r}; it has {', '.join(accepted)}.")
    try:
        return loss_class(**options)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"stage {stage!r}: loss {name!r} with {options}: {error}") from None


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


def _arguments(loss_class: type[DistillationLoss]) -> list[str]:
    """The names of a constructor's arguments; `**kwargs` are the base class's."""
    parameters = inspect.signature(loss_class).parameters.values()
    names = [each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
    passes_on = len(names) < len(parameters)
    return [*names, *(_arguments(DistillationLoss) if passes_on else [])]
