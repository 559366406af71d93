"""Rows per second of TinyBERT's intermediate stage, beside the same step in PyTorch.

    python -m benchmarks.distill_step --train train.tsv --text sentence --tokenizer MODEL --peer-python PATH

Teacher and student have random weights; the texts, and so the lengths, are a file's. All ways take turns in one run,
and have been traced before the clock starts; each row of the table is the median of `--rounds`. `PATH` is a Python with
`torch` and `transformers`, an environment of its own: `benchmarks/torch_peer.py` says what runs there.

Ours: batches grouped by length, `auto` precision; "cached" with the teacher's features read from a cache, whose filling
is timed apart and shown in milliseconds a row.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.teacher_forward import SIZE, flops, product
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.text.readers import read_columns
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer
from tinybert_tf.distillation.cache.teacher_cache import TeacherCache
from tinybert_tf.distillation.cache.teacher_features import TeacherFeatures
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.distillation.losses import AttentionLoss, DistillationLoss, EmbeddingLoss, HiddenStateLoss
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
from tinybert_tf.models.teaching.teacher import Teacher
from tinybert_tf.pipeline.parts.ask_teacher import AskedRows
from tinybert_tf.training.devices import setup_devices
from tinybert_tf.training.optimizer import bert_optimizer

SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
OURS, CACHED, PLAIN, TUNED, PRODUCT = (
    "tinybert_tf",
    "tinybert_tf, cached",
    "PyTorch, plain",
    "PyTorch, tuned",
    "product",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    with_texts(parser, rows=1600)
    arguments = parser.parse_args()
    precision = setup_devices("auto").choice.precision
    tokens, configs = texts(arguments), sizes(arguments)
    distiller = make_distiller(configs, [EmbeddingLoss(), AttentionLoss(), HiddenStateLoss()])
    with tempfile.TemporaryDirectory() as directory:
        features, filling = fill(distiller, tokens, Path(directory))
        batches = Batches(tokens, None, arguments.batch_size, seed=1)
        ways: dict[str, Callable[[], float]] = {
            OURS: epochs(distiller, batches),
            CACHED: epochs(distiller, batches.with_row_inputs(features)),
        }
        if arguments.peer_python:
            peer = Peer(arguments, tokens, configs, precision, Path(directory))
            ways |= {TUNED: peer.steps("tuned", 10), PLAIN: peer.steps("plain", 2)}
        multiply = product(precision)
        ways[PRODUCT] = lambda: seconds(multiply)
        found = in_turns(ways, arguments.rounds)
    speed = 2 * SIZE**3 / statistics.median(found.pop(PRODUCT))
    teacher, student = (1e3 * count / speed for count in step_flops(distiller, configs, batches))
    print(
        f"{about(arguments, tokens)}, {precision}; the cache took {1e3 * filling / len(tokens):.1f} ms a text, "
        f"{sum(features.num_bytes.values()) / 2**20:,.0f} MiB; {len(batches)} steps an epoch; median of "
        f"{arguments.rounds}. At the speed of one large product ({speed / 1e9:.0f} GFLOP/s) the products alone take "
        f"{teacher + student:,.0f} ms a step, {student:,.0f} with a cached teacher.\n"
    )
    print("| way | ms a step | texts a second | ratio |\n|---|---:|---:|---:|")
    for way, times in found.items():
        step = statistics.median(times)
        print(f"| {way} | {1e3 * step:,.0f} | {arguments.batch_size / step:,.0f} | {ratio(found, way):.1f} |")


def with_texts(parser: argparse.ArgumentParser, rows: int) -> None:
    """The arguments that say what is trained on what, beside whom."""
    parser.add_argument("--train", required=True, metavar="F", help=".tsv, .csv or .jsonl")
    parser.add_argument("--text", required=True, metavar="COLUMN", help="column of the texts")
    parser.add_argument("--tokenizer", required=True, metavar="DIR", help="a BERT's tokenizer")
    parser.add_argument("--peer-python", metavar="PATH", help="a Python with torch and transformers")
    parser.add_argument("--teacher", default="bert-base", metavar="PRESET")
    parser.add_argument("--student", default="tinybert-4l-312d", metavar="PRESET")
    parser.add_argument("--rows", type=int, default=rows, metavar="N", help=f"texts, drawn at random (default {rows})")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N")
    parser.add_argument("--padded", type=int, default=64, metavar="TOKENS", help="of the plain loop (default 64)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each way (default 5)")


def texts(arguments: argparse.Namespace) -> TokenizedTexts:
    found = read_columns(arguments.train, [arguments.text])[arguments.text]
    chosen = np.random.default_rng(1).permutation(len(found))[: arguments.rows]
    return load_tokenizer(arguments.tokenizer).encode([found[row] for row in chosen], arguments.padded)


def sizes(arguments: argparse.Namespace) -> list[EncoderConfig]:
    """The teacher's and the student's."""
    vocab_size = load_tokenizer(arguments.tokenizer).vocab_size
    presets = [EncoderConfig.from_preset(preset) for preset in (arguments.teacher, arguments.student)]
    return [dataclasses.replace(preset, vocab_size=vocab_size) for preset in presets]


def make_distiller(configs: list[EncoderConfig], losses: list[DistillationLoss]) -> Distiller:
    keras.utils.set_random_seed(1)
    teacher, student = (SequenceClassifier(config, num_labels=2) for config in configs)
    return Distiller(Teacher(teacher), student, losses=losses)


def about(arguments: argparse.Namespace, tokens: TokenizedTexts) -> str:
    return (
        f"{arguments.teacher} -> {arguments.student}, {len(tokens)} texts of {tokens.lengths.mean():.1f} tokens, in "
        f"batches of {arguments.batch_size}"
    )


def in_turns(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each way returns in each round, after a first one that traces."""
    for run in ways.values():
        run()
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            found[way].append(run())
    return found


