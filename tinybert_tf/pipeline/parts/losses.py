"""Making the losses of a config: by their names, or from a file of the user or an installed module."""

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
    """Make a loss of a config.

    Raises:
        InputError: the loss is unknown, or does not have an option; the message names `stage`.
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
        raise InputError(f"stage {stage!r}: loss {name!r}: expected {known}.")
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
    """Import the class `file.py:Class` (relative to the working directory, like data files) or `module:Class`.

    This runs the file or module: use only configs that you trust like a program.

    Raises:
        InputError: the file, module or class does not exist or cannot be imported, or the class is no
            `DistillationLoss`, or declares its loss wrongly.
    """
    place, _, name = reference.partition(":")
    try:
        module = _run(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except InputError:  # from a class that declares its loss wrongly
        raise
    except Exception as error:  # the user's file may raise anything
        raise InputError(f"loss {reference!r}: {place} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, DistillationLoss)):
        what = f"{place} has no {name!r}" if found is None else f"{name} is {found!r}"
        raise InputError(f"loss {reference!r}: {what}; expected a subclass of tinybert_tf.DistillationLoss.")
    return found


def _run(path: Path) -> ModuleType:
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    return module


def _arguments(loss_class: type[DistillationLoss]) -> list[str]:
    """Return the names of a constructor's arguments; `**kwargs` stands for the base class's."""
    parameters = inspect.signature(loss_class).parameters.values()
    names = [each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
    passes_on = len(names) < len(parameters)
    return [*names, *(_arguments(DistillationLoss) if passes_on else [])]
