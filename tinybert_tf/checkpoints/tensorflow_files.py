"""Weights that TensorFlow wrote: Google's original checkpoints and `tf_model.h5`, under Hugging Face's names.

Both have the variables of the safetensors files under TensorFlow's names: dense kernels are (input, output), the
LayerNorm's weights are gamma and beta, and a layer is `layer_0` in the former and `layer_._0` in the latter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.checkpoints.tensors import finite
from tinybert_tf.errors import InputError

KERAS_FILE = "tf_model.h5"
CHECKPOINT_INDEX = "*.ckpt*.index"

# TensorFlow's name of a variable, Hugging Face's, and whether Hugging Face's file has the transpose.
_VARIABLES = {
    "kernel": ("weight", True),
    "gamma": ("weight", False),
    "beta": ("bias", False),
    "embeddings": ("weight", False),
    "weight": ("weight", False),
    "bias": ("bias", False),
    "output_weights": ("weight", False),
    "output_bias": ("bias", False),
}
_LAYER = re.compile(r"layer_(?:\._)?(\d+)")


class TensorFlowTensors:
    """The tensors of a TensorFlow file, read like `TensorFiles`; `open_checkpoint` and `open_keras_file` make one."""

    def __init__(
        self, path: Path, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], Any], skipped_parts: int = 0
    ) -> None:
        """`shapes` and `read` take TensorFlow's names; the first `skipped_parts` parts of a name are ignored."""
        self.path = path
        self._shapes = dict(shapes)
        self._read = read
        self._stored: dict[str, tuple[str, bool]] = {}
        for name in sorted(shapes):
            translated = hugging_face_name("/".join(name.split("/")[skipped_parts:]))
            if translated is not None:
                self._stored[translated[0]] = (name, translated[1])

    def names(self) -> list[str]:
        """Return the names of all tensors, sorted, without those of an optimizer."""
        return sorted(self._stored)

    def __contains__(self, name: object) -> bool:
        return name in self._stored

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one tensor, in Hugging Face's orientation."""
        stored, transposed = self._stored[name]
        return self._shapes[stored][:: -1 if transposed else 1]

    def read(self, name: str) -> np.ndarray:
        """Return one tensor as float32; raises InputError if it is damaged or holds NaN or infinity."""
        stored, transposed = self._stored[name]
        try:
            value = np.asarray(self._read(stored))
        except Exception as error:  # TensorFlow and h5py each raise their own classes
            raise InputError(f"{self.path}: {stored} cannot be read ({_first_line(error)})") from error
        value = finite(value, f"{self.path}: tensor {stored}")
        return value.T if transposed else value


def hugging_face_name(name: str) -> tuple[str, bool] | None:
    """Hugging Face's name of a TensorFlow variable, and whether it has the transpose; None if it is no model weight.

    >>> hugging_face_name("bert/encoder/layer_0/attention/self/query/kernel")
    ('bert.encoder.layer.0.attention.self.query.weight', True)
    """
    *parts, last = name.split("/")
    last = last.removesuffix(":0")
    if last.endswith("_embeddings"):  # Google's tables are variables, not layers
        parts, last = [*parts, last], "weight"
    if last not in _VARIABLES:
        return None
    variable, transposed = _VARIABLES[last]
    # `mlm___cls` and `nsp___cls` are two layers of one PyTorch module; Google's classifier has no scope.
    places = [_LAYER.sub(r"layer.\1", part.rpartition("___")[2]) for part in parts] or ["classifier"]
    return ".".join([*places, variable]), transposed


def open_checkpoint(directory: Path) -> TensorFlowTensors:
    """Open the checkpoint of a directory as google-research/bert publishes it: `bert_model.ckpt.index` and its data.

    Raises InputError if there are several checkpoints, or files are damaged.
    """
    indices = sorted(directory.glob(CHECKPOINT_INDEX))
    if len(indices) > 1:
        found = ", ".join(path.name for path in indices)
        raise InputError(f"{directory}: several TensorFlow checkpoints ({found}); expected a directory with one")
    import tensorflow as tf

    path = indices[0]
    try:
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
    except Exception as error:  # TensorFlow raises bare RuntimeError and classes of its own
        raise InputError(f"{path}: damaged, or its data file is missing ({_first_line(error)})") from error
    shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    return TensorFlowTensors(path, shapes, reader.get_tensor)


def open_keras_file(directory: Path) -> TensorFlowTensors:
    """Open the `tf_model.h5` of a directory, as the TensorFlow classes of transformers before version 5 saved it.

    Raises InputError if it is damaged or takes values from other files.
    """
    import h5py

    path = directory / KERAS_FILE
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: truncated or damaged, not a readable HDF5 file ({_first_line(error)})") from error
    datasets: dict[str, Any] = {}

    def visit(name: str, node: Any) -> None:  # h5py does not follow links here
        if isinstance(node, h5py.Dataset):
            if node.external or node.is_virtual:
                raise InputError(f"{path}: {name} takes its values from another file; expected values in this file")
            datasets[name] = node

    file.visititems(visit)
    shapes = {name: tuple(dataset.shape) for name, dataset in datasets.items()}
    # A name begins with that of the Keras layer that saves the variable, and with the model's.
    return TensorFlowTensors(path, shapes, lambda name: datasets[name][()], skipped_parts=2)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
