"""One text through teacher and student, beside PyTorch.

    python -m benchmarks.inference --peer-python PATH

Models with random weights, a batch of one, every token real, float32, all cores; median of `--rounds` turns of
`--passes` passes each. `PATH` as in `benchmarks.distill_step`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.distill_step import Peer, in_turns
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.training.devices import setup_devices

NAMES = ("teacher", "student")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bert-base", metavar="PRESET")
    parser.add_argument("--student", default="tinybert-4l-312d", metavar="PRESET")
    parser.add_argument("--lengths", type=int, nargs="*", default=[16, 64, 128], metavar="TOKENS")
    parser.add_argument("--peer-python", metavar="PATH", help="a Python with torch and transformers")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each way (default 5)")
    parser.add_argument("--passes", type=int, default=10, metavar="N", help="passes of a turn (default 10)")
    arguments = parser.parse_args()
    arguments.batch_size, arguments.padded = 1, max(arguments.lengths)
    setup_devices("float32")
    keras.utils.set_random_seed(1)
    configs = [EncoderConfig.from_preset(preset) for preset in (arguments.teacher, arguments.student)]
    ways: dict[tuple[str, int, str], Callable[[], float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        peer = None
        if arguments.peer_python:
            row = TokenizedTexts(np.ones(8, np.int32), np.zeros(8, np.int8), np.array([0, 8]))
            peer = Peer(arguments, row, configs, "float32", Path(directory))
        for name, config in zip(NAMES, configs, strict=True):
            encoder = TransformerEncoder(config, add_pooler=False)
            for length in arguments.lengths:
                ways[name, length, "tinybert_tf"] = passes(encoder, length, arguments.passes)
                if peer is not None:
                    ways[name, length, "PyTorch"] = peer.forward(name, length, arguments.passes)
        found = in_turns(ways, arguments.rounds)
    print(f"teacher {arguments.teacher}, student {arguments.student}, float32, median of {arguments.rounds}\n")
    print("| model | tokens | way | ms a text | teacher, same way = 1 |\n|---|---:|---|---:|---:|")
    for (name, length, way), times in found.items():
        beside = [other / own for other, own in zip(found["teacher", length, way], times, strict=True)]
        milliseconds = 1e3 * statistics.median(times)
        print(f"| {name} | {length} | {way} | {milliseconds:.1f} | {statistics.median(beside):.1f} |")


def passes(encoder: TransformerEncoder, length: int, count: int) -> Callable[[], float]:
    """Seconds a pass."""
    names = ("input_ids", "attention_mask")
    inputs: dict[str, Any] = {name: tf.ones((1, length), tf.int32) for name in names}

    @tf.function(input_signature=[{name: tf.TensorSpec((1, length), tf.int32) for name in names}])
    def traced(given: dict[str, Any]) -> Any:
        return encoder(given, training=False)["last_hidden_state"]

    def run() -> float:
        begin = time.perf_counter()
        for _ in range(count):
            traced(inputs)
        return (time.perf_counter() - begin) / count

    return run


if __name__ == "__main__":
    main()
