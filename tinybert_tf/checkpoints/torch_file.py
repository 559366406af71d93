"""`pytorch_model.bin`: a pickle, read by an installed torch in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from tinybert_tf.checkpoints.tensors import TensorFiles
from tinybert_tf.errors import InputError

TORCH_FILE = "pytorch_model.bin"
TORCH_INDEX = "pytorch_model.bin.index.json"

# A pickle can run code: with `weights_only` torch refuses all but tensors. In a process of its own, because torch and
# TensorFlow in one can crash.
_CONVERT = """
import json, sys
from pathlib import Path
import numpy, torch
from safetensors.numpy import save_file
out, *files = sys.argv[1:]
weight_map = {}
for number, file in enumerate(files):
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    floats = {name: value.float().numpy() for name, value in tensors.items() if value.is_floating_point()}
    shard = f"{number}.safetensors"
    save_file({name: numpy.array(value, order="C") for name, value in floats.items()}, Path(out, shard))
    weight_map.update(dict.fromkeys(floats, shard))
Path(out, "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
"""


class TorchTensors(TensorFiles):
    """The tensors of `pytorch_model.bin`, or of the shards of its index, converted into a temporary directory.

    The directory is there for as long as this object is.
    """

    @classmethod
    def open(cls, directory: Path, python: str = sys.executable) -> TorchTensors:
        """Convert the file or the shards of a directory.

        `python` is the interpreter whose torch is used. Raises InputError where it has none, saying how to convert the
        file elsewhere, and for a file that torch refuses.
        """
        single = directory / TORCH_FILE
        source = single if single.is_file() else directory / TORCH_INDEX
        files = [single] if single.is_file() else _shards(source)
        if subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode:
            raise InputError(
                f"{source}: reading it takes torch, which is not installed; install torch, or load the model in "
                f"transformers where torch is: its save_pretrained(directory) writes model.safetensors"
            )
        temporary = Path(tempfile.mkdtemp(prefix="tinybert_tf-"))
        try:
            command = [python, "-c", _CONVERT, str(temporary), *map(str, files)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            if ended.returncode:
                reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise InputError(f"{source}: torch cannot read it with weights_only=True ({reason})")
            tensors = cls(source, TensorFiles.open(temporary)._handles)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        weakref.finalize(tensors, shutil.rmtree, temporary)
        return tensors


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index}: not an index of shards, a JSON object with `weight_map` is wanted") from error
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise InputError(f"{index}: shard {name!r} is not in the directory")
    return [index.parent / name for name in names]
