"""`tinybert distill`: a fine-tuned teacher, a file of labelled texts, a student."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras

from tinybert_tf.checkpoints.formats import resolve_model
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.data.encoded import EncodedDataset
from tinybert_tf.data.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.distillation.teacher_cache import TeacherFeatures, teacher_fingerprint
from tinybert_tf.errors import InputError
from tinybert_tf.metrics import TASK_METRICS, Metrics, choose_metric, constant_score, format_metric
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.task_model import TaskModel
from tinybert_tf.models.tasks import load_teaching
from tinybert_tf.models.teacher_ensemble import TeacherEnsemble
from tinybert_tf.pipeline.callbacks import BestEpoch, MeasureDev, stage_callbacks
from tinybert_tf.pipeline.log_lines import held_back
from tinybert_tf.pipeline.measure import measure
from tinybert_tf.pipeline.projections import carry_projections, fit_projections, start_projections
from tinybert_tf.pipeline.results import measure_models
from tinybert_tf.pipeline.run_directory import RunDirectory
from tinybert_tf.pipeline.run_progress import RunProgress
from tinybert_tf.pipeline.shapes import devices_for, padded_lengths
from tinybert_tf.pipeline.splits import data_fingerprints, own_files, read_datasets, tokenize, train_split
from tinybert_tf.pipeline.stages import (
    Stage,
    build_distiller,
    map_of_first_weights,
    steps_taken,
    train_stage,
)
from tinybert_tf.pipeline.student import (
    build_student,
    check_two_tokenizers,
    cut_from_teacher,
    resolved_init,
    student_tokenizer,
)
from tinybert_tf.pipeline.teacher_cache import cache_teacher
from tinybert_tf.pipeline.teachers import as_one, load_others
from tinybert_tf.training.devices import Devices

logger = logging.getLogger(__name__)


@dataclass
class Distillation:
    """A checked distillation, ready to train: every object a stage needs.

    `metric` chooses the best epoch. `splits` are `train`, `dev`, `test`, and the stages' own files by their paths.
    `teacher` is the first of several; `teachers` is what the student's predictions learn from, float32.
    """

    config: DistillConfig
    run: RunDirectory
    devices: Devices
    tokenizer: Tokenizer
    teacher: TaskModel
    teachers: TaskModel | TeacherEnsemble
    student: TaskModel
    stages: list[Stage]
    distillers: list[Distiller]
    splits: dict[str, EncodedDataset]
    metric: str

    def measure_dev(self, model: Any) -> Metrics:
        """The task's metrics on the dev set."""
        return measure(model, self.split_of(model, "dev"), self.config.task)

    def split_of(self, model: Any, name: str) -> EncodedDataset:
        """A data set as the model reads it."""
        return self.splits[name].for_teacher if model is self.teachers else self.splits[name]

    @property
    def has_two_tokenizers(self) -> bool:
        """Whether teacher and student read different tokens."""
        return self.splits["train"].teacher is not None


def run_distill(config: DistillConfig) -> dict[str, Any]:
    """Distil a student through the config's stages; the last stage's best dev epoch is saved under `student/`.

    A run that was interrupted goes on after its last epoch.

    With `baseline`, the same student from the same first weights is then trained on the labels alone, through the same
    stages: same files, same order, the steps that the student took, same learning rates; its best epoch is saved under
    `baseline/`.

    Returns:
        What `metrics.json` holds: `{"teacher": {...}, "student": {...}, "baseline": {...}, "data": {...}}`.

    Raises:
        InputError: anything the user gave is wrong, the teacher among it; nothing has been written then.
    """
    with held_back():
        work = prepare(config)
        sources = {"teacher": teacher_fingerprint(work.teachers), **data_fingerprints(work.splits)}
        kept = [variable for distiller in work.distillers for variable in distiller.projections.variables]
        progress = RunProgress(work.run, sources, kept)
    check_teacher(work)
    give_first_weights(work)
    initial = [variable.numpy() for variable in work.student.weights]
    progress.turn_to("student")
    cached = cache_teacher(work)
    progress.begin()
    last = len(work.stages) - 1
    steps = train_stages(work, work.distillers, "student", keep_from=last, cached=cached, progress=progress)
    seconds = {"student": progress.seconds()}
    models = {"teacher": work.teachers, "student": work.student}
    directories = {
        "teacher": [resolve_model(directory) for directory in config.teacher.dirs],
        "student": [work.run.path / "student"],
    }
    if config.baseline:
        progress.turn_to("baseline")
        with work.devices.scope():
            baseline = work.student.copy(name="baseline")
        for variable, value in zip(baseline.weights, initial, strict=True):
            variable.assign(value)
        models_alone = [baseline] * len(work.stages)
        train_stages(
            work, models_alone, "baseline", keep_from=0, last_steps=steps, label="baseline-", progress=progress
        )
        models["baseline"] = baseline
        directories["baseline"] = [work.run.path / "baseline"]
        seconds["baseline"] = progress.seconds()
    results: dict[str, Any] = measure_models(models, directories, work.splits, config.task)
    for name, value in seconds.items():
        results[name]["seconds"] = round(value, 1)
    results["data"] = {name: split.summary() for name, split in work.splits.items()}
    progress.finish(results)
    return results


