"""`tinybert compress`: makes a distilled student smaller while it is distilled again."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import keras

from tinybert_tf.checkpoints.formats import resolve_model
from tinybert_tf.config.compression import STEP_SECTIONS, CompressConfig, ExportSection
from tinybert_tf.evaluation.cost import count_nonzero, gzipped_size
from tinybert_tf.export.formats import find_format
from tinybert_tf.pipeline.compressing.steps import Step, steps_of
from tinybert_tf.pipeline.export import (
    ExportOptions,
    check_options,
    chosen_lengths,
    chosen_quantization,
    run_export,
)
from tinybert_tf.pipeline.parts.distillation import Distillation, prepare
from tinybert_tf.pipeline.parts.kept_features import cache_teacher
from tinybert_tf.pipeline.parts.student import resolved_init
from tinybert_tf.pipeline.parts.training import check_teacher, give_first_weights, train_stages
from tinybert_tf.pipeline.runs.log_lines import held_back
from tinybert_tf.pipeline.runs.measure import measure_models
from tinybert_tf.pipeline.runs.run import Run


def run_compress(config: CompressConfig, overwrite: bool = False) -> dict[str, Any]:
    """Make a student smaller by the config's steps; save the last step's best dev epoch under `student/`.

    Each step distils the student through all stages. An epoch can be the best one only if the student is completely
    compressed by then. At the end the config's export is written under `export/`; a quantized student always gets a
    LiteRT file there. An interrupted run begins again; a complete one is not trained again, unless with `overwrite`.
    Then its student stays until the new one is complete.

    Returns:
        The content of `metrics.json`: `{"teacher": {...}, "original": {...}, "student": {...}, "comparisons": {...},
        "data": {...}}`, where the original is the student that the config names. Each model also has
        `nonzero_parameters` and `gzip_bytes`, and the student the `sparsity` of each pruned kernel, a fraction.

    Raises:
        InputError: the config, a file or the teacher is wrong, or has changed since the run began. Then nothing is
            written.
        VerificationError: the exported file does not answer as the student; then the student is kept, the file is not.
    """
    with Run(config, overwrite) as run:
        results = run.results() or _compress(run.config, run)
        export = _export_options(config, run)
        if export is not None and not Path(export.out).exists():
            print(run_export(export), file=sys.stderr)
    return results


def _compress(config: CompressConfig, run: Run) -> dict[str, Any]:
    with held_back():
        work = prepare(config, run)
        steps = _steps(config, work)
        _check_export(_export_options(config, run), work)
    check_teacher(work)
    models = {"teacher": work.teachers}
    directories = {
        "teacher": [resolve_model(directory) for directory in config.teacher.dirs],
        "student": [run.path / "student"],
    }
    init = resolved_init(config.student, work.student.config, work.teacher.config)
    if init == "dir":
        models["original"] = work.student.copy()
        directories["original"] = [resolve_model(str(config.student.dir))]
    chosen = give_first_weights(work)
    if chosen is not work:
        work, steps = chosen, _steps(config, chosen)
    cached = cache_teacher(work) if any(step.is_trained for step in steps) else {}
    run.begin()
    begin = time.monotonic()
    callbacks: list[keras.callbacks.Callback] = []
    facts: dict[str, Any] = {}
    for step in steps:
        work = step.start(work)
        callbacks += step.callbacks()
        if step.is_trained:
            train_stages(
                work,
                work.distillers,
                "student",
                keep_from=len(work.stages) - 1,
                cached=cached,
                label=f"{step.name}-",
                callbacks=callbacks,
                counts=step.counts,
            )
    for step in steps:
        facts |= step.facts()
    seconds = round(time.monotonic() - begin, 1)
    models["student"] = work.student
    results: dict[str, Any] = measure_models(models, directories, work.splits, config.task, work.run)
    for name, model in models.items():
        results[name]["nonzero_parameters"] = count_nonzero(model)
        results[name]["gzip_bytes"] = gzipped_size(model)
    results["student"] |= {"seconds": seconds, **facts}
    results["data"] = work.summary()
    run.finish(results)
    return results


def _steps(config: CompressConfig, work: Distillation) -> list[Step]:
    """Make all steps; each is checked on the student that the steps before it leave."""
    steps: list[Step] = []
    for name in STEP_SECTIONS:
        of_section = steps_of(name, getattr(config, name), work)
        work = of_section[-1].leaves(work) if of_section else work
        steps += of_section
    return steps


def _export_options(config: CompressConfig, run: Run) -> ExportOptions | None:
    """Return the options of the export at the end; None if nothing is exported."""
    section = config.export or (ExportSection() if config.quantization is not None else None)
    if section is None:
        return None
    data = config.data
    is_calibrated = section.quantize in find_format(section.format).calibrated
    return ExportOptions(
        str(run.out),
        section.format,
        str(run.out / "export"),
        section.quantize,
        section.lengths,
        text=None if data.text is None else ",".join(data.text),
        calibrate=data.train if is_calibrated else None,
        min_agreement=section.min_agreement,
    )


def _check_export(options: ExportOptions | None, work: Distillation) -> None:
    """Refuse an export that would fail later, before anything is trained."""
    if options is None:
        return
    check_options(options, work.run.path / "export")
    chosen_quantization(options, work.student)
    if options.lengths is not None:
        chosen_lengths(options.lengths, {}, work.student.config.max_tokens, "the student")
