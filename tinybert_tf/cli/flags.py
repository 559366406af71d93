"""The flags of the verbs that take a config: which key each one sets."""

from __future__ import annotations

import argparse
import os
from typing import Any

from tinybert_tf.config.glue import GLUE
from tinybert_tf.config.tasks import DEFAULT_TASK, TASK_KEYS
from tinybert_tf.errors import InputError

# Flags of the verbs that take a config, and the config's keys that they set.
DATA_FLAGS = {
    "--train": ("data.train", "F", "training file: .tsv, .csv or .jsonl, or what the task has"),
    "--dev": ("data.dev", "F", "file that chooses the best epoch"),
    "--test": ("data.test", "F", "file that is only measured on, at the end"),
    "--text": ("data.text", "COLUMN[,COLUMN]", "column of the text, or the two of a pair"),
    "--label": ("data.label", "COLUMN", "column of the label"),
    "--max-length": ("data.max_length", "TOKENS", "tokens a text is cut at (default 128)"),
}
TRAIN_FLAGS = {
    "--epochs": ("train.epochs", "N", "passes over what is trained on, in each stage"),
    "--max-steps": ("train.max_steps", "N", "optimizer steps of each stage; beside epochs, what ends first"),
    "--batch-size": ("train.batch_size", "N", "texts in a step"),
    "--learning-rate": ("train.learning_rate", "X", "peak learning rate"),
    "--seed": ("train.seed", "N", "seed of weights, dropout and data order"),
    "--precision": ("train.precision", "P", "auto, float32, bfloat16 or float16"),
    "--task": (
        "task",
        "TASK",
        f"{', '.join(TASK_KEYS)} (default {DEFAULT_TASK}); or one of GLUE's, {', '.join(GLUE)}, for its columns, "
        "labels and metric",
    ),
    "--metric": ("metric", "NAME", "what chooses the best epoch: accuracy, f1, matthews_correlation, pearson, ..."),
    "--out": ("out", "RUN", "run directory to make"),
}
FINETUNE_FLAGS = {
    "--model": ("model.dir", "DIR", "pretrained model: a directory or a Hub id"),
    **DATA_FLAGS,
    **TRAIN_FLAGS,
}
DISTILL_FLAGS = {
    "--teacher": ("teacher.dir", "DIR", "fine-tuned teacher: a model or run directory, or a Hub id"),
    "--student": ("student", "PRESET|DIR", "student: a preset's size, or a directory to start from"),
    **DATA_FLAGS,
    **TRAIN_FLAGS,
}
ABLATE_FLAGS = {
    **{flag: value for flag, value in DISTILL_FLAGS.items() if flag != "--seed"},
    "--variants": ("variants", "NAME[,NAME]", "named changes, e.g. no_embedding,top; others stand in the config"),
    "--seeds": ("seeds", "N[,N]", "seeds that each variant is run with (default 1,2,3)"),
    "--out": ("out", "DIR", "directory of the tables and all runs"),
}
PRETRAIN_FLAGS = {
    "--model": ("model", "PRESET|DIR", "model: a preset's size, or a directory to go on from"),
    "--teacher": ("teacher.dir", "DIR", "a pretrained teacher: general distillation, without any label"),
    "--corpus": ("corpus.files", "F", "text: a sentence a line, empty lines between documents"),
    "--dev": ("corpus.dev", "F", "text that is only measured on"),
    "--tokenizer": ("tokenizer", "DIR", "tokenizer of a new model, such as `tinybert vocab` makes"),
    "--max-length": ("corpus.max_length", "TOKENS", "tokens of a row (default 128)"),
    **{flag: value for flag, value in TRAIN_FLAGS.items() if flag not in ("--task", "--metric")},
}
# Flags whose value is a list with commas.
LISTS = ("--variants", "--seeds")
# Flags without a value, which set the key of their name.
SWITCHES = {
    "baseline": "also train the same student on the labels alone",
    "allow_weak_teacher": "go on with a teacher that knows nothing",
    "head_only": "train the head alone, the encoder stays as it is",
}
# Flags of `augment` by the names of `Augmentation`'s fields.
AUGMENTATION_FLAGS: dict[str, tuple[type, str, str]] = {
    "variant": (str, "NAME", "what the masked LM sees: paper (default) or authors"),
    "copies": (int, "N", "copies of each text, of a pair of each side (default 20)"),
    "replace_probability": (float, "P", "fraction of the words that are replaced in a copy (default 0.4)"),
    "candidates": (int, "K", "words that one can be replaced by (default 15)"),
    "max_length": (int, "TOKENS", "tokens that the masked LM sees (default 128)"),
    "batch_size": (int, "N", "masked words that it sees at once (default 64)"),
    "seed": (int, "N", "seed of all choices (default 1)"),
}
Flags = dict[str, tuple[str, str, str]]


