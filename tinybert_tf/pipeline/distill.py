"""`tinybert distill`: trains a student of a fine-tuned teacher on a file of texts."""

from __future__ import annotations

import logging
from typing import Any

from tinybert_tf.checkpoints.formats import resolve_model
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.pipeline.parts.distillation import prepare
from tinybert_tf.pipeline.parts.kept_features import cache_teacher
from tinybert_tf.pipeline.parts.training import check_teacher, give_first_weights, train_stages
from tinybert_tf.pipeline.runs.log_lines import held_back
from tinybert_tf.pipeline.runs.measure import measure, measure_models
from tinybert_tf.pipeline.runs.progress import RunProgress
from tinybert_tf.pipeline.runs.run import Run

logger = logging.getLogger(__name__)


def run_distill(config: DistillConfig, overwrite: bool = False) -> dict[str, Any]:
    """Distil a student through the config's stages; save the last stage's best dev epoch under `student/`.

    An interrupted run goes on after its last epoch; a complete one is not trained again, unless with `overwrite`. Then
    its models stay until the new ones are complete.

    With `baseline`, a student with the same first weights is then trained on the labels alone, through the same stages:
    same files, same order, as many steps as the student took, same learning rates. Its best epoch is saved under
    `baseline/`.

    Returns:
        The content of `metrics.json`: `{"teacher": {...}, "student": {...}, "baseline": {...}, "comparisons": {...},
        "data": {...}}`, as `measure_models` makes it; `data` counts the rows of each file.

    Raises:
        InputError: the config, a file or the teacher is wrong, or has changed since the run began. Then nothing is
            written.
    """
    with Run(config, overwrite) as run:
        return run.results() or _distill(run.config, run)


def _distill(config: DistillConfig, run: Run) -> dict[str, Any]:
    with held_back():
        work = prepare(config, run)
        progress = RunProgress(run)
    check_teacher(work)
    work = give_first_weights(work)
    config = work.config
    progress.kept = [variable for distiller in work.distillers for variable in distiller.projections.variables]
    initial = [variable.numpy() for variable in work.student.weights]
    before = {
        name: measure(work.student, work.splits[name], config.task) for name in ("dev", "test") if name in work.splits
    }
    progress.turn_to("student")
    cached = cache_teacher(work)
    progress.begin()
    last = len(work.stages) - 1
    steps = train_stages(work, work.distillers, "student", keep_from=last, cached=cached, progress=progress)
    seconds = {"student": progress.seconds()}
    models = {"teacher": work.teachers, "student": work.student}
    directories = {
        "teacher": [resolve_model(directory) for directory in config.teacher.dirs],
        "student": [run.path / "student"],
    }
    if config.baseline:
        progress.turn_to("baseline")
        logger.info("baseline: the same student, from the same first weights, learns from the labels alone")
        with work.devices.scope():
            baseline = work.student.copy(name="baseline")
        for variable, value in zip(baseline.weights, initial, strict=True):
            variable.assign(value)
        models_alone = [baseline] * len(work.stages)
        train_stages(
            work, models_alone, "baseline", keep_from=0, last_steps=steps, label="baseline-", progress=progress
        )
        models["baseline"] = baseline
        directories["baseline"] = [run.path / "baseline"]
        seconds["baseline"] = progress.seconds()
    results: dict[str, Any] = measure_models(models, directories, work.splits, config.task, work.run)
    for name, value in seconds.items():
        results[name]["seconds"] = round(value, 1)
    results["student"] |= {"steps": sum(steps), "before_training": before}
    results["data"] = work.summary()
    run.finish(results)
    return results