def prepare(config: DistillConfig) -> Distillation:
    """Read, load and build everything, so that what is wrong is said before anything is written."""
    run = RunDirectory(config.out, config)
    stages = [Stage.from_config(section, config.train) for section in config.stages]
    datasets = read_datasets(config.data, own_files(config, stages), config.task)
    devices = devices_for(config.train)
    keras.utils.set_random_seed(config.train.seed)
    max_length, lengths = config.data.max_length, padded_lengths(config.data, devices)
    with devices.scope():
        loaded = load_teaching(config.teacher.dir, config.task)
        tokenizer = load_tokenizer(config.teacher.dir)
        check_limits(loaded.config, tokenizer.vocab_size, max_length, config.teacher.dir)
        own = student_tokenizer(config.student, tokenizer, stages, config.teacher_cache)
        labels = loaded.label_names
        splits = tokenize(datasets, own, labels, max_length, config.task, lengths)
        if own is not tokenizer:
            check_two_tokenizers(config.student, loaded)
            logger.info("the teacher has another tokenizer than the student: it is asked for its logits beforehand")
            read_by_teacher = tokenize(datasets, tokenizer, labels, max_length, config.task)
            splits = {name: dataclasses.replace(split, teacher=read_by_teacher[name]) for name, split in splits.items()}
        metric = choose_metric(config.task, config.metric, len(labels))
        others = load_others(config.teacher, loaded, tokenizer, config.task, max_length)
        teacher = as_one(config.teacher, [loaded, *others], config.teacher.precision)
        teachers = as_one(config.teacher, [loaded, *others], "float32") if others else loaded
        student = build_student(config.student, loaded, own, map_of_first_weights(stages))
        check_limits(student.config, own.vocab_size, max_length, config.student.dir or "student")
        distillers = [build_distiller(teacher, student, stage) for stage in stages]
    return Distillation(config, run, devices, own, loaded, teachers, student, stages, distillers, splits, metric)


def check_teacher(work: Distillation) -> None:
    """Measure the teacher before anybody learns from it.

    Raises:
        InputError: it is no better on dev than one answer for every text, and `allow_weak_teacher` is not set.
    """
    task, metric, teacher = work.config.task, work.metric, ", ".join(work.config.teacher.dirs)
    value = work.measure_dev(work.teachers)[metric]
    guess = constant_score(task, metric, work.splits["dev"].expected, len(work.teacher.label_names))
    shown, guessed = format_metric(metric, value), f"{TASK_METRICS[task].constant}: {format_metric(metric, guess)}"
    logger.info(f"teacher: dev {metric} {shown} ({guessed})")
    if value <= guess and not work.config.allow_weak_teacher:
        raise InputError(
            f"teacher {teacher}: dev {metric} {shown} is no better than a guess ({guessed}); fine-tune it with "
            f"`tinybert finetune`, or go on with --allow-weak-teacher."
        )


def give_first_weights(work: Distillation) -> None:
    """Cut the student from its teacher on texts of the training file, where it is to be cut, and start the projections.

    To match: those of a student that is cut from the basis, those of one that is there fitted on these texts.
    """
    section, student = work.config.student.cut, work.student
    init = resolved_init(work.config.student, student.config, work.teacher.config)
    if init not in ("cut", "dir"):
        return
    batches = work.splits["train"].sample(section.num_texts, section.max_tokens, work.config.train.seed)
    if init == "cut":
        cut = cut_from_teacher(student, work.teacher, map_of_first_weights(work.stages), batches, section)
        start_projections(work.distillers, cut)
    else:
        fit_projections(work.distillers, batches, section.ridge)


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
    """Train a student through all stages; its best dev epoch from stage `keep_from` on is what it ends with.

    Args:
        work: the stages, and all they want.
        models: what `fit` is called on in each stage: Distillers of one student, or a student that learns alone.
        directory: where the best epoch is saved, in the run directory.
        keep_from: the first stage whose epochs count.
        last_steps: the steps of each stage, where they are not its own.
        cached: the teacher's features, by stage number and data set.
        label: what the stages' names begin with in the log.
        callbacks: more of them, in every stage.
        counts: whether an epoch that ends may be the best one.
        progress: the run's; what is done is not done again.

    Returns:
        The steps that each stage took: `last_steps`, where they are given.
    """
    student = getattr(models[0], "student", models[0])
    best = BestEpoch(student, work.measure_dev, work.metric, work.run.path / directory, work.tokenizer, counts)
    if progress is not None:
        progress.follow(best)
    epoch, taken = 0, []
    for number, (stage, section, model) in enumerate(zip(work.stages, work.config.stages, models, strict=True)):
        values = section.resolved(work.config.train)
        of = train_split(section, work.config.data)
        train = work.splits[of].training_batches(values, cached.get((number, of)))
        train.epoch = epoch
        name = f"{label}{stage.name}"
        past = None if progress is None else progress.past_epochs(stage.name)
        if past is not None:
            epoch += past
            taken.append(steps_taken(stage, len(train), past))
            continue
        if model is not student:
            carry_projections(models[:number], model)
            print(f"[{name}] learns\n{model.layer_map}", file=sys.stderr)
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
