"""The tensors of a model directory, by name, read one at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

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
        """One tensor as float32; raises InputError for one that is damaged or has NaN or infinity in it."""


class TensorFiles:
    """The tensors of `model.safetensors`, or of the shards that `model.safetensors.index.json` lists.

    Opening reads the headers only; `read` fetches one tensor. `path` is the file that messages name: the single file or
    the index.
    """

    def __init__(self, path: Path, handles: Mapping[str, tuple[Path, Any]]) -> None:
        """Use `open`; `handles` maps each tensor name to the safetensors file that holds it, by path and opened."""
        self.path = path
        self._handles = dict(handles)
        self._headers: dict[Path, tuple[int, dict[str, Any]]] = {}

    @classmethod
    def open(cls, directory: Path) -> TensorFiles:
        """Open the weights of a model directory.

        Raises InputError where there are none in this format, where a file is truncated or damaged, and where the index
        names a shard or a tensor that is not there, or a shard outside the directory.
        """
        directory = Path(directory)
        single, index = directory / SINGLE_FILE, directory / INDEX_FILE
        if single.is_file():
            handle = _open_file(single)
            return cls(single, dict.fromkeys(handle.keys(), (single, handle)))
        if index.is_file():
            return cls(index, _open_shards(index))
        raise InputError(f"{directory}: no weights here, {SINGLE_FILE} (or {INDEX_FILE} with its shards) is wanted")

    def names(self) -> list[str]:
        """Return the names of all tensors, sorted."""
        return sorted(self._handles)

    def __contains__(self, name: object) -> bool:
        return name in self._handles

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one tensor, from the header alone."""
        _, handle = self._handles[name]
        return tuple(handle.get_slice(name).get_shape())

    def read(self, name: str) -> np.ndarray:
        """Return one tensor as float32; raises InputError for one that does not hold finite floating-point numbers."""
        path, handle = self._handles[name]
        dtype = handle.get_slice(name).get_dtype()
        if dtype not in _FLOATS:
            raise InputError(f"{self.path}: tensor {name} holds {dtype}, one of {', '.join(_FLOATS)} is wanted")
        # Not with `get_tensor`, which copies from a map of the file: what is read would be in memory twice.
        if path not in self._headers:
            self._headers[path] = _header(path)
        start, header = self._headers[path]
        begin, end = header[name]["data_offsets"]
        stored = np.dtype(_FLOATS[dtype])
        values = np.fromfile(path, stored, (end - begin) // stored.itemsize, offset=start + begin)
        # Shards are named; not those of a temporary directory.
        source = path if path.parent == self.path.parent else self.path
        return finite(values.reshape(header[name]["shape"]), f"{source}: tensor {name}")


def finite(values: np.ndarray, place: str) -> np.ndarray:
    """The values as float32; `place` names the tensor and its file in a message.

    Raises:
        InputError: one is NaN or infinite, or too large for float32.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite then
        values = values.astype(np.float32, copy=False)
    count = values.size - np.count_nonzero(np.isfinite(values))  # 20 ms for 100 million
    if count:
        raise InputError(f"{place}: expected finite numbers, got {count:,} of {values.size:,} that are NaN or infinite")
    return values


def _open_file(path: Path) -> Any:
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise InputError(f"{path}: truncated or damaged, not a readable safetensors file ({reason})") from error


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Where a file's values begin, and what its header says of each tensor; `safe_open` has checked both."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return 8 + size, json.loads(file.read(size))


def read_index(index: Path) -> dict[str, str]:
    """The file that holds each tensor, by an index of shards; all of them are beside it.

    Raises:
        InputError: not an index; it names a file that is not there, or one elsewhere.
    """
    places: dict[str, str] = read_object(index, {"weight_map": OBJECT}).get("weight_map", {})
    if not places:
        raise InputError(f"{index}: expected `weight_map`, tensors and the files that hold them, found none")
    # Compared as text: the files of a Hub snapshot are links to a folder outside it, and resolving would refuse them.
    check_kinds(places, dict.fromkeys(places, FILE_NAME), f"{index}: weight_map")
    for shard in sorted(set(places.values())):
        if not (index.parent / shard).is_file():
            raise InputError(f"{index}: shard {shard!r} is missing from the directory")
    return places


def _open_shards(index: Path) -> dict[str, tuple[Path, Any]]:
    places = read_index(index)
    shards = {shard: _open_file(index.parent / shard) for shard in sorted(set(places.values()))}
    listed = {shard: set(handle.keys()) for shard, handle in shards.items()}
    for name, shard in places.items():
        if name not in listed[shard]:
            raise InputError(f"{index}: tensor {name} is said to be in {shard}, which does not hold it")
    return {name: (index.parent / shard, shards[shard]) for name, shard in places.items()}
