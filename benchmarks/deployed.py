"""Exported files beside each other: a BERT-base, and a TinyBERT in every form that phones and servers run.

    python -m benchmarks.deployed

Models with random weights, a text of `--length` tokens, none of them padding, a batch of one. The ways take turns, in
`--rounds` of `--passes` passes each; a round's time is the median of its passes. Printed are the medians of rounds, and
of what each is, round by round, to BERT-base (float32, LiteRT, the same threads). Sizes are of the files.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras

from tinybert_tf.evaluation.cost import full_inputs, size_on_disk
from tinybert_tf.export.formats import FORMATS, Wish
from tinybert_tf.export.litert import convert
from tinybert_tf.export.litert_quantization import quantize as quantize_litert
from tinybert_tf.export.litert_runner import available_cores
from tinybert_tf.export.rows import Runner
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier

# Format and quantization of each way; the first is what the others are measured against.
WAYS = {
    "teacher": [("litert", None)],
    "student": [
        ("litert", None),
        ("litert", "dynamic_int8"),
        ("litert", "dynamic_int4"),
        ("onnx", None),
        ("onnx", "dynamic_int8"),
    ],
}
NAMES = {"litert": "LiteRT", "onnx": "ONNX Runtime"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bert-base", metavar="PRESET")
    parser.add_argument("--student", default="tinybert-4l-312d", metavar="PRESET")
    parser.add_argument("--length", type=int, default=128, metavar="TOKENS")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="turns of each way (default 15)")
    parser.add_argument("--passes", type=int, default=10, metavar="N", help="passes of a turn (default 10)")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(1)
    with tempfile.TemporaryDirectory() as directory:
        files = written(arguments, Path(directory))
        rows = []
        for threads in sorted({1, available_cores()}):
            runners = {way: FORMATS[way[1]].open(path, threads) for way, path in files.items()}
            found = in_turns(runners, arguments)
            reference = found[next(iter(found))]
            for (name, format, quantize), times in found.items():
                faster = statistics.median(base / own for base, own in zip(reference, times, strict=True))
                size = size_on_disk(files[name, format, quantize])[0]
                way = f"{name} | {NAMES[format]} | {quantize or 'float32'} | {threads}"
                rows.append((way, 1e3 * statistics.median(times), faster, size))
    print(f"teacher {arguments.teacher}, student {arguments.student}, {arguments.length} tokens, batch 1\n")
    print("| model | runtime | numbers | threads | ms | times faster | MB | times smaller |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for way, milliseconds, faster, size in rows:
        print(f"| {way} | {milliseconds:.2f} | {faster:.1f} | {size / 1e6:.1f} | {rows[0][3] / size:.1f} |")


def written(arguments: argparse.Namespace, directory: Path) -> dict[tuple[str, str, str | None], Path]:
    """The file of each way."""
    files = {}
    for name, ways in WAYS.items():
        config = EncoderConfig.from_preset(getattr(arguments, name))
        model = SequenceClassifier(config, num_labels=2, dtype="float32")
        litert = convert(model, [arguments.length])
        for format, quantize in ways:
            path = directory / f"{name}-{quantize}-{FORMATS[format].file}"
            if format == "litert":
                path.write_bytes(litert if quantize is None else quantize_litert(litert, quantize, {}))
            else:
                FORMATS[format].write(model, path, Wish(quantize))
            files[name, format, quantize] = path
    return files


def in_turns(
    runners: dict[tuple[str, str, str | None], Runner], arguments: argparse.Namespace
) -> dict[tuple[str, str, str | None], list[float]]:
    """Seconds a pass of each way in each round; a first round is not counted."""
    inputs = full_inputs(1, arguments.length)
    found: dict[tuple[str, str, str | None], list[float]] = {way: [] for way in runners}
    for turn in range(arguments.rounds + 1):
        for way, runner in runners.items():
            taken = median_seconds(lambda runner=runner: runner(inputs), arguments.passes)
            if turn:
                found[way].append(taken)
    return found


def median_seconds(call: Callable[[], object], passes: int) -> float:
    """Of a pass."""
    seconds = []
    for _ in range(passes):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