def ratio(found: Mapping[str, list[float]], way: str) -> float:
    """How much faster than the slowest way, the median of the rounds."""
    slowest = max(found, key=lambda each: statistics.median(found[each]))
    return statistics.median(other / own for other, own in zip(found[slowest], found[way], strict=True))


def fill(distiller: Distiller, tokens: TokenizedTexts, directory: Path) -> tuple[TeacherFeatures, float]:
    """A cache of what the distiller compares, and the seconds it took once the teacher had been traced."""
    AskedRows.of(TeacherCache(directory / "traced", 1e12), "teacher", [distiller], tokens, 0).fill()
    begin = time.perf_counter()
    rows = AskedRows.of(TeacherCache(directory / "cache", 1e12), "teacher", [distiller], tokens, 0)
    rows.fill()
    return rows.read(distiller), time.perf_counter() - begin


def projection_flops(distiller: Distiller, num_tokens: int) -> int:
    """Of the learned projections, for each pair of layers."""
    pairs = distiller.layer_map.num_student_layers + 1
    kernels = [variable.shape for variable in distiller.projections.weights if len(variable.shape) > 1]
    return sum(2 * num_tokens * int(np.prod(shape)) * pairs for shape in kernels)


def step_flops(distiller: Distiller, configs: list[EncoderConfig], batches: Batches) -> tuple[float, float]:
    """Of the products of a step, teacher and student, in the mean of an epoch; padding of our own included."""
    shapes = [batches[step][0]["input_ids"].shape for step in range(len(batches))]
    teacher = sum(flops(configs[0], *shape) for shape in shapes)
    student = sum(
        3 * (flops(configs[1], *shape) + projection_flops(distiller, shape[0] * shape[1])) for shape in shapes
    )
    return teacher / len(batches), student / len(batches)


def seconds(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def epochs(distiller: Distiller, batches: Batches) -> Callable[[], float]:
    """Seconds a step over an epoch, input and all, through Keras's own compiled step."""
    distiller.compile(optimizer=bert_optimizer(total_steps=10_000))
    distiller.make_train_function(force=True)
    step = distiller.train_function
    stream: Iterator[Any] = iter(())

    def run() -> float:
        nonlocal stream
        stream = iter(batches.get_tf_dataset())
        begin = time.perf_counter()
        for _ in range(len(batches)):
            logs = step(stream)
        float(logs["loss"])
        return (time.perf_counter() - begin) / len(batches)

    return run


class Peer:
    """`benchmarks/torch_peer.py` in its own process."""

    def __init__(
        self, arguments: Any, tokens: TokenizedTexts, configs: list[EncoderConfig], precision: str, directory: Path
    ) -> None:
        rows = directory / "rows.npz"
        np.savez(rows, input_ids=tokens.input_ids, offsets=tokens.offsets)
        sizes = [json.dumps({name: getattr(config, name) for name in SIZES}) for config in configs]
        command = [arguments.peer_python, str(Path(__file__).with_name("torch_peer.py")), "--rows", str(rows)]
        command += ["--teacher", sizes[0], "--student", sizes[1]]
        command += ["--batch-size", str(arguments.batch_size), "--padded", str(arguments.padded)]
        command += ["--precision", precision]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while not (line := self._process.stdout.readline()).startswith("ready"):
            if not line:
                raise SystemExit(f"{arguments.peer_python}: the PyTorch loop did not start")

    def steps(self, way: str, count: int) -> Callable[[], float]:
        """Seconds a step."""
        return lambda: self._seconds(f"steps {way} {count}") / count

    def forward(self, model: str, length: int, count: int) -> Callable[[], float]:
        """Seconds a pass of one text."""
        return lambda: self._seconds(f"forward {model} {length} {count}") / count

    def _seconds(self, line: str) -> float:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


if __name__ == "__main__":
    main()
