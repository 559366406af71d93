"""Stages of a distillation: TinyBERT's two or any others, which train the same student one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tinybert_tf import features
from tinybert_tf.config.schema import StageSection, Train
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.distillation.cache.teacher_cache import TeacherCache
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.distillation.layer_map import LayerMap
from tinybert_tf.distillation.losses import (
    AttentionLoss,
    DistillationLoss,
    EmbeddingLoss,
    HiddenStateLoss,
    PredictionLoss,
)
from tinybert_tf.errors import InputError
from tinybert_tf.models.cut.student import Cut
from tinybert_tf.pipeline.parts.ask_teacher import with_teacher_features
from tinybert_tf.pipeline.parts.losses import make_loss
from tinybert_tf.pipeline.parts.planned import planned_steps
from tinybert_tf.pipeline.parts.projections import carry_projections, start_projections
from tinybert_tf.pipeline.runs.callbacks import CountsSteps, FiniteTraining, StopAfterSteps
from tinybert_tf.pipeline.runs.progress import StageCheckpoint
from tinybert_tf.short_repr import short_repr
from tinybert_tf.training.optimizer import bert_optimizer


@dataclass(frozen=True)
class Stage:
    """One stage of a distillation: its losses, its data, and the length and rate of the training.

    `layer_map` and `projections` are as in `Distiller`. `train`: the stage's own batches, in place of the others'. The
    stage ends after `epochs` or `max_steps` optimizer steps, whichever comes first (by default 3 epochs), or after
    `patience` epochs without a better dev set. The next stage goes on from the last epoch's weights. `learning_rate` is
    the peak; `schedule`, `warmup_fraction` and `weight_decay` are as in `bert_optimizer`. `accumulation_steps`: the
    number of parts in which a batch is computed. `steps_per_execution` is as in `keras.Model.compile`.
    """

    name: str
    losses: Sequence[DistillationLoss]
    layer_map: LayerMap | str | Sequence[tuple[int, int]] = "uniform"
    projections: str = "shared"
    train: Batches | None = None
    epochs: int | None = None
    max_steps: int | None = None
    patience: int | None = None
    learning_rate: float = 5e-5
    schedule: str = "linear"
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    accumulation_steps: int = 1
    steps_per_execution: int = 1

    def __repr__(self) -> str:
        return short_repr(self, name=self.name, losses=[loss.name for loss in self.losses], epochs=self.epochs)

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the optimizer steps of the stage, unless `patience` ends it before.

        `max_steps` is rounded up to the end of an execution.
        """
        return planned_steps(self, steps_per_epoch, steps_per_epoch)

    @property
    def trains_predictions(self) -> bool:
        """Whether the stage trains the student's predictions: it learns from logits, or from labels alone."""
        return not self.losses or any(features.LOGITS in loss.feature_names for loss in self.losses)

    @property
    def learns_any_text(self) -> bool:
        """Whether the stage may train on texts without labels: no loss needs them for every row."""
        return bool(self.losses) and not any(loss.needs_labels and not _skips_missing(loss) for loss in self.losses)

    def watched(self, metric: str) -> str:
        """Return the logged value that `patience` watches: `dev_<metric>` for predictions, else `val_loss` on dev."""
        return f"dev_{metric}" if self.trains_predictions else "val_loss"

    def early_end(self, metric: str) -> str:
        """Describe what ends the stage early; empty if only its epochs and `max_steps` end it."""
        if self.patience is None:
            return ""
        better = f"a higher dev {metric}" if self.trains_predictions else "a lower dev loss"
        return f"{self.patience} {'epoch' if self.patience == 1 else 'epochs'} without {better}"

    @property
    def needs_labels(self) -> bool:
        """Whether a loss refuses batches without labels."""
        return any(loss.needs_labels for loss in self.losses)

    @classmethod
    def from_config(cls, section: StageSection, train: Train) -> Stage:
        """Make the stage of a config; values that it does not have are those of `train`.

        Raises:
            InputError: a loss is unknown, or does not have an option.
        """
        return cls.trained(
            section.resolved(train),
            name=section.name,
            losses=[make_loss(section.name, loss) for loss in section.losses],
            layer_map=section.layer_map,
            projections=section.projections,
        )

    @classmethod
    def trained(cls, values: Train, **given: Any) -> Stage:
        """Make a stage with a config's training values."""
        own = {each.name for each in dataclasses.fields(cls)} & {each.name for each in dataclasses.fields(Train)}
        found = {name: getattr(values, name) for name in own}
        return cls(**{name: value for name, value in found.items() if value is not None}, **given)


