"""`predict` and `evaluate`: what a model answers, and how well."""

from __future__ import annotations

import argparse
import json
import sys

from tinybert_tf.cli.flags import LABEL, MAX_LENGTH, MODEL, POSITIVE, TASK, TEXT
from tinybert_tf.cli.tensorflow import import_what_runs
from tinybert_tf.cli.verb import Flag, Verb
from tinybert_tf.errors import InputError
from tinybert_tf.pipeline.first_look import look_at_file
from tinybert_tf.pipeline.runs.settings import Reading


def _evaluate(arguments: argparse.Namespace) -> None:
    from tinybert_tf.config.glue import with_glue

    columns = {"text": arguments.text, "label": arguments.label, "positive": arguments.positive}
    data = {"train": arguments.data, **columns}
    given = with_glue({"task": arguments.task, "data": data})
    file, columns = given["data"].pop("train"), given["data"]
    reading = Reading(given["task"], **columns).completed_by_run(arguments.model)
    look_at_file(file, reading.text, reading.label, reading.task)
    import_what_runs(arguments.model)
    from tinybert_tf.pipeline.evaluate import run_evaluate

    metrics = run_evaluate(arguments.model, file, max_length=arguments.max_length, task=given["task"], **columns)
    print(json.dumps(metrics))


def _predict(arguments: argparse.Namespace) -> None:
    from tinybert_tf.export.predictor import Predictor
    from tinybert_tf.pipeline.runs.log_lines import held_back

    import_what_runs(arguments.model)
    with held_back():
        predictor = Predictor(arguments.model, max_length=arguments.max_length)
    texts = arguments.texts or _lines_of_stdin()
    for answer in predictor([tuple(text.split("\t")) for text in texts] if arguments.pairs else texts):
        print(json.dumps(answer, ensure_ascii=False))


def _lines_of_stdin() -> list[str]:
    try:
        return [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise InputError(
            f"stdin: byte 0x{error.object[error.start]:02x} is not UTF-8; UTF-8 text is accepted."
        ) from None


EVALUATE = Verb(
    "evaluate",
    "print a model's metrics on a file of labelled texts, as JSON",
    (
        MODEL,
        Flag("--data", "F", "file of labelled texts", required=True),
        TEXT.but(otherwise="the run's"),
        LABEL.but(otherwise="the run's"),
        POSITIVE,
        MAX_LENGTH.but(otherwise="128, or the model's limit where that is lower"),
        TASK.but(otherwise="the run's, or the model's"),
    ),
    _evaluate,
)
PREDICT = Verb(
    "predict",
    "print a label and scores for each text, one JSON object a line",
    (
        MODEL,
        Flag("texts", "TEXT", "texts", otherwise="one a line from stdin", nargs="*"),
        MAX_LENGTH.but(otherwise="the model's limit"),
        Flag("--pairs", None, "each text is a pair, with a tab between its two parts"),
    ),
    _predict,
)
