"""One file with all that a training run needs to go on where it was interrupted."""

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
    """A compiled model's weights, its random states and its optimizer, and notes beside them.

    A run that is restored and goes on with the batches that come next ends with the weights of one that was never
    interrupted. The file is replaced in one move: at every moment it is a whole one, or not there.

    Args:
        path: the file, `.safetensors`.
        model: compiled, on TensorFlow; what is trained, a `Distiller` with its projections.
        kept: variables to save beside the model's.

    Raises:
        InputError: `save`: the file cannot be written. `restore`: it is damaged, or of another model.
    """

    def __init__(self, path: Path, model: keras.Model, kept: Sequence[Any] = ()) -> None:
        self.path = path
        self.model = model
        self.kept = kept

    def save(self, notes: dict[str, Any]) -> None:
        """Write the state; `notes` are what JSON holds, such as the steps taken."""
        with one_line_of_the_disk(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        # Not `ascontiguousarray`, which makes a counter an array of one.
        values = {name: np.asarray(variable) for name, variable in self._variables().items()}
        metadata = {"notes": json.dumps(notes)}
        replace_file(self.path, lambda path: save_file(values, path, metadata=metadata))

    def restore(self) -> dict[str, Any] | None:
        """Give the model the saved state, and return the notes; None, and nothing changed, where there is no file."""
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
        """By number: names that Keras makes up differ from process to process, the order does not."""
        # `variables` holds the states of the random generators too, which `weights` does not.
        variables = [*self.model.variables, *self.model.optimizer.variables, *self.kept]
        return {f"{number:05d}": variable for number, variable in enumerate(variables)}


def read_notes(path: Path) -> dict[str, Any] | None:
    """The notes of a checkpoint, without the model; None where there is no file.

    Raises:
        InputError: it is damaged.
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