def _skips_missing(loss: DistillationLoss) -> bool:
    """Return whether a loss learns from a row without a label too; a loss of the user may take it for a class."""
    return isinstance(loss, PredictionLoss) and loss.hard_label_weight < 1


def tinybert_stages(**values: Any) -> list[Stage]:
    """Make TinyBERT's two stages of task distillation (arXiv 1909.10351, section 4.2): first inside, then predictions.

    `values` (`epochs`, `learning_rate`, ...) are fields of `Stage` for both.
    """
    inside = [EmbeddingLoss(), AttentionLoss(), HiddenStateLoss()]
    return [Stage("intermediate", inside, **values), Stage("prediction", [PredictionLoss()], **values)]


def distill(
    teacher: keras.Model,
    student: keras.Model,
    train: Batches,
    stages: Sequence[Stage] | None = None,
    validation_data: Any = None,
    metrics: Sequence[Any] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool = False,
    verbose: Any = "auto",
    cut: Cut | None = None,
    teacher_cache: TeacherCache | None = None,
) -> dict[str, keras.callbacks.History]:
    """Train a student through all stages; each stage's projections start from those of the stage before.

    Args:
        teacher: the model to learn from.
        student: the model to train, in place.
        train: batches with a `seed`. A stage begins with the epoch after the last one of the stage before, also if it
            has its own batches, so that no two epochs have the same order.
        stages: the stages; by default TinyBERT's two.
        validation_data: as in `keras.Model.fit`.
        metrics: as in `keras.Model.compile`, on the student's logits.
        callbacks: as in `keras.Model.fit`, in every stage.
        jit_compile: whether to compile with XLA, as in `keras.Model.compile`; it compiles each new batch length again.
        verbose: as in `keras.Model.fit`.
        cut: the result of `cut_student`, if it made the student: the projections of hidden states then start to match.
        teacher_cache: a cache for the teacher's features; the teacher then computes them once, not in every epoch.

    Returns:
        Each stage's `keras.callbacks.History`, by the stage's name.

    Raises:
        InputError: a stage does not fit the models, has `patience` without `validation_data`, or fails as in
            `train_stage`.
    """
    stages = tinybert_stages() if stages is None else stages
    for stage in stages:
        if stage.patience is not None and validation_data is None:
            raise InputError(f"stage {stage.name!r}: patience={stage.patience} needs validation_data to watch.")
    distillers = [build_distiller(teacher, student, stage) for stage in stages]
    if cut is not None:
        start_projections(distillers, cut)
    histories = {}
    epoch = train.epoch
    for number, (stage, distiller) in enumerate(zip(stages, distillers, strict=True)):
        carry_projections(distillers[:number], distiller)
        batches = train if stage.train is None else stage.train
        if teacher_cache is not None:
            batches = with_teacher_features(batches, distiller, teacher_cache)
        batches.epoch = epoch
        histories[stage.name] = train_stage(
            distiller,
            stage,
            batches,
            validation_data,
            metrics=metrics,
            callbacks=callbacks,
            jit_compile=jit_compile,
            verbose=verbose,
        )
        epoch = batches.epoch
    return histories


def build_distiller(teacher: keras.Model, student: keras.Model, stage: Stage) -> Distiller:
    """Make the Distiller of a stage.

    Raises:
        InputError: as the constructor of `Distiller`, and as `check_losses`.
    """
    distiller = Distiller(
        teacher, student, layer_map=stage.layer_map, losses=stage.losses, projections=stage.projections
    )
    check_losses(distiller)
    return distiller


