"""`export` and `serve`: make a file of a model for phones and servers, or serve it over HTTP."""

from __future__ import annotations

import argparse

from tinybert_tf.cli.flags import BATCH_SIZE, LABEL, MAX_LENGTH, MODEL, TEXT, integer, integers, number
from tinybert_tf.cli.tensorflow import import_tensorflow, import_what_runs
from tinybert_tf.cli.verb import Flag, Verb

# Written out so that `--help` imports no exporter. A test compares them with `FORMATS`.
FORMAT_NAMES = "litert, saved_model, onnx, hf"
SCHEME_NAMES = "dynamic_int8, dynamic_int4, weight_int8, weight_int4, full_int8, float16"


def _export(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.first_look import look_at_file, look_at_model

    look_at_model(arguments.model)
    look_at_file(arguments.verify, arguments.text, arguments.label)
    look_at_file(arguments.calibrate, arguments.text)
    import_tensorflow()
    from tinybert_tf.pipeline.export import ExportOptions, run_export

    print(run_export(ExportOptions(**{flag.attribute: getattr(arguments, flag.attribute) for flag in EXPORT.flags})))


def _serve(arguments: argparse.Namespace) -> None:
    import_what_runs(arguments.model)
    from tinybert_tf.pipeline.serve import run_serve

    run_serve(**{flag.attribute: getattr(arguments, flag.attribute) for flag in SERVE.flags})


EXPORT = Verb(
    "export",
    "write a model as a file for phones and servers, verify it, and measure what it costs",
    (
        MODEL.but(help="model directory, run directory or Hub id"),
        Flag("--format", "NAME", FORMAT_NAMES, required=True),
        Flag("--quantize", "SCHEME", SCHEME_NAMES, otherwise="none, float32"),
        Flag("--lengths", "N[,N]", "numbers of tokens that texts are padded to", type=integers,
             otherwise="the length of the run's training, or 128"),
        Flag("--verify", "F", "labelled file to verify on",
             otherwise="the run's dev file, or texts of random words"),
        TEXT,
        LABEL,
        Flag("--calibrate", "F", "file of texts to measure ranges on; full_int8 needs it", otherwise="none"),
        Flag("--teacher", "DIR", "model to measure beside it", otherwise="the run's teacher, if any"),
        Flag("--min-agreement", "X", "least fraction of answers that the export must share with the model",
             default=0.95, type=number),
        Flag("--out", "DIR", "directory to make", required=True),
    ),
    _export,
)  # fmt: skip
SERVE = Verb(
    "serve",
    "serve a model's answers over HTTP",
    (
        MODEL,
        Flag("--host", "NAME", "address to listen at", default="127.0.0.1"),
        Flag("--port", "N", "port to listen at; 0 takes any free one", default=8000, type=integer()),
        BATCH_SIZE,
        MAX_LENGTH.but(otherwise="the model's limit"),
    ),
    _serve,
)
