"""The training of a distillation: measuring the teacher, giving first weights, training stage after stage."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras

from tinybert_tf.distillation.cache.teacher_features import TeacherFeatures
from tinybert_tf.errors import InputError
from tinybert_tf.metrics import TASK_METRICS, constant_score, format_metric
from tinybert_tf.pipeline.parts.default_student import choose_student
from tinybert_tf.pipeline.parts.distillation import Distillation
from tinybert_tf.pipeline.parts.projections import carry_projections, fit_projections, start_projections
from tinybert_tf.pipeline.parts.splits import WITH_UNLABELLED, train_split
from tinybert_tf.pipeline.parts.stages import (
    map_of_first_weights,
    steps_taken,
    train_stage,
)
from tinybert_tf.pipeline.parts.student import (
    cut_from_teacher,
    resolved_init,
)
from tinybert_tf.pipeline.runs.callbacks import BestEpoch, MeasureDev, stage_callbacks
from tinybert_tf.pipeline.runs.progress import RunProgress

logger = logging.getLogger(__name__)


def check_teacher(work: Distillation) -> None:
    """Measure the teacher before a student learns from it.

    Raises:
        InputError: on dev it is no better than one answer for every text, and `allow_weak_teacher` is not set.
    """
    task, metric, teacher = work.config.task, work.metric, ", ".join(work.config.teacher.dirs)
    value = work.measure_dev(work.teachers)[metric]
    dev = work.splits["dev"]
    guess = constant_score(task, metric, dev.expected, len(dev.classes), dev.classes)
    shown, guessed = format_metric(metric, value), f"{TASK_METRICS[task].constant}: {format_metric(metric, guess)}"
    logger.info(f"teacher: dev {metric} {shown} ({guessed})")
    if value <= guess and not work.config.allow_weak_teacher:
        raise InputError(
            f"teacher {teacher}: dev {metric} {shown} is no better than a guess ({guessed}); fine-tune it with "
            f"`tinybert finetune`, or go on with --allow-weak-teacher."
        )


def give_first_weights(work: Distillation) -> Distillation:
    """Cut the student from its teacher on texts of the training file, if its `init` is `cut`; start the projections.

    The projections of a cut student start from its basis; those of a student from a directory are fitted on texts. If
    the config says nothing about the size, the distillation that is returned has another student; see `choose_student`.
    """
    if work.config.student.is_open:
        work, cut = choose_student(work)
        start_projections(work.distillers, cut)
        return work
    section, student = work.config.student.cut, work.student
    init = resolved_init(work.config.student, student.config, work.teacher.config)
    if init not in ("cut", "dir"):
        return work
    batches = work.splits["train"].sample(section.num_texts, section.max_tokens, work.config.train.seed)
    if init == "cut":
        cut = cut_from_teacher(student, work.teacher, map_of_first_weights(work.stages), batches, section)
        start_projections(work.distillers, cut)
    else:
        fit_projections(work.distillers, batches, section.ridge)
    return work


def train_stages(
    work: Distillation,
    models: Sequence[Any],
    directory: str,
    keep_from: int,
    last_steps: Sequence[int] | None = None,
    cached: Mapping[tuple[int, str], TeacherFeatures] = MappingProxyType({}),
    label: str = "",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    counts: Callable[[], bool] = lambda: True,
    progress: RunProgress | None = None,
) -> list[int]:
    """Train a student through all stages; it ends with the weights of its best dev epoch from stage `keep_from` on.

    Args:
        work: the stages, with all that they need.
        models: the model of each stage to call `fit` on: Distillers of one student, or a student that learns alone.
        directory: the directory of the best epoch, in the run directory.
        keep_from: the first stage whose epochs can be the best.
        last_steps: the steps of each stage, if they are not its own.
        cached: the teacher's features, by stage number and data set.
        label: the prefix of the stages' names in the log.
        callbacks: more callbacks for every stage.
        counts: whether an epoch that ends may be the best one.
        progress: the run's progress; finished stages and epochs are not repeated.

    Returns:
        The steps that each stage took: `last_steps` if they are given.
    """
    student = getattr(models[0], "student", models[0])
    best = BestEpoch(student, work.measure_dev, work.metric, work.run.path / directory, work.tokenizer, counts)
    if progress is not None:
        progress.follow(best)
    epoch, taken = 0, []
    for number, (stage, section, model) in enumerate(zip(work.stages, work.config.stages, models, strict=True)):
        values = section.resolved(work.config.train)
        of = train_split(section, stage, work.config.data)
        train = work.splits[of].training_batches(values, cached.get((number, of)))
        if model is student and of == WITH_UNLABELLED:  # labels alone teach it, in as many steps
            stage = dataclasses.replace(stage, epochs=None, max_steps=stage.total_steps(len(train)))
            train = work.splits["train"].training_batches(values)
        train.epoch = epoch
        name = f"{label}{stage.name}"
        past = None if progress is None else progress.past_epochs(stage.name)
        if past is not None:
            epoch += past
            taken.append(steps_taken(stage, len(train), past))
            continue
        if model is not student:
            carry_projections(models[:number], model)
            print(f"[{name}] learns\n{model.layer_map.table(stage.losses)}", file=sys.stderr)
        measured = [best] if number >= keep_from else [MeasureDev(student, work.measure_dev)]
        train_stage(
            model,
            stage,
            train,
            validation_data=work.splits["dev"].evaluation_batches(cached.get((number, "dev"))),
            callbacks=[
                *callbacks,
                *(measured if number >= keep_from or stage.trains_predictions else []),
                *stage_callbacks(name, stage.total_steps(len(train)), work.run, train),
            ],
            jit_compile=work.devices.choice.jit_compile,
            verbose=0,
            watched=stage.watched(work.metric),
            last_step=None if last_steps is None else last_steps[number],
            checkpoint=None if progress is None else progress.stage(stage.name),
        )
        taken.append(steps_taken(stage, len(train), train.epoch - epoch))
        epoch = train.epoch
        if taken[-1] < stage.total_steps(len(train)) and last_steps is None:
            print(f"[{name}] ends early: {stage.early_end(work.metric)}", file=sys.stderr)
    best.restore()
    return taken