def check_losses(distiller: Distiller) -> None:
    """Call every loss with symbolic tensors, as Keras will, so that mistakes show before anything is trained.

    Raises:
        InputError: a loss refuses its inputs, fails, or returns no scalar.
    """
    specs = distiller.feature_specs()
    for comparison in distiller.comparisons:
        comparison.check_call(*specs, distiller.projections)


def map_of_first_weights(stages: Sequence[Stage]) -> LayerMap | str | Sequence[tuple[int, int]]:
    """Return the layer map for a student's first weights: the first one that a loss reads, or else the first one."""
    maps = [stage.layer_map for stage in stages if any(loss.is_per_layer for loss in stage.losses)]
    return maps[0] if maps else stages[0].layer_map


def train_stage(
    model: keras.Model,
    stage: Stage,
    train: Batches,
    validation_data: Any = None,
    metrics: Sequence[Any] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool = False,
    verbose: Any = "auto",
    watched: str = "val_loss",
    last_step: int | None = None,
    checkpoint: StageCheckpoint | None = None,
) -> keras.callbacks.History:
    """Compile a model (a Distiller, or a task model that learns labels) with the stage's schedule, and fit it.

    Args:
        model: the model to train.
        stage: the stage.
        train: the stage's batches; afterwards their `epoch` is the first one that has not begun.
        validation_data: as in `keras.Model.fit`.
        metrics: as in `keras.Model.compile`.
        callbacks: as in `keras.Model.fit`.
        jit_compile: as in `keras.Model.compile`.
        verbose: as in `keras.Model.fit`.
        watched: the value that `patience` watches: the `val_loss` of epochs, or a `dev_*` that a callback logs.
        last_step: stops after this many steps of the same schedule, whatever `patience`.
        checkpoint: a checkpoint written after every epoch; the stage goes on from it, and its history has the epochs
            since then.

    Raises:
        InputError: the loss or a weight is not a finite number.
    """
    total_steps = stage.total_steps(len(train))
    all_callbacks = [
        FiniteTraining(stage.name, total_steps, stage.learning_rate),
        StopAfterSteps(total_steps if last_step is None else last_step),
        *callbacks,
    ]
    end_early = None
    if stage.patience is not None and last_step is None:
        mode = "min" if watched == "val_loss" else "max"
        end_early = keras.callbacks.EarlyStopping(watched, patience=stage.patience, mode=mode)
        all_callbacks.append(end_early)  # after the callbacks that measure the watched value
    optimizer = bert_optimizer(
        learning_rate=stage.learning_rate,
        total_steps=total_steps,
        schedule=stage.schedule,
        warmup_fraction=stage.warmup_fraction,
        weight_decay=stage.weight_decay,
    )
    model.compile(
        optimizer=optimizer,
        metrics=list(metrics),
        jit_compile=jit_compile,
        accumulation_steps=stage.accumulation_steps,
        steps_per_execution=stage.steps_per_execution,
    )
    first_epoch, epochs = 0, -(-total_steps // len(train))
    if checkpoint is not None:
        done = checkpoint.go_on(model, end_early)
        first_epoch = done.epochs
        epochs = done.epochs if done.is_over else epochs
        train.epoch += done.epochs
        for callback in all_callbacks:
            if isinstance(callback, CountsSteps):
                callback.step = done.epochs * len(train)
        all_callbacks.append(checkpoint)
    history = model.fit(
        train,
        initial_epoch=first_epoch,
        epochs=epochs,
        validation_data=validation_data,
        callbacks=all_callbacks,
        verbose=verbose,
    )
    train.on_epoch_end()  # Keras does not end a pass that is stopped early
    return history


def steps_taken(stage: Stage, steps_per_epoch: int, epochs: int) -> int:
    """Return the optimizer steps that a stage took in so many epochs: only `max_steps` cuts an epoch short."""
    return min(stage.total_steps(steps_per_epoch), epochs * steps_per_epoch)
