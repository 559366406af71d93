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
        """One tensor as float32."""


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
        """Return one tensor as float32; raises InputError for one that holds no floating-point numbers."""
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
        return values.reshape(header[name]["shape"]).astype(np.float32, copy=False)


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


def _open_shards(index: Path) -> dict[str, tuple[Path, Any]]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        places = {str(name): str(shard) for name, shard in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index}: not a safetensors index, a JSON object with `weight_map` is wanted") from error
    shards = {shard: _open_shard(index, shard) for shard in sorted(set(places.values()))}
    listed = {shard: set(handle.keys()) for shard, handle in shards.items()}
    for name, shard in places.items():
        if name not in listed[shard]:
            raise InputError(f"{index}: tensor {name} is said to be in {shard}, which does not hold it")
    return {name: (index.parent / shard, shards[shard]) for name, shard in places.items()}


def _open_shard(index: Path, shard: str) -> Any:
    # Compared as text: the files of a Hub snapshot are links to a folder outside it, and resolving would refuse them.
    if Path(shard).name != shard or "\\" in shard:
        raise InputError(f"{index}: shard {shard!r} is outside the directory, a plain file name is wanted")
    path = index.parent / shard
    if not path.is_file():
        raise InputError(f"{index}: shard {shard!r} is missing from the directory")
    return _open_file(path)
