"""Whole stages of a task distillation, with and without the teacher's cache, beside PyTorch.

    python -m benchmarks.task_run --train train_sentences.tsv --text sentence --tokenizer MODEL --peer-python PATH

As `benchmarks.distill_step`, whose models, texts and peers these are. What a stage of `--epochs` costs is what filling
the cache took, once, and as many times an epoch, the median of `--rounds`; the peers' epochs are their steps'. The
prediction stage compares logits, and is timed with the teacher in every step and with its logits from the cache.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.distill_step import (
    CACHED,
    OURS,
    PLAIN,
    TUNED,
    Peer,
    about,
    epochs,
    fill,
    in_turns,
    make_distiller,
    sizes,
    texts,
    with_texts,
)
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.distillation.losses import AttentionLoss, EmbeddingLoss, HiddenStateLoss, PredictionLoss
from tinybert_tf.training.devices import setup_devices

STAGES = {
    "intermediate": [EmbeddingLoss(), AttentionLoss(), HiddenStateLoss()],
    "prediction": [PredictionLoss()],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    with_texts(parser, rows=640)
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="of a stage (default 20)")
    arguments = parser.parse_args()
    precision = setup_devices("auto").choice.precision
    tokens, configs = texts(arguments), sizes(arguments)
    batches = Batches(tokens, None, arguments.batch_size, seed=1)
    ways: dict[tuple[str, str], Callable[[], float]] = {}
    filled: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as directory:
        for stage, losses in STAGES.items():
            distiller = make_distiller(configs, losses)
            features, filled[stage, CACHED] = fill(distiller, tokens, Path(directory, stage))
            ways[stage, OURS] = epochs(distiller, batches)
            ways[stage, CACHED] = epochs(distiller, batches.with_row_inputs(features))
        if arguments.peer_python:
            peer = Peer(arguments, tokens, configs, precision, Path(directory))
            ways["intermediate", TUNED] = peer.steps("tuned", 5)
            ways["intermediate", PLAIN] = peer.steps("plain", 2)
        found = in_turns(ways, arguments.rounds)
    print(f"{about(arguments, tokens)}, {precision}, {arguments.epochs} epochs; median of {arguments.rounds}\n")
    print("| stage | way | filling, s | an epoch, s | stage, s | ratio |\n|---|---|---:|---:|---:|---:|")
    seconds = {way: len(batches) * statistics.median(found[way]) for way in ways}
    totals = {way: filled.get(way, 0.0) + arguments.epochs * seconds[way] for way in ways}
    for (stage, way), total in sorted(totals.items(), key=lambda item: item[0][0]):
        slowest = max(other for (name, _), other in totals.items() if name == stage)
        filling = f"{filled[stage, way]:.1f}" if (stage, way) in filled else ""
        print(f"| {stage} | {way} | {filling} | {seconds[stage, way]:.2f} | {total:.1f} | {slowest / total:.1f} |")


if __name__ == "__main__":
    main()
