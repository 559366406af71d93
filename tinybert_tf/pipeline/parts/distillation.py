"""`Distillation`: the checked objects of a distillation, made from its config."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import keras

from tinybert_tf.config.models import StudentSection
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.metrics import Metrics, choose_metric
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.heads.tasks import load_teaching
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.teaching.teacher_ensemble import TeacherEnsemble
from tinybert_tf.pipeline.parts.chosen import settled, texts_to_make, training_of_student
from tinybert_tf.pipeline.parts.ensemble import as_one, load_others
from tinybert_tf.pipeline.parts.labels import labels_for
from tinybert_tf.pipeline.parts.shapes import devices_for, padded_lengths
from tinybert_tf.pipeline.parts.splits import WITH_UNLABELLED, own_files, read_datasets, tokenize
from tinybert_tf.pipeline.parts.stages import (
    Stage,
    build_distiller,
    map_of_first_weights,
)
from tinybert_tf.pipeline.parts.student import (
    build_student,
    check_two_tokenizers,
    student_tokenizer,
)
from tinybert_tf.pipeline.parts.unlabelled import join_unlabelled, new_texts
from tinybert_tf.pipeline.runs.measure import measure
from tinybert_tf.pipeline.runs.run import Run
from tinybert_tf.training.devices import Devices

logger = logging.getLogger(__name__)


@dataclass
class Distillation:
    """A checked distillation, ready to train: every object a stage needs.

    `metric` chooses the best epoch. `splits` are `train`, `dev`, `test`, and the stages' own files by their paths.
    `teacher` is the only teacher or the first of several; `teachers` stands for all of them, in float32.
    """

    config: DistillConfig
    run: Run
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
        """Measure the task's metrics on the dev set."""
        return measure(model, self.split_of(model, "dev"), self.config.task)

    def split_of(self, model: Any, name: str) -> EncodedDataset:
        """Return a data set in the tokens that the model reads."""
        return self.splits[name].for_teacher if model is self.teachers else self.splits[name]

    def summary(self) -> dict[str, dict[str, int]]:
        """Return the entries of `metrics.json` for all data sets."""
        return {name: split.summary() for name, split in self.splits.items() if name != WITH_UNLABELLED}

    def with_student(self, section: StudentSection) -> Distillation:
        """Return the distillation with another student, cut from the same teacher or to be, as `prepare` makes it."""
        with self.devices.scope():
            keras.utils.set_random_seed(self.config.train.seed)
            student = build_student(section, self.teacher, self.tokenizer, map_of_first_weights(self.stages))
            if self.student.label_names:
                student.labels = self.student.labels
            distillers = [build_distiller(self.distillers[0].teacher, student, stage) for stage in self.stages]
        config = dataclasses.replace(self.config, student=section)
        return dataclasses.replace(self, config=config, student=student, distillers=distillers)

    def settled(self) -> Distillation:
        """Return the distillation with rates and epochs for its student, where the config leaves them open."""
        rows, width = len(self.splits["train"].tokens), self.student.config.hidden_size
        more_rows = len(self.splits[WITH_UNLABELLED].tokens) - rows
        config = settled(self.config, training_of_student(self.config, rows, more_rows, width))
        self.run.config = config
        stages = [
            dataclasses.replace(stage, epochs=values.epochs, learning_rate=values.learning_rate)
            for stage, values in zip(self.stages, (each.resolved(config.train) for each in config.stages), strict=True)
        ]
        return dataclasses.replace(self, config=config, stages=stages)

    @property
    def has_two_tokenizers(self) -> bool:
        """Whether teacher and student read different tokens."""
        return self.splits["train"].teacher is not None


def prepare(config: DistillConfig, run: Run | None = None) -> Distillation:
    """Read, load and build everything, so that mistakes show before anything is written.

    `run` is the run that trains it; without a run, nothing can be trained.
    """
    run = Run(config) if run is None else run
    stages = [Stage.from_config(section, config.train) for section in config.stages]
    datasets = read_datasets(config.data, own_files(config, stages), config.task)
    config = settled(config, texts_to_make(config, datasets["train"]))
    devices = devices_for(config.train)
    keras.utils.set_random_seed(config.train.seed)
    max_length, lengths = config.data.max_length, padded_lengths(config.data, devices)
    with devices.scope():
        loaded = load_teaching(config.teacher.dir, config.task)
        tokenizer = load_tokenizer(config.teacher.dir)
        check_limits(loaded.config, tokenizer.vocab_size, max_length, config.teacher.dir)
        own = student_tokenizer(config.student, tokenizer, stages, config.teacher_cache)
        labels = labels_for(loaded.labels, datasets.values(), config.task, config.data.positive)
        more = new_texts(config, datasets, loaded, tokenizer)
        datasets |= more
        splits = tokenize(datasets, own, labels, max_length, config.task, lengths)
        if own is not tokenizer:
            check_two_tokenizers(config.student, loaded)
            logger.info("the teacher has another tokenizer than the student: its logits are computed before training")
            read_by_teacher = tokenize(datasets, tokenizer, labels, max_length, config.task)
            splits = {name: dataclasses.replace(split, teacher=read_by_teacher[name]) for name, split in splits.items()}
        splits = join_unlabelled(splits, more)
        metric = choose_metric(config.task, config.metric, len(labels))
        others = load_others(config.teacher, loaded, tokenizer, config.task, max_length)
        teacher = as_one(config.teacher, [loaded, *others], config.teacher.precision)
        teachers = as_one(config.teacher, [loaded, *others], "float32") if others else loaded
        if config.student.size is not None:
            keras.utils.set_random_seed(config.train.seed)  # the same numbers are drawn for it as where it was chosen
        student = build_student(config.student, loaded, own, map_of_first_weights(stages))
        if labels:
            student.labels = labels
        check_limits(student.config, own.vocab_size, max_length, config.student.dir or "student")
        distillers = [build_distiller(teacher, student, stage) for stage in stages]
    work = Distillation(config, run, devices, own, loaded, teachers, student, stages, distillers, splits, metric)
    return work if config.student.is_open else work.settled()
