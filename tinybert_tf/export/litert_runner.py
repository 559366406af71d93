"""A LiteRT file, ready to run, without TensorFlow."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.export.quiet import quiet

# The signature for texts of `n` tokens is called `length_<n>`.
SIGNATURE = "length_{}"
# More threads than this only wait for each other: a student's layers are small.
MOST_THREADS = 4


class LiteRTRunner:
    """A `.tflite` file of `tinybert export`, run by `ai-edge-litert`.

    Threads that share one take turns: an interpreter computes in buffers of its own. An interpreter for each of eight
    threads was no faster on two cores, and took eight times the memory.

    Args:
        path: the file.
        num_threads: of the CPU; by default as many as this process may use, 4 at most.

    Raises:
        InputError: `ai-edge-litert` is not installed, or the file is not one that `tinybert export` wrote.
    """

    def __init__(self, path: str | Path, num_threads: int | None = None) -> None:
        litert_interpreter = interpreter_class()
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; a .tflite file of `tinybert export` is wanted")
        try:
            with quiet(shown_if_it_fails=False):  # says which delegate it made
                self._interpreter = litert_interpreter(
                    model_path=str(path), num_threads=num_threads or min(MOST_THREADS, available_cores())
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: not a LiteRT file that can be run ({error})") from None
        prefix = SIGNATURE.format("")
        signatures = self._interpreter.get_signature_list()
        self._inputs = {
            int(name.removeprefix(prefix)): signature["inputs"]
            for name, signature in signatures.items()
            if name.startswith(prefix)
        }
        if not self._inputs:
            raise InputError(f"{path}: has no signature {SIGNATURE.format('<tokens>')}; `tinybert export` writes them")
        self.lengths = sorted(self._inputs)
        self._runners: dict[int, Any] = {}
        self._turn = threading.Lock()

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The logits of rows of one of the `lengths`."""
        length = inputs["input_ids"].shape[1]
        given = {name: inputs[name] for name in self._inputs[length]}
        with self._turn:
            if length not in self._runners:
                self._runners[length] = self._interpreter.get_signature_runner(SIGNATURE.format(length))
            return np.asarray(self._runners[length](**given)["logits"], np.float32)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def interpreter_class() -> Any:
    """LiteRT's own; raises InputError where it is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise InputError(f"LiteRT is not installed ({error}); pip install 'tinybert_tf[litert]'") from None
    return Interpreter
