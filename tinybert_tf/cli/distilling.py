"""`distill` and the verbs that take the same config: `compress`, `cache-teacher`, `explain`, `ablate`."""

from __future__ import annotations

import argparse
from collections.abc import Set
from typing import Any

from tinybert_tf.cli.flags import ALLOW_WEAK_TEACHER, BASELINE, DISTILLATION, OVERWRITE, words
from tinybert_tf.cli.from_config import load
from tinybert_tf.cli.tensorflow import import_tensorflow
from tinybert_tf.cli.verb import Flag, Verb
from tinybert_tf.errors import InputError


def _distill(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.first_look import look_at_distillation
    from tinybert_tf.pipeline.runs.run import look_at_run

    config = load(DISTILL.flags, DISTILL.config, arguments)
    look_at_distillation(config)
    results = look_at_run(config, arguments.overwrite)
    if results is None:
        import_tensorflow()
        from tinybert_tf.pipeline.distill import run_distill

        results = run_distill(config, arguments.overwrite)
    _print_results(results, config)


def _compress(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.first_look import look_at_distillation

    config = load(COMPRESS.flags, COMPRESS.config, arguments)
    look_at_distillation(config)
    import_tensorflow()
    from tinybert_tf.pipeline.compress import run_compress

    _print_results(run_compress(config, arguments.overwrite), config)


def _print_results(metrics: Any, config: Any) -> None:
    from tinybert_tf.metrics import choose_metric
    from tinybert_tf.pipeline.runs.directory import RunDirectory
    from tinybert_tf.pipeline.runs.results import end_of_run

    print(end_of_run(metrics, RunDirectory(config.out), config.metric or choose_metric(config.task), "teacher"))


def _either(keys: Set[str]) -> Any:
    """The class of a compression's config if one of its step sections is given, else of a distillation's."""
    from tinybert_tf.config.compression import STEP_SECTIONS

    return (DISTILL if keys.isdisjoint(STEP_SECTIONS) else COMPRESS).config


def _cache_teacher(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.first_look import look_at_distillation

    config = load(CACHE_TEACHER.flags, _either, arguments)
    look_at_distillation(config)
    import_tensorflow()
    from tinybert_tf.pipeline.cache_teacher import run_cache_teacher
    from tinybert_tf.pipeline.parts.distillation import prepare
    from tinybert_tf.pipeline.runs.log_lines import held_back

    with held_back():
        work = prepare(config)
    print(run_cache_teacher(work))


def _explain(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.first_look import look_at_distillation

    config = load(EXPLAIN.flags, _either, arguments)
    look_at_distillation(config)
    import_tensorflow()
    from tinybert_tf.pipeline.explain import explain_distill

    print(explain_distill(config))


def _ablate(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.first_look import look_at_distillation

    config = load(ABLATE.flags, ABLATE.config, arguments)
    look_at_distillation(config)
    import_tensorflow()
    from tinybert_tf.pipeline.ablate import run_ablate
    from tinybert_tf.pipeline.ablation.markdown import markdown

    results = run_ablate(config, plot=not arguments.no_plot, overwrite=arguments.overwrite)
    print(markdown(results))
    if results.failures:
        first = results.failures[0]
        raise InputError(
            f"{len(results.failures)} of {results.num_runs} runs failed, the first {first.variant}, seed {first.seed}: "
            f"{first.error}"
        )


DISTILL = Verb(
    "distill",
    "train a small student on a fine-tuned teacher",
    (*DISTILLATION, BASELINE, ALLOW_WEAK_TEACHER, OVERWRITE),
    _distill,
    "schema.DistillConfig",
)
COMPRESS = Verb(
    "compress",
    "make a distilled student smaller: prune, quantize or cluster it while it is distilled",
    (*DISTILLATION, ALLOW_WEAK_TEACHER, OVERWRITE),
    _compress,
    "compression.CompressConfig",
)
CACHE_TEACHER = Verb(
    "cache-teacher",
    "compute what a distillation reads of its teacher, and keep it on disk",
    (*DISTILLATION, BASELINE, ALLOW_WEAK_TEACHER),
    _cache_teacher,
    "schema.DistillConfig",
)
EXPLAIN = Verb(
    "explain",
    "show what `distill` or `compress` would do: config, sizes, layer maps, steps",
    (*DISTILLATION, BASELINE, ALLOW_WEAK_TEACHER),
    _explain,
    "schema.DistillConfig",
)
ABLATE = Verb(
    "ablate",
    "run a distillation and variants of it over several seeds, and print a table of means and spreads",
    (
        *(flag for flag in DISTILLATION if flag.name not in ("--seed", "--out")),
        Flag("--variants", "NAME[,NAME]", "named changes, such as no_embedding,top; a config can have others",
             key="variants", type=words, otherwise="those of the config"),
        Flag("--seeds", "N[,N]", "seeds that each variant is run with", key="seeds", type=words),
        Flag("--out", "DIR", "directory of the tables and of all runs", key="out"),
        BASELINE,
        ALLOW_WEAK_TEACHER,
        OVERWRITE,
        Flag("--no-plot", None, "draw no plot; a plot needs matplotlib"),
    ),
    _ablate,
    "ablation.AblationConfig",
)  # fmt: skip
