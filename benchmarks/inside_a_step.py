"""What a step of the intermediate stage is made of, beside the arithmetic of its products.

    python -m benchmarks.inside_a_step

BERT-base and TinyBERT4 with random weights, 32 rows of 16 real tokens, `auto` precision. The student's step is compiled
several times, each time with one thing more, and these take turns; a row is the median of the differences. The input is
a batch made from token ids and the features in a cache, which happens in the background. Beside it: a part's products
at the speed of one product of 2048 in the same precision, which takes its turn too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.distill_step import fill, in_turns, make_distiller, projection_flops, seconds
from benchmarks.teacher_forward import SIZE, flops, product
from tinybert_tf import features
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.distillation.losses import AttentionLoss, EmbeddingLoss, HiddenStateLoss
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.training.devices import setup_devices
from tinybert_tf.training.optimizer import bert_optimizer

Run = Callable[[], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bert-base", metavar="PRESET")
    parser.add_argument("--student", default="tinybert-4l-312d", metavar="PRESET")
    parser.add_argument("--rows", type=int, default=32, metavar="N")
    parser.add_argument("--length", type=int, default=16, metavar="TOKENS")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="turns of each way (default 15)")
    arguments = parser.parse_args()
    precision = setup_devices("auto").choice.precision
    shape = rows, length = arguments.rows, arguments.length
    configs = [EncoderConfig.from_preset(preset) for preset in (arguments.teacher, arguments.student)]
    ids = np.random.default_rng(1).integers(1, configs[1].vocab_size, rows * length).astype(np.int32)
    tokens = TokenizedTexts(ids, np.zeros(len(ids), np.int8), np.arange(rows + 1) * length)
    distiller = make_distiller(configs, [EmbeddingLoss(), AttentionLoss(), HiddenStateLoss()])
    multiply = product(precision)
    with tempfile.TemporaryDirectory() as directory:
        cached, _ = fill(distiller, tokens, Path(directory))
        batches = Batches(tokens, None, rows, seed=1, row_inputs=cached)
        ways = {"input": lambda: seconds(lambda: batches[0]), "product": lambda: seconds(multiply)}
        ways |= {name: timed(run, batches[0]) for name, run in parts(distiller).items()}
        found = in_turns(ways, arguments.rounds)
    speed = 2 * SIZE**3 / statistics.median(found["product"])
    forward = flops(configs[1], *shape) + projection_flops(distiller, rows * length)
    products = {"teacher": flops(configs[0], *shape), "forward": forward, "backward": 2 * forward, "step": 3 * forward}
    measured = {
        "teacher": found["teacher"],
        "forward": found["forward"],
        "losses": minus(found["losses"], found["forward"]),
        "backward": minus(found["gradients"], found["losses"]),
        "optimizer": minus(found["step"], found["gradients"]),
        "step": found["step"],
        "input": found["input"],
    }
    about = f"{arguments.teacher} -> {arguments.student}, {rows} x {length} tokens, {precision}"
    print(f"{about}, one product {speed / 1e9:.0f} GFLOP/s; median of {arguments.rounds}\n")
    print("| part | ms | its products, ms | ratio |\n|---|---:|---:|---:|")
    for part, times in measured.items():
        milliseconds = 1e3 * statistics.median(times)
        line = f"| {part} | {milliseconds:.1f} |"
        if part in products:
            least = 1e3 * products[part] / speed
            line += f" {least:.1f} | {milliseconds / least:.1f} |"
        print(line if part in products else f"{line} | |")


def parts(distiller: Distiller) -> dict[str, Callable[[Any], Any]]:
    """The student's step on given features, each with one thing more; and the teacher's pass."""
    distiller.compile(optimizer=bert_optimizer(total_steps=10_000))
    variables = distiller.trainable_variables

    def forward(inputs: Any) -> Any:
        return distiller(inputs, training=True)

    def losses(inputs: Any) -> Any:
        return distiller.compute_loss(inputs, y_pred=forward(inputs), training=True)

    def gradients(inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = losses(inputs)
        found = [gradient for gradient in tape.gradient(loss, variables) if gradient is not None]
        return [each.values if isinstance(each, tf.IndexedSlices) else each for each in found]

    def step(inputs: Any) -> Any:
        return distiller.train_step((inputs,))

    def teacher(inputs: Any) -> Any:
        plain = {name: values for name, values in inputs.items() if not name.startswith(features.TEACHER)}
        return distiller.teacher(plain, **distiller.teacher_arguments)

    return {"teacher": teacher, "forward": forward, "losses": losses, "gradients": gradients, "step": step}


def timed(run: Callable[[Any], Any], batch: tuple[Any, ...]) -> Run:
    traced = tf.function(run)
    inputs = {name: tf.constant(values) for name, values in batch[0].items()}
    return lambda: seconds(lambda: traced(inputs))


def minus(whole: list[float], less: list[float]) -> list[float]:
    return [each - other for each, other in zip(whole, less, strict=True)]


if __name__ == "__main__":
    main()
