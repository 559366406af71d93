"""A runner for LiteRT files that needs no TensorFlow."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.export.quiet import quiet

# The name of the signature for texts of `n` tokens: `length_<n>`.
SIGNATURE = "length_{}"
# The most threads by default: a student's layers are small, so more threads only wait for each other.
MOST_THREADS = 4


class LiteRTRunner:
    """Runs a `.tflite` file of `tinybert export` with `ai-edge-litert`.

    Threads that share a runner take turns, as an interpreter computes in its own buffers. With one interpreter for each
    of eight threads, two cores were no faster, and the memory was eight times as large.

    Args:
        path: the file.
        num_threads: number of CPU threads; by default the cores that this process may use, at most 4.

    Raises:
        InputError: `ai-edge-litert` is not installed, or `tinybert export` has not written the file.
    """

    def __init__(self, path: str | Path, num_threads: int | None = None) -> None:
        litert_interpreter = interpreter_class()
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; expected a .tflite file of `tinybert export`")
        try:
            with quiet(shown_if_it_fails=False):  # it prints the name of its delegate
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
        """Compute the logits of rows of one of the `lengths`."""
        length = inputs["input_ids"].shape[1]
        given = {name: inputs[name] for name in self._inputs[length]}
        with self._turn:
            if length not in self._runners:
                self._runners[length] = self._interpreter.get_signature_runner(SIGNATURE.format(length))
            return np.asarray(self._runners[length](**given)["logits"], np.float32)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def interpreter_class() -> Any:
    """Return LiteRT's interpreter class; raises InputError if it is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise InputError(f"LiteRT is not installed ({error}); pip install 'tinybert_tf[litert]'") from None
    return Interpreter