def with_config(parser: argparse.ArgumentParser, flags: Flags) -> None:
    """Give a verb a config file, flags for its keys, and `--set` for any."""
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="YAML file; flags and --set win over it")
    for flag, (_, metavar, help) in flags.items():
        parser.add_argument(flag, metavar=metavar, help=help, nargs="+" if flag == "--corpus" else None)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="any key, e.g. stages.0.epochs=5",
    )


def with_switches(parser: argparse.ArgumentParser, *names: str) -> None:
    """Give a verb flags of `SWITCHES`."""
    for name in names:
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=SWITCHES[name])


def with_augmentation(parser: argparse.ArgumentParser) -> None:
    """Give `augment` its flags."""
    parser.add_argument("--masked-lm", required=True, metavar="DIR", help="model with a masked-LM head, or a Hub id")
    parser.add_argument("--glove", metavar="F", help="word vectors, for the words that are not one token")
    parser.add_argument("--input", required=True, metavar="F", help="file of texts: .tsv, .csv or .jsonl")
    parser.add_argument("--text", required=True, metavar="COLUMN[,COLUMN]", help="column of the text, or two of a pair")
    parser.add_argument("--output", required=True, metavar="F", help="file to make")
    parser.add_argument("--precision", default="auto", metavar="P", help="auto, float32, bfloat16 or float16")
    for name, (kind, metavar, help) in AUGMENTATION_FLAGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=help)


def load(cls: Any, arguments: argparse.Namespace, flags: Flags) -> Any:
    """The config of the file, the flags and the `--set`s."""
    from tinybert_tf.config.load import MissingKeysError, load_config

    given: dict[str, Any] = {}
    for flag, (key, _, _) in flags.items():
        value = getattr(arguments, flag[2:].replace("-", "_"))
        if flag in LISTS and value is not None:
            value = [item.strip() for item in value.split(",")]
        if value is not None:
            given |= _preset_or_dir(flag, key, value) if key in ("student", "model") else {key: value}
    given |= {key: True for key in SWITCHES if getattr(arguments, key, False)}
    try:
        return load_config(cls, arguments.config, given, arguments.settings)
    except MissingKeysError as error:
        flag_of = {key: flag for flag, (key, _, _) in flags.items()}
        wanted = ", ".join(flag_of.get(key, key) for key in error.keys)
        raise InputError(f"{arguments.verb} needs {wanted} (or a config with {', '.join(error.keys)}).") from None


def _preset_or_dir(flag: str, key: str, value: str) -> dict[str, Any]:
    from tinybert_tf.models.config import PRESETS

    if value in PRESETS:
        return {f"{key}.preset": value, f"{key}.dir": None}
    if not os.path.isdir(value) and "/" not in value:
        raise InputError(f"{flag} {value!r} is neither a directory nor a preset; presets: {', '.join(PRESETS)}.")
    return {f"{key}.dir": value, f"{key}.preset": None}
