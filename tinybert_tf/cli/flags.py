"""The flags that several verbs share, each with one meaning."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tinybert_tf.cli.verb import Flag
from tinybert_tf.config.glue import GLUE
from tinybert_tf.config.models import SIZE_NAMES
from tinybert_tf.config.tasks import DEFAULT_TASK, TASK_KEYS


def integer(at_least: int | None = None) -> Callable[[str], int]:
    """A reader of integers that are not below a limit."""
    expected = "an integer" if at_least is None else f"an integer >= {at_least}"

    def read(written: str) -> int:
        try:
            value = int(written)
        except ValueError:
            value = None
        if value is None or (at_least is not None and value < at_least):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {written!r}")
        return value

    return read


def number(written: str) -> float:
    """Read a number."""
    try:
        return float(written)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {written!r}") from None


def words(written: str) -> list[str]:
    """Read words separated by commas."""
    return [word.strip() for word in written.split(",")]


def integers(written: str) -> tuple[int, ...]:
    """Read integers separated by commas."""
    try:
        return tuple(int(part) for part in written.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected integers with commas between them, such as 64,128, got {written!r}"
        ) from None


# === For every verb ===

MODEL = Flag("model", "MODEL", "model directory, run directory, export or Hub id")
TEXT = Flag(
    "--text", "COLUMN[,COLUMN]", "column of the text, or the two columns of a pair, in files that have columns",
    otherwise="none, but those of GLUE's tasks are known",
)  # fmt: skip
LABEL = Flag(
    "--label", "COLUMN", "column of the label, in files that have columns",
    otherwise="none, but those of GLUE's tasks are known",
)  # fmt: skip
POSITIVE = Flag(
    "--positive", "LABEL", "of two labels the one whose F1 is measured",
    otherwise="the model's, or the one that integer 1 stands for",
)  # fmt: skip
MAX_LENGTH = Flag("--max-length", "TOKENS", "tokens that a text is cut to, special tokens included", type=integer(8))
PRECISION = Flag("--precision", "P", "numbers to compute with: auto, float32, bfloat16 or float16", default="auto")
SEED = Flag("--seed", "N", "seed of every random choice", default=1, type=integer(0))
BATCH_SIZE = Flag("--batch-size", "N", "texts that are computed together", default=32, type=integer(1))
TASK = Flag(
    "--task", "TASK",
    f"{', '.join(TASK_KEYS)}; or a task of GLUE ({', '.join(GLUE)}), with its columns, labels and metric",
)  # fmt: skip

# === For verbs that take a config: each flag sets a key; the key's section has the default and the rule ===


def of_key(flag: Flag, key: str, help: str | None = None, otherwise: str = "") -> Flag:
    """The same flag, setting a key of a config."""
    words = flag.help if help is None else help
    return flag.but(key=key, help=words, default=None, type=str, otherwise=otherwise or flag.otherwise)


DATA = (
    Flag("--train", "F", "training file: .tsv, .csv, .jsonl, or hub:NAME; CoNLL or SQuAD files for their tasks",
         key="data.train"),
    Flag("--dev", "F|X", "file that chooses the best epoch, or the fraction of the training data that does",
         key="data.dev"),
    Flag("--test", "F", "file that is only measured on, at the end", key="data.test", otherwise="none"),
    of_key(TEXT, "data.text"),
    of_key(LABEL, "data.label"),
    of_key(POSITIVE, "data.positive"),
    of_key(MAX_LENGTH, "data.max_length"),
)  # fmt: skip
EPOCHS = Flag(
    "--epochs", "N", "passes over the training data, in each stage", key="train.epochs",
    otherwise="a rule chooses them; with --max-steps, no limit",
)  # fmt: skip
TRAIN = (
    EPOCHS,
    Flag("--max-steps", "N", "optimizer steps of each stage; with --epochs, the stage ends at whichever comes first",
         key="train.max_steps", otherwise="no limit"),
    Flag("--batch-size", "N", "texts in a step", key="train.batch_size"),
    Flag("--learning-rate", "X", "highest learning rate, reached after the warm-up", key="train.learning_rate",
         otherwise="a rule chooses it"),
    of_key(SEED, "train.seed", "seed of weights, dropout and data order"),
    of_key(PRECISION, "train.precision"),
)  # fmt: skip
LABELLED = (
    of_key(TASK, "task", otherwise=DEFAULT_TASK),
    Flag("--metric", "NAME", "metric that chooses the best epoch: accuracy, f1, matthews_correlation, pearson, ...",
         key="metric", otherwise="the task's own"),
)  # fmt: skip
OUT = Flag("--out", "RUN", "run directory to make", key="out")
OVERWRITE = Flag(
    "--overwrite", None, "train a run anew that is there; the old model stays until the new one is complete"
)
TEACHER = Flag("--teacher", "DIR", "fine-tuned teacher: a model or run directory, or a Hub id", key="teacher.dir")
STUDENT = Flag(
    "--student", "SIZE|PRESET|DIR",
    f"student: {', '.join(SIZE_NAMES)} (shares of its teacher), a preset's sizes, or a directory to start from",
    key="student", otherwise="the smallest of the three that is close to its teacher when it is cut",
)  # fmt: skip
BASELINE = Flag("--baseline", None, "also train the same student on the labels alone", key="baseline")
ALLOW_WEAK_TEACHER = Flag(
    "--allow-weak-teacher", None, "go on with a teacher that is no better than guessing", key="allow_weak_teacher"
)
MORE_TEXTS = (
    Flag("--unlabelled", "F[,F]", "files of more texts, without labels, for the teacher to answer",
         key="data.unlabelled", type=words, otherwise="none"),
    Flag("--augment", "N", "new texts to make of each row, for the teacher to answer", key="data.augment",
         type=integer(0), otherwise="as many as the number of rows asks for"),
    Flag("--no-augment", None, "make no new texts", key="data.augment", sets=0),
)  # fmt: skip
DISTILLATION = (TEACHER, STUDENT, *DATA, *MORE_TEXTS, *TRAIN, *LABELLED, OUT)
