"""`predict` and `evaluate`: a model's answers, and their quality."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from tinybert_tf.cli.flags import LABEL, MAX_LENGTH, MODEL, POSITIVE, TASK, TEXT, integer
from tinybert_tf.cli.streams import lines_of_stdin, print_json
from tinybert_tf.cli.tensorflow import import_what_runs
from tinybert_tf.cli.verb import Flag, Verb
from tinybert_tf.errors import InputError


def _evaluate(arguments: argparse.Namespace) -> None:
    from tinybert_tf.config.glue import with_glue
    from tinybert_tf.pipeline.first_look import look_at_file
    from tinybert_tf.pipeline.runs.settings import Reading

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
    from tinybert_tf.checkpoints.replace_file import replace_file
    from tinybert_tf.export.predictor import Predictor
    from tinybert_tf.pipeline.predict import answer_all, answer_given
    from tinybert_tf.pipeline.runs.log_lines import held_back

    _check_sources(arguments)
    batches = _batches(arguments)
    import_what_runs(arguments.model)
    with held_back():
        predictor = Predictor(arguments.model, max_length=arguments.max_length)
    answers = (answer_given if arguments.texts else answer_all)(predictor, batches, arguments.top_k)
    if arguments.output is None:
        _write(answers, sys.stdout)
    else:
        replace_file(Path(arguments.output), lambda path: _write_file(answers, path))


def _check_sources(arguments: argparse.Namespace) -> None:
    """Refuse flags that do not go together, and an output that cannot be made, before a model is loaded."""
    from tinybert_tf.pipeline.runs.directory import check_can_be_made

    if arguments.input is None and arguments.text is not None:
        raise InputError(f"--text {arguments.text}: expected --input F, the file that has this column")
    if arguments.input is not None:
        if arguments.text is None:
            raise InputError(f"--input {arguments.input}: expected --text COLUMN[,COLUMN] beside it")
        if arguments.texts or arguments.pairs:
            given = "--pairs" if arguments.pairs else "texts"
            raise InputError(f"--input {arguments.input}: expected no {given} beside it; --text has the columns")
    if arguments.output is not None:
        output = Path(arguments.output)
        if output.exists():
            raise InputError(f"--output {output}: expected a new file, got one that is there")
        check_can_be_made(output.parent)


def _batches(arguments: argparse.Namespace) -> Iterable[Sequence[Any]]:
    """The texts in batches: those given, those of a file, or the lines of stdin as they arrive."""
    from tinybert_tf.pipeline.predict import BATCH, texts_of_file

    if arguments.input is not None:
        return texts_of_file(arguments.input, arguments.text)
    batches = [arguments.texts] if arguments.texts else lines_of_stdin(BATCH)
    return (_pairs(texts) for texts in batches) if arguments.pairs else batches


def _pairs(texts: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(text.split("\t")) for text in texts]


def _write(answers: Iterable[list[Any]], file: TextIO) -> None:
    for some in answers:
        print_json(some, file)


def _write_file(answers: Iterable[list[Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        _write(answers, file)


EVALUATE = Verb(
    "evaluate",
    "print a model's metrics on a file of labelled texts, and their standard errors, as JSON",
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
        Flag("texts", "TEXT", "texts", otherwise="those of --input, or one a line from stdin", nargs="*"),
        Flag("--input", "F", "file of texts: .tsv, .csv or .jsonl", otherwise="none"),
        TEXT.but(otherwise="none"),
        Flag("--output", "F", "file to make", otherwise="stdout"),
        Flag("--top-k", "N", "highest scores to print of each answer, the highest first", type=integer(1),
             otherwise="all, in the model's order"),
        MAX_LENGTH.but(otherwise="the model's limit"),
        Flag("--pairs", None, "each text is a pair, with a tab between its two parts"),
    ),
    _predict,
)  # fmt: skip
