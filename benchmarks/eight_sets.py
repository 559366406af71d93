"""Teacher, cut, alone and distilled on one of eight sets, by default and with three seeds: a row of RESULTS.md.

    python -m benchmarks.eight_sets sst2 --data DATA --model MINILM --out runs [--student tiny] [--seeds 1,2,3]

A row is one command, and goes on where it stopped. The teacher is fine-tuned once. `distilled` is `tinybert distill`
without an option but the set's files and the size. `alone` is the same student with the same first weights and as many
optimizer steps on labels alone, at the best of `RATES` by seed 1's dev score. CoLA's labelled rows that are not for
training are drawn into two halves: one chooses the epoch, the other is the test set. A difference comes with the
standard error of the rows, paired and averaged over the seeds; that of other seeds is not in it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.metrics import standard_error

SPLITS = ("train", "dev", "test")
# Rates of a student that learns from labels alone, times its width.
RATES = (0.0055, 0.017, 0.05, 0.17)


@dataclass(frozen=True)
class LabelledSet:
    """A set: its folder, its files, its flags, its metric; and the epochs and the rate of its teacher."""

    folder: str
    flags: tuple[str, ...]
    metric: str
    epochs: int
    rate: float
    train: str = "train"
    suffix: str = "tsv"


PAIR = ("--text", "sentence1,sentence2")
SENTENCE = ("--text", "sentence", "--label", "label", "--max-length", "64")
TAGS = ("--task", "token_classification", "--max-length")
SETS = {
    "sst2": LabelledSet("sst2", SENTENCE, "accuracy", 4, 1e-4, train="train_sentences"),
    "mrpc": LabelledSet("mrpc", (*PAIR, "--label", "label", "--max-length", "128"), "f1", 3, 5e-5),
    "stsb": LabelledSet(
        "stsb", (*PAIR, "--label", "score", "--max-length", "128", "--task", "regression"), "pearson", 3, 5e-5
    ),
    "sick": LabelledSet("sick", (*PAIR, "--label", "label", "--max-length", "64"), "accuracy", 3, 5e-5),
    "cola": LabelledSet("cola", SENTENCE, "matthews_correlation", 4, 5e-5),
    "intents": LabelledSet("snips", SENTENCE, "accuracy", 1, 1e-4),
    "tags": LabelledSet("snips", (*TAGS, "64"), "f1", 4, 1e-4, suffix="conll"),
    "wnut17": LabelledSet("wnut17", (*TAGS, "96"), "f1", 5, 1e-4, suffix="conll"),
}


@dataclass(frozen=True)
class Finished:
    """A finished run: its directory and its `metrics.json`."""

    directory: Path
    metrics: dict[str, Any]

    def score(self, model: str, metric: str) -> float:
        """The score of `model`, `student` or `teacher`, on the test set."""
        return self.metrics[model]["test"][metric]  # type: ignore[no-any-return]

    def resampled(self, model: str, metric: str) -> np.ndarray:
        """That score in all resamples of the rows."""
        with np.load(self.directory / "resamples.npz") as arrays:
            return arrays[f"{model}/test/{metric}"]  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--data", required=True, type=Path, help="directory of the sets")
    parser.add_argument("--model", required=True, type=Path, help="directory of the pretrained teacher")
    parser.add_argument("--out", required=True, type=Path, help="directory of all runs")
    parser.add_argument("--student", default=None, help="size of the student (default: the library chooses it)")
    parser.add_argument("--seeds", default="1,2,3", help="seeds of the students")
    arguments = parser.parse_args()
    print(row(arguments, SETS[arguments.set]))


def row(arguments: argparse.Namespace, chosen: LabelledSet) -> str:
    """Train what is missing, and return the row of the table."""
    out = arguments.out / arguments.set
    flags = [*files_of(chosen, arguments.data, out), *chosen.flags, "--metric", chosen.metric]
    teacher = out / "teacher"
    run(
        "finetune",
        teacher,
        "--model",
        arguments.model,
        *flags,
        "--epochs",
        chosen.epochs,
        "--learning-rate",
        chosen.rate,
    )
    student = out / (arguments.student or "default")
    flags += ["--teacher", teacher, *(["--student", arguments.student] if arguments.student else [])]
    seeds = arguments.seeds.split(",")
    distilled = [run("distill", student / f"seed-{seed}", *flags, "--seed", seed) for seed in seeds]
    alone = alone_of(student, flags, distilled[0], seeds, chosen.metric)
    return shown(arguments.set, chosen.metric, alone, distilled)


def shown(name: str, metric: str, alone: Sequence[Finished], distilled: Sequence[Finished]) -> str:
    """The row: teacher, cut, alone and distilled, the two differences, and the share of the teacher's score."""
    scores = [[run.score("student", metric) for run in runs] for runs in (alone, distilled)]
    taught = distilled[0].score("teacher", metric)
    before = distilled[0].metrics["student"]["before_training"]["test"][metric]
    to_alone = difference(distilled, alone, "student", metric)
    to_teacher = difference(distilled, distilled, "teacher", metric)
    written = " | ".join(f"{100 * statistics.mean(each):.1f} ({listed(each)})" for each in scores)
    share = statistics.mean(scores[1]) / taught
    cells = (name, metric, f"{100 * taught:.1f}", f"{100 * before:.1f}", written, to_alone, to_teacher, f"{share:.1%}")
    return f"| {' | '.join(cells)} |"


