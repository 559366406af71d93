"""A teacher's forward pass with the scores of four layers, beside one large product.

    python -m benchmarks.teacher_forward

BERT-base with random weights, 32 rows of 128 real tokens, in the precision that `auto` chooses. A product of two square
matrices of 2048 in the same precision says what the machine can do; the pass takes turns with it, in the fused form of
an encoder layer (`tinybert_tf.models.layers.fast`) and in the plain one. FLOPs are those of the matrix products:
each layer's six and its attention's two.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.layers.fast import set_fast_layers
from tinybert_tf.models.teaching.teacher import Teacher
from tinybert_tf.training.devices import setup_devices

SIZE = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bert-base", metavar="PRESET")
    parser.add_argument("--rows", type=int, default=32, metavar="N")
    parser.add_argument("--length", type=int, default=128, metavar="TOKENS")
    parser.add_argument(
        "--layers", type=int, nargs="*", default=[3, 6, 9, 12], metavar="N", help="whose scores are wanted"
    )
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each way (default 7)")
    arguments = parser.parse_args()

    precision = setup_devices("auto").choice.precision
    keras.utils.set_random_seed(1)
    config = EncoderConfig.from_preset(arguments.teacher)
    teacher = Teacher(TransformerEncoder(config, add_pooler=False))
    draw = np.random.default_rng(1)
    shape = arguments.rows, arguments.length
    batch = {
        "input_ids": tf.constant(draw.integers(1, config.vocab_size, shape), tf.int32),
        "attention_mask": tf.ones(shape, tf.int32),
        "token_type_ids": tf.zeros(shape, tf.int32),
    }
    ways = {
        f"teacher, {name}": (flops(config, *shape), forward(teacher, batch, arguments.layers, is_fast))
        for name, is_fast in (("fused layers", True), ("plain layers", False))
    }
    ways[f"one product of {SIZE}"] = 2 * SIZE**3, product(precision)
    found: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(arguments.rounds + 1):
        for way, (count, run) in ways.items():
            begin = time.perf_counter()
            run()
            if number:  # the first turn traces
                found[way].append(count / (time.perf_counter() - begin) / 1e9)
    shown = f"{arguments.rows} x {arguments.length} tokens"
    print(f"{arguments.teacher}, {shown}, {precision}, median of {arguments.rounds}\n")
    print("| what | GFLOP/s | of one product |\n|---|---:|---:|")
    *_, best = found.values()
    for way, rates in found.items():
        ratio = statistics.median(own / other for own, other in zip(rates, best, strict=True))
        print(f"| {way} | {statistics.median(rates):,.0f} | {ratio:.2f} |")


def flops(config: EncoderConfig, rows: int, length: int) -> int:
    width, inner = config.hidden_size, config.intermediate_size
    return config.num_hidden_layers * rows * length * (2 * (4 * width**2 + 2 * width * inner) + 4 * length * width)


def forward(teacher: Teacher, batch: dict[str, Any], layers: list[int], is_fast: bool) -> Callable[[], Any]:
    set_fast_layers(is_fast)
    traced = tf.function(lambda inputs: teacher(inputs, training=False, output_attention_scores=tuple(layers)))
    traced(batch)
    set_fast_layers(True)
    return lambda: traced(batch)


def product(precision: str) -> Callable[[], Any]:
    matrix = tf.cast(tf.random.normal([SIZE, SIZE]), precision)
    return tf.function(lambda: tf.matmul(matrix, matrix))


if __name__ == "__main__":
    main()
