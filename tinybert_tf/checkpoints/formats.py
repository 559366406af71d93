"""The formats of weights, and the one that a model directory has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.checkpoints.hf_directory import CONFIG_FILE, GOOGLE_CONFIG_FILE
from tinybert_tf.checkpoints.tensorflow_files import CHECKPOINT_INDEX, KERAS_FILE, open_checkpoint, open_keras_file
from tinybert_tf.checkpoints.tensors import INDEX_FILE, SINGLE_FILE, TensorFiles, Tensors
from tinybert_tf.checkpoints.torch_file import TORCH_FILE, TORCH_INDEX, TorchTensors
from tinybert_tf.errors import InputError


@dataclass(frozen=True)
class Format:
    """A format: a directory has it if a file matches one of `markers`; the files `weights` hold the numbers."""

    markers: tuple[str, ...]
    weights: str
    open: Callable[[Path], Tensors]

    def is_in(self, directory: Path) -> bool:
        """Whether a directory has weights in this format."""
        return any(any(directory.glob(marker)) for marker in self.markers)


SAFETENSORS = Format((SINGLE_FILE, INDEX_FILE), "*.safetensors", TensorFiles.open)
# The first one that a directory has is read: torch's pickles come last, because they need an installed torch.
FORMATS = (
    SAFETENSORS,
    Format((KERAS_FILE,), KERAS_FILE, open_keras_file),
    Format((CHECKPOINT_INDEX,), "*.ckpt*.data-*", open_checkpoint),
    Format((TORCH_FILE, TORCH_INDEX), "pytorch_model*.bin", TorchTensors.open),
)

MODEL_FILES = (CONFIG_FILE, SAFETENSORS.weights, f"*{INDEX_FILE.removeprefix('model')}")
_OTHER_MODEL_FILES = (
    CONFIG_FILE,
    GOOGLE_CONFIG_FILE,
    *(name for format in FORMATS[1:] for name in (*format.markers, format.weights)),
)


def resolve_model(path_or_hub_id: str | Path) -> Path:
    """`resolve_directory` for the files of a model; from the Hub other formats only if there is no safetensors file."""
    directory = resolve_directory(path_or_hub_id, MODEL_FILES)
    return directory if SAFETENSORS.is_in(directory) else resolve_directory(path_or_hub_id, _OTHER_MODEL_FILES)


def open_tensors(directory: Path) -> Tensors:
    """Open the weights of a model directory, in the first of `FORMATS` that it has.

    Raises InputError if there are no weights, and as each format does for damaged files.
    """
    return _format_of(directory).open(directory)


def weights_size(directory: Path) -> int:
    """The size in bytes of the files that `open_tensors` would read."""
    return sum(path.stat().st_size for path in weight_files(directory))


def weight_files(directory: Path) -> list[Path]:
    """The files that hold the numbers that `open_tensors` would read."""
    return sorted(directory.glob(_format_of(directory).weights))


def _format_of(directory: Path) -> Format:
    found = next((each for each in FORMATS if each.is_in(directory)), None)
    if found is None:
        others = sorted(path.name for pattern in ("*.h5", "*.keras", "*.msgpack") for path in directory.glob(pattern))
        here = f"{', '.join(others)} cannot be read" if others else "no weights here"
        expected = ", ".join(marker for format in FORMATS for marker in format.markers)
        raise InputError(f"{directory}: {here}; expected one of {expected}")
    return found
