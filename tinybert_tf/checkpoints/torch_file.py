"""Reads `pytorch_model.bin`, a pickle, with an installed torch in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from tinybert_tf.checkpoints.tensors import TensorFiles, read_index
from tinybert_tf.errors import InputError

TORCH_FILE = "pytorch_model.bin"
TORCH_INDEX = "pytorch_model.bin.index.json"

# A pickle can run code: with `weights_only` torch accepts only tensors. The program has a process of its own, because
# torch and TensorFlow in one process can crash. It writes into the current directory.
_CONVERT = """
import json, sys
from pathlib import Path
import numpy, torch
from safetensors.numpy import save_file
out, files = ".", sys.argv[1:]
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

    The directory exists as long as this object does.
    """

    @classmethod
    def open(cls, directory: Path, python: str = sys.executable) -> TorchTensors:
        """Convert the file or the shards of a directory.

        `python` is the interpreter whose torch is used. Raises InputError if it has no torch (the message tells how to
        convert the file elsewhere), or torch refuses the file.
        """
        single = directory / TORCH_FILE
        source = single if single.is_file() else directory / TORCH_INDEX
        files = [single] if single.is_file() else _shards(source)
        temporary = Path(tempfile.mkdtemp(prefix="tinybert_tf-"))
        try:
            if _run(python, temporary, "import torch").returncode:
                raise InputError(
                    f"{source}: reading it takes torch, which is not installed; install torch, or load the model in "
                    f"transformers where torch is: its save_pretrained(directory) writes model.safetensors"
                )
            ended = _run(python, temporary, _CONVERT, *(str(file.absolute()) for file in files))
            if ended.returncode:
                reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise InputError(f"{source}: torch cannot read it with weights_only=True ({reason})")
            tensors = cls(source, TensorFiles.open(temporary)._files)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        weakref.finalize(tensors, shutil.rmtree, temporary)
        return tensors


def _run(python: str, directory: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an empty directory.

    Python looks for modules in the current directory, with -P too where `PYTHONPATH` has an empty entry: a `torch.py`
    beside a model would be run. (Not -I, which hides a torch among the user's own packages.)
    """
    command = [python, "-P", "-c", program, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def _shards(index: Path) -> list[Path]:
    return [index.parent / name for name in sorted(set(read_index(index).values()))]