def difference(students: Sequence[Finished], others: Sequence[Finished], model: str, metric: str) -> str:
    """Return how far the students' mean is ahead of the others', and its standard error over paired resamples."""
    pairs = list(zip(students, others, strict=True))
    ahead = statistics.mean(one.score("student", metric) - other.score(model, metric) for one, other in pairs)
    drawn = [one.resampled("student", metric) - other.resampled(model, metric) for one, other in pairs]
    return f"{100 * ahead:+.1f} ± {100 * standard_error(np.mean(drawn, axis=0)):.1f}"


def alone_of(
    student: Path, flags: Sequence[Any], distilled: Finished, seeds: Sequence[str], metric: str
) -> list[Finished]:
    """Train on labels alone: with each rate and the first seed, then with the best rate and the other seeds."""
    steps = distilled.metrics["student"]["steps"]
    width = json.loads((student / f"seed-{seeds[0]}" / "student" / "config.json").read_text())["hidden_size"]
    labels = "stages=[{name: labels, losses: [{name: prediction, hard_label_weight: 1.0}]}]"

    def trained(rate: float, seed: str) -> Finished:
        directory = student / f"alone-{rate}-{seed}"
        settings = ["--set", labels, "--learning-rate", rate / width, "--max-steps", steps, "--seed", seed]
        return run("distill", directory, *flags, *settings)

    first = {rate: trained(rate, seeds[0]) for rate in RATES}
    best = max(RATES, key=lambda rate: first[rate].metrics["student"][metric])
    return [first[best], *(trained(best, seed) for seed in seeds[1:])]


def run(verb: str, out: Path, *flags: Any) -> Finished:
    """Run a command of the library unless it is complete, and return what it left."""
    metrics = out / "metrics.json"
    if not metrics.is_file():
        command = [sys.executable, "-m", "tinybert_tf", verb, *map(str, flags), "--out", str(out)]
        print(" ".join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=sys.stderr)
    return Finished(out, json.loads(metrics.read_text()))


def files_of(chosen: LabelledSet, data: Path, out: Path) -> list[str]:
    """Return the flags of the set's files; CoLA's two halves are written below `out`."""
    folder = data / chosen.folder
    files = {name: folder / f"{name}.{chosen.suffix}" for name in SPLITS} | {
        "train": folder / f"{chosen.train}.{chosen.suffix}"
    }
    if chosen.folder == "cola":
        files |= halves(files["dev"], files["test"], out)
    return [part for name in SPLITS for part in (f"--{name}", str(files[name]))]


def halves(first: Path, second: Path, out: Path) -> dict[str, Path]:
    """Shuffle the rows of two files, and write every other one to `dev.tsv`, the rest to `test.tsv`."""
    (header, *rows), (_, *more) = (path.read_text(encoding="utf-8").splitlines() for path in (first, second))
    rows += more
    random.Random(1).shuffle(rows)
    out.mkdir(parents=True, exist_ok=True)
    for start, name in enumerate(("dev", "test")):
        (out / f"{name}.tsv").write_text("\n".join([header, *rows[start::2]]) + "\n", encoding="utf-8")
    return {name: out / f"{name}.tsv" for name in ("dev", "test")}


def listed(scores: Sequence[float]) -> str:
    """The scores of the seeds, times 100."""
    return ", ".join(f"{100 * score:.1f}" for score in scores)


if __name__ == "__main__":
    main()
