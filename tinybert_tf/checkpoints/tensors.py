"""The tensors of a model directory, by name, read one at a time."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from tinybert_tf.errors import InputError
from tinybert_tf.json_file import FILE_NAME, OBJECT, check_kinds, read_object

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}


class Tensors(Protocol):
    """The weights of a model directory in any format, under Hugging Face's names and in its orientation."""

    path: Path

    def names(self) -> list[str]:
        """The names of all tensors, sorted."""

    def __contains__(self, name: object) -> bool: ...

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor."""

    def read(self, name: str) -> np.ndarray:
        """One tensor as float32; raises InputError if it is damaged or holds NaN or infinity."""


class TensorFiles:
    """The tensors of `model.safetensors`, or of the shards that `model.safetensors.index.json` lists.

    Opening reads the headers only; `read` fetches one tensor. `path` is the file that messages name: the single file or
    the index.
    """

    def __init__(self, path: Path, files: Mapping[str, _OpenFile]) -> None:
        """`files` maps each tensor name to the safetensors file that holds it; see `open`."""
        self.path = path
        self._files = dict(files)

    @classmethod
    def open(cls, directory: Path) -> TensorFiles:
        """Open the weights of a model directory.

        Raises:
            InputError: there are no weights in this format; a file is truncated or damaged; the index names a shard or
                a tensor that does not exist, or a shard outside the directory.
        """
        directory = Path(directory)
        single, index = directory / SINGLE_FILE, directory / INDEX_FILE
        if single.is_file():
            file = _OpenFile(single)
            return cls(single, dict.fromkeys(file.names, file))
        if index.is_file():
            return cls(index, _open_shards(index))
        raise InputError(f"{directory}: no weights here; expected {SINGLE_FILE}, or {INDEX_FILE} with its shards")

    def names(self) -> list[str]:
        """Return the names of all tensors, sorted."""
        return sorted(self._files)

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one tensor, from the header alone."""
        return tuple(self._files[name].header[name]["shape"])

    def read(self, name: str) -> np.ndarray:
        """Return one tensor as float32; raises InputError unless it holds finite floating-point numbers."""
        file = self._files[name]
        dtype = file.header[name]["dtype"]
        if dtype not in _FLOATS:
            raise InputError(f"{self.path}: tensor {name} holds {dtype}; expected one of {', '.join(_FLOATS)}")
        values = file.read(name, np.dtype(_FLOATS[dtype]))
        # Messages name shards, except those of a temporary directory.
        source = file.path if file.path.parent == self.path.parent else self.path
        return finite(values, f"{source}: tensor {name}")


class _OpenFile:
    """A safetensors file, opened once: a file that replaces it on the disk does not change the values read here.

    Raises:
        InputError: the file is truncated or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = _same_file(path)
        except (SafetensorError, OSError) as error:
            reason = str(error).removeprefix("Error while deserializing header: ")
            raise InputError(f"{path}: truncated or damaged, not a readable safetensors file ({reason})") from error
        weakref.finalize(self, self._file.close)
        size = int.from_bytes(self._file.read(8), "little")
        self._start = 8 + size
        self.header: dict[str, Any] = json.loads(self._file.read(size))
        self.names = [name for name in self.header if name != "__metadata__"]

    def read(self, name: str, dtype: np.dtype[Any]) -> np.ndarray:
        """A tensor as it is stored; safetensors would map the file, and have the tensor in memory twice."""
        begin, end = self.header[name]["data_offsets"]
        self._file.seek(self._start + begin)
        return np.fromfile(self._file, dtype, (end - begin) // dtype.itemsize).reshape(self.header[name]["shape"])


def _same_file(path: Path) -> BinaryIO:
    """The file, opened and checked by safetensors; it is opened again if it was replaced in between."""
    while True:
        file = path.open("rb")
        try:
            with safe_open(path, framework="numpy"):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def finite(values: np.ndarray, place: str) -> np.ndarray:
    """The values as float32; `place` names the tensor and its file in a message.

    Raises:
        InputError: a value is NaN or infinite, or too large for float32.
    """
    with np.errstate(over="ignore"):  # values beyond float32 become infinite
        values = values.astype(np.float32, copy=False)
    count = values.size - np.count_nonzero(np.isfinite(values))  # 20 ms for 100 million
    if count:
        raise InputError(f"{place}: expected finite numbers, got {count:,} of {values.size:,} that are NaN or infinite")
    return values


def read_index(index: Path) -> dict[str, str]:
    """The file that holds each tensor, by an index of shards; the shards are in the index's directory.

    Raises:
        InputError: the file is not an index, or names a file that does not exist or is in another directory.
    """
    places: dict[str, str] = read_object(index, {"weight_map": OBJECT}).get("weight_map", {})
    if not places:
        raise InputError(f"{index}: expected `weight_map`, tensors and the files that hold them, got none")
    # Compared as text: the files of a Hub snapshot are links to a folder outside it, and resolving would refuse them.
    check_kinds(places, dict.fromkeys(places, FILE_NAME), f"{index}: weight_map")
    for shard in sorted(set(places.values())):
        if not (index.parent / shard).is_file():
            raise InputError(f"{index}: shard {shard!r} is missing from the directory")
    return places


def _open_shards(index: Path) -> dict[str, _OpenFile]:
    places = read_index(index)
    shards = {shard: _OpenFile(index.parent / shard) for shard in sorted(set(places.values()))}
    for name, shard in places.items():
        if name not in shards[shard].names:
            raise InputError(f"{index}: expected tensor {name} in {shard}, which does not hold it")
    return {name: shards[shard] for name, shard in places.items()}
