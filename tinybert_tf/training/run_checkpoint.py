"""A checkpoint file with all the state that an interrupted training run needs to go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tinybert_tf.checkpoints.replace_file import one_line_of_the_disk, replace_file
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import parse_json


class RunCheckpoint:
    """A file with a compiled model's weights, random states and optimizer, and with notes.

    A restored run that goes on with the next batches ends with the weights of a run that was never interrupted. The
    file is replaced in one move: at every moment it is complete or absent.

    Args:
        path: the file, with the suffix `.safetensors`.
        model: the compiled model that is trained, on TensorFlow; a `Distiller` includes its projections.
        kept: other variables to save.

    Raises:
        InputError: in `save`, the file cannot be written; in `restore`, it is damaged or belongs to another model.
    """

    def __init__(self, path: Path, model: keras.Model, kept: Sequence[Any] = ()) -> None:
        self.path = path
        self.model = model
        self.kept = kept

    def save(self, notes: dict[str, Any]) -> None:
        """Write the state, and `notes`, values of JSON such as the number of steps taken."""
        with one_line_of_the_disk(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        # `ascontiguousarray` would make a scalar counter an array of one.
        values = {name: np.asarray(variable) for name, variable in self._variables().items()}
        metadata = {"notes": json.dumps(notes)}
        replace_file(self.path, lambda path: save_file(values, path, metadata=metadata))

    def restore(self) -> dict[str, Any] | None:
        """Restore the saved state and return the notes; None, without a change, if there is no file."""
        if not self.path.exists():
            return None
        variables = self._variables()
        try:
            with safe_open(self.path, "numpy") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
                if shapes != {name: tuple(variable.shape) for name, variable in variables.items()}:
                    raise InputError(f"{self.path}: a checkpoint of another model; remove it, or give another --out.")
                for name, variable in variables.items():
                    variable.assign(file.get_tensor(name))
        except SafetensorError as error:
            raise _damaged(self.path, error) from error
        return read_notes(self.path)

    def _variables(self) -> dict[str, Any]:
        """Return the variables by number: Keras's generated names differ between processes, their order does not."""
        # `variables`, unlike `weights`, holds the states of the random generators too.
        variables = [*self.model.variables, *self.model.optimizer.variables, *self.kept]
        return {f"{number:05d}": variable for number, variable in enumerate(variables)}


def read_notes(path: Path) -> dict[str, Any] | None:
    """Read the notes of a checkpoint without its model; None if there is no file.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "numpy") as file:
            notes = parse_json((file.metadata() or {}).get("notes", "null"), str(path))
    except SafetensorError as error:
        raise _damaged(path, error) from error
    if not isinstance(notes, dict):
        raise InputError(f"{path}: a checkpoint without its notes; remove it, or give another --out.")
    return notes


def _damaged(path: Path, error: SafetensorError) -> InputError:
    return InputError(f"{path}: damaged ({error}); remove it, or give another --out.")
