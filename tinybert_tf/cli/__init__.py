"""The command line: verbs, flags, exit statuses. Progress goes to stderr, results to stdout."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tinybert_tf.cli.deployment import export_options, serving_options, with_export, with_serving
from tinybert_tf.cli.flags import (
    ABLATE_FLAGS,
    AUGMENTATION_FLAGS,
    DISTILL_FLAGS,
    FINETUNE_FLAGS,
    PRETRAIN_FLAGS,
    load,
    with_augmentation,
    with_config,
    with_switches,
)
from tinybert_tf.cli.parser import OneLineParser, parse_arguments
from tinybert_tf.errors import InputError, VerificationError
from tinybert_tf.export.quiet import quiet
from tinybert_tf.pipeline.runs.log_lines import held_back, on_stderr


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status is 0, 2 where what the user gave is wrong, 1 for an export not kept."""
    arguments = parse_arguments(_parser(), argv)
    try:
        with on_stderr():
            arguments.run(arguments)
    except InputError as error:
        # One line, also where a file's or a library's own words are in it.
        print("tinybert:", *str(error).splitlines(), file=sys.stderr)
        return 2
    except VerificationError as error:
        print("tinybert:", error, file=sys.stderr)
        return 1
    return 0


def command_line() -> int:
    """`main` as a shell has it: Ctrl-C ends it with a line."""
    try:
        return main()
    except KeyboardInterrupt:
        print("tinybert: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="tinybert", description="Make a BERT small: distil it into a student.", allow_abbrev=False
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, run: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=help, description=help, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    quickstart = verb("quickstart", _quickstart, "offline, from nothing to a distilled student, in minutes")
    quickstart.add_argument("--out", default="quickstart", metavar="DIR", help="directory to make (default quickstart)")
    quickstart.add_argument("--seed", type=int, default=1, metavar="N", help="seed of everything (default 1)")

    with_config(verb("finetune", _finetune, "train a pretrained model on labelled texts"), FINETUNE_FLAGS)
    distill = verb("distill", _distill, "train a small student on a fine-tuned teacher")
    with_config(distill, DISTILL_FLAGS)
    with_switches(distill, "baseline", "allow_weak_teacher")
    compress = verb("compress", _compress, "make a distilled student smaller: prune it while it is distilled")
    with_config(compress, DISTILL_FLAGS)
    with_switches(compress, "allow_weak_teacher")
    cache = verb("cache-teacher", _cache_teacher, "compute what is wanted of the teacher, and keep it on disk")
    with_config(cache, DISTILL_FLAGS)
    with_switches(cache, "baseline", "allow_weak_teacher")
    explain = verb("explain", _explain, "what `distill` or `compress` would do: config, sizes, layer maps, steps")
    with_config(explain, DISTILL_FLAGS)
    with_switches(explain, "baseline", "allow_weak_teacher")

    ablate = verb("ablate", _ablate, "a distillation and variants of it, over seeds: a table of means and spreads")
    with_config(ablate, ABLATE_FLAGS)
    with_switches(ablate, "baseline", "allow_weak_teacher")
    ablate.add_argument("--no-plot", action="store_true", help="without a plot, which wants matplotlib")

    pretrain = verb("pretrain", _pretrain, "learn from raw text: masked-LM, or from a teacher")
    with_config(pretrain, PRETRAIN_FLAGS)
    with_switches(pretrain, "head_only")

    evaluate = verb("evaluate", _evaluate, "a model's metrics on a file of labelled texts, as JSON")
    evaluate.add_argument("model", metavar="MODEL", help="model or run directory, or a Hub id")
    evaluate.add_argument("--data", required=True, metavar="F", help="file of labelled texts")
    evaluate.add_argument("--text", metavar="COLUMN[,COLUMN]", help="column of the text, or two, where it has columns")
    evaluate.add_argument("--label", metavar="COLUMN", help="column of the label, likewise")
    evaluate.add_argument("--max-length", type=int, metavar="TOKENS", help="tokens a text is cut at (default 128)")
    evaluate.add_argument("--task", metavar="TASK", help="the task, or one of GLUE's (default: the model's)")

    predict = verb("predict", _predict, "labels and scores of texts, one JSON object a line")
    predict.add_argument("model", metavar="MODEL", help="model or run directory, an export, or a Hub id")
    predict.add_argument("texts", nargs="*", metavar="TEXT", help="texts; without any, one a line from stdin")
    predict.add_argument(
        "--max-length", type=int, metavar="TOKENS", help="tokens a text is cut at (default: as many as the model takes)"
    )
    predict.add_argument("--pairs", action="store_true", help="every text is a pair, with a tab between the two")

    export = verb("export", _export, "a model as a file for phones and servers, verified, with what it costs")
    with_export(export)

    serve = verb("serve", _serve, "a model's answers over HTTP")
    with_serving(serve)

    augment = verb("augment", _augment, "texts again with words replaced by a masked LM's, for the teacher to label")
    with_augmentation(augment)

    vocab = verb("vocab", _vocab, "a WordPiece vocabulary for the language or domain of a corpus")
    vocab.add_argument(
        "--corpus", required=True, nargs="+", metavar="F", help="text: a sentence a line, empty lines between documents"
    )
    vocab.add_argument("--size", required=True, type=int, metavar="N", help="tokens at most, special ones included")
    vocab.add_argument("--out", required=True, metavar="DIR", help="tokenizer directory to make")
    vocab.add_argument("--cased", action="store_true", help="keep case and accents (default: lowercase, without)")
    vocab.add_argument(
        "--min-frequency", type=int, default=2, metavar="N", help="how often pieces occur to be joined (default 2)"
    )
    vocab.add_argument(
        "--character-coverage", type=float, default=0.9995, metavar="F",
        help="fraction of the corpus's characters that is kept; the rarest become [UNK] (default 0.9995)",
    )  # fmt: skip
    return parser


def _quickstart(arguments: argparse.Namespace) -> None:
    _import_tensorflow()
    from tinybert_tf.pipeline.quickstart import run_quickstart

    print(run_quickstart(arguments.out, arguments.seed))


def _finetune(arguments: argparse.Namespace) -> None:
    from tinybert_tf.config.schema import FinetuneConfig

    config = load(FinetuneConfig, arguments, FINETUNE_FLAGS)
    _import_tensorflow()
    from tinybert_tf.metrics import choose_metric
    from tinybert_tf.pipeline.finetune import run_finetune
    from tinybert_tf.pipeline.runs.results import results_table

    print(results_table(run_finetune(config), config.metric or choose_metric(config.task), reference="model"))


def _distill(arguments: argparse.Namespace) -> None:
    from tinybert_tf.config.schema import DistillConfig

    config = load(DistillConfig, arguments, DISTILL_FLAGS)
    _import_tensorflow()
    from tinybert_tf.metrics import choose_metric
    from tinybert_tf.pipeline.distill import run_distill
    from tinybert_tf.pipeline.runs.results import results_table

    print(results_table(run_distill(config), config.metric or choose_metric(config.task), reference="teacher"))


def _compress(arguments: argparse.Namespace) -> None:
    from tinybert_tf.config.compression import CompressConfig

    config = load(CompressConfig, arguments, DISTILL_FLAGS)
    _import_tensorflow()
    from tinybert_tf.metrics import choose_metric
    from tinybert_tf.pipeline.compress import run_compress
    from tinybert_tf.pipeline.runs.results import results_table

    print(results_table(run_compress(config), config.metric or choose_metric(config.task), reference="teacher"))


def _distillation(arguments: argparse.Namespace) -> Any:
    """The config of a distillation, or of a compression where a section of one is given."""
    from tinybert_tf.config.compression import STEP_SECTIONS, CompressConfig
    from tinybert_tf.config.schema import DistillConfig

    return load(
        lambda keys: DistillConfig if keys.isdisjoint(STEP_SECTIONS) else CompressConfig, arguments, DISTILL_FLAGS
    )


def _cache_teacher(arguments: argparse.Namespace) -> None:
    config = _distillation(arguments)
    _import_tensorflow()
    from tinybert_tf.pipeline.cache_teacher import run_cache_teacher
    from tinybert_tf.pipeline.parts.distillation import prepare

    with held_back():
        work = prepare(config)
    print(run_cache_teacher(work))


def _explain(arguments: argparse.Namespace) -> None:
    config = _distillation(arguments)
    _import_tensorflow()
    from tinybert_tf.pipeline.explain import explain_distill

    print(explain_distill(config))


def _ablate(arguments: argparse.Namespace) -> None:
    from tinybert_tf.config.ablation import AblationConfig

    config = load(AblationConfig, arguments, ABLATE_FLAGS)
    _import_tensorflow()
    from tinybert_tf.pipeline.ablate import run_ablate
    from tinybert_tf.pipeline.ablation.results import markdown

    results = run_ablate(config, plot=not arguments.no_plot)
    print(markdown(results))
    if results.failures:
        first = results.failures[0]
        raise InputError(
            f"{len(results.failures)} of {results.num_runs} runs failed, the first {first.variant}, seed {first.seed}: "
            f"{first.error}"
        )


def _pretrain(arguments: argparse.Namespace) -> None:
    from tinybert_tf.config.pretraining import PretrainConfig

    config = load(PretrainConfig, arguments, PRETRAIN_FLAGS)
    _import_tensorflow()
    from tinybert_tf.pipeline.pretrain import run_pretrain, summary

    print(summary(config, run_pretrain(config)))


def _evaluate(arguments: argparse.Namespace) -> None:
    from tinybert_tf.config.glue import with_glue

    data = {"train": arguments.data, "text": arguments.text, "label": arguments.label}
    given = with_glue({"task": arguments.task, "data": data})
    file, columns = given["data"].pop("train"), given["data"]
    _import_tensorflow()
    from tinybert_tf.pipeline.evaluate import run_evaluate

    metrics = run_evaluate(arguments.model, file, max_length=arguments.max_length, task=given["task"], **columns)
    print(json.dumps(metrics))


def _predict(arguments: argparse.Namespace) -> None:
    from tinybert_tf.export.predictor import Predictor

    _import_what_runs(arguments.model)
    with held_back():
        predictor = Predictor(arguments.model, max_length=arguments.max_length)
    texts = arguments.texts or _lines_of_stdin()
    for answer in predictor([tuple(text.split("\t")) for text in texts] if arguments.pairs else texts):
        print(json.dumps(answer, ensure_ascii=False))


def _export(arguments: argparse.Namespace) -> None:
    _import_tensorflow()
    from tinybert_tf.pipeline.export import ExportOptions, run_export

    print(run_export(ExportOptions(**export_options(arguments))))


def _serve(arguments: argparse.Namespace) -> None:
    _import_what_runs(arguments.model)
    from tinybert_tf.pipeline.serve import run_serve

    run_serve(arguments.model, **serving_options(arguments))


def _augment(arguments: argparse.Namespace) -> None:
    _import_tensorflow()
    from tinybert_tf.data.augmentation.augmentation import Augmentation
    from tinybert_tf.pipeline.augment import run_augment

    settings = Augmentation(
        **{key: value for key in AUGMENTATION_FLAGS if (value := getattr(arguments, key)) is not None}
    )
    files = arguments.masked_lm, arguments.input, arguments.text, arguments.output, arguments.glove
    print(run_augment(*files, settings=settings, precision=arguments.precision))


def _vocab(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.vocab import run_vocab

    learning = arguments.min_frequency, arguments.character_coverage
    print(run_vocab(arguments.corpus, arguments.size, arguments.out, not arguments.cased, *learning))


def _import_what_runs(model: str) -> None:
    """Import TensorFlow, unless the model is an export that is run without it."""
    from tinybert_tf.export.predictor import needs_tensorflow

    if needs_tensorflow(model):
        _import_tensorflow()


def _lines_of_stdin() -> list[str]:
    try:
        return [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise InputError(
            f"stdin: byte 0x{error.object[error.start]:02x} is not UTF-8; UTF-8 text is accepted."
        ) from None


def _import_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ core writes to stderr while it loads.

    Those lines ignore TF_CPP_MIN_LOG_LEVEL; they are shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # at 2, a machine without a GPU is an error
    with quiet():
        import tensorflow as tf
    # Every model has a `predict` of its own; TensorFlow counts them as one that is traced again and again, and warns.
    tf.get_logger().setLevel("ERROR")
