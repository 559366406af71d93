"""The stages of a distillation: TinyBERT's two, or any others, one after the other on the same student."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tinybert_tf import features
from tinybert_tf.config.schema import DEFAULT_EPOCHS, StageSection, Train
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
from tinybert_tf.pipeline.parts.projections import carry_projections, start_projections
from tinybert_tf.pipeline.runs.callbacks import CountsSteps, FiniteTraining, StopAfterSteps
from tinybert_tf.pipeline.runs.progress import StageCheckpoint
from tinybert_tf.short_repr import short_repr
from tinybert_tf.training.optimizer import bert_optimizer


def planned_epochs(values: Stage | Train, default: int = DEFAULT_EPOCHS) -> int | None:
    """`epochs`, by default so many; None where `max_steps` alone says how long training is."""
    return default if values.epochs is None and values.max_steps is None else values.epochs


def planned_steps(
    values: Stage | Train, steps_per_epoch: int, steps_per_pass: int, default_epochs: int = DEFAULT_EPOCHS
) -> int:
    """`epochs` of so many steps, cut at `max_steps`, and with all that are executed together with the last one.

    No execution goes over the end of one of Keras's passes.
    """
    epochs = planned_epochs(values, default_epochs)
    epochs_end = None if epochs is None else epochs * steps_per_epoch
    steps = min(end for end in (epochs_end, values.max_steps) if end is not None)
    passes, rest = divmod(steps, steps_per_pass)
    executions = -(-rest // values.steps_per_execution)
    return passes * steps_per_pass + min(executions * values.steps_per_execution, steps_per_pass)


@dataclass(frozen=True)
class Stage:
    """One stage of a distillation: what is compared, on what, and how long and how fast the student learns.

    `layer_map` and `projections` as in `Distiller`. `train`: batches of its own, in place of the other stages'.
    `epochs` over them or `max_steps` optimizer steps, where both are given what ends first, by default 3 epochs; ended
    early after `patience` epochs without a better dev set; the next stage goes on from the last epoch's weights.
    `learning_rate` at its peak, `schedule` and `warmup_fraction` as in `bert_optimizer`; `weight_decay` per step, times
    the learning rate. `accumulation_steps`: parts that a batch is passed through in; `steps_per_execution` as in
    `keras.Model.compile`.
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
        """Optimizer steps of the stage, unless `patience` ends it before.

        `max_steps` of them, or as many as those that are executed together with the last one.
        """
        return planned_steps(self, steps_per_epoch, steps_per_epoch)

    @property
    def trains_predictions(self) -> bool:
        """Whether the student's predictions mean something afterwards: it learns from logits, or from labels alone."""
        return not self.losses or any(features.LOGITS in loss.feature_names for loss in self.losses)

    def watched(self, metric: str) -> str:
        """What `patience` waits for, as epochs log it: `dev_<metric>` of predictions, else the dev set's `val_loss`."""
        return f"dev_{metric}" if self.trains_predictions else "val_loss"

    def early_end(self, metric: str) -> str:
        """What ends the stage early, in words; empty where only its epochs and `max_steps` do."""
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
        """The stage of a config, `train`'s values where it has none of its own.

        Raises:
            InputError: an unknown loss, or an option that the loss does not have.
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
        """A stage that is trained as a config's values say."""
        own = {each.name for each in dataclasses.fields(cls)} & {each.name for each in dataclasses.fields(Train)}
        return cls(**{name: getattr(values, name) for name in own}, **given)


def tinybert_stages(**values: Any) -> list[Stage]:
    """TinyBERT's two stages of task distillation (arXiv 1909.10351, section 4.2): first inside, then the prediction.

    `values` (`epochs`, `learning_rate`, ...) apply to both.
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
    """Train a student through all stages; projections go on from stage to stage.

    Args:
        teacher: the model to learn from.
        student: the model to train; it is trained in place.
        train: batches with a `seed`. A stage begins with the epoch after the last one that the stage before it has
            begun, also where it has batches of its own: no two epochs have the same order.
        stages: TinyBERT's two by default.
        validation_data: as in `keras.Model.fit`.
        metrics: as in `keras.Model.compile`, on the student's logits.
        callbacks: as in `keras.Model.fit`, in every stage.
        jit_compile: as in `keras.Model.compile`: XLA, which compiles every new length of batch anew.
        verbose: as in `keras.Model.fit`.
        cut: what `cut_student` gave, where it made the student: the projections of hidden states start to match.
        teacher_cache: where what is compared of the teacher is kept, and read in every epoch.

    Returns:
        Each stage's `History`, by name.

    Raises:
        InputError: a stage that does not fit the models; `patience` without `validation_data`; and as `train_stage`.
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
    """The Distiller of a stage.

    Raises:
        InputError: as the constructor, and as `check_losses`.
    """
    distiller = Distiller(
        teacher, student, layer_map=stage.layer_map, losses=stage.losses, projections=stage.projections
    )
    check_losses(distiller)
    return distiller


def check_losses(distiller: Distiller) -> None:
    """Call every loss with symbolic tensors, as Keras will: a mistake is found before anything is trained.

    Raises:
        InputError: a loss refuses what it is given, fails, or returns no scalar.
    """
    specs = distiller.feature_specs()
    for comparison in distiller.comparisons:
        comparison.check_call(*specs, distiller.projections)


def map_of_first_weights(stages: Sequence[Stage]) -> LayerMap | str | Sequence[tuple[int, int]]:
    """Which of the teacher's layers a student starts from: the first layer map that a loss reads, or else the first."""
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
    """Compile a model with the stage's schedule and fit it: a Distiller, or a task model on its labels.

    Args:
        model: what is trained.
        stage: how.
        train: its batches; their `epoch` is afterwards the first that has not been begun.
        validation_data: as in `keras.Model.fit`.
        metrics: as in `keras.Model.compile`.
        callbacks: as in `keras.Model.fit`.
        jit_compile: as in `keras.Model.compile`.
        verbose: as in `keras.Model.fit`.
        watched: what `patience` waits for: the epochs' `val_loss` to fall, or a `dev_*` that a callback logs to rise.
        last_step: stops after this many steps of the same schedule, and heeds no `patience`.
        checkpoint: written after every epoch; the stage goes on from where it is, and has the epochs since then as its
            history.

    Raises:
        InputError: the loss or a weight is no longer a finite number.
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
        all_callbacks.append(end_early)  # after those that measure what it watches
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
    train.on_epoch_end()  # Keras leaves a pass open that is stopped at its last step or before
    return history


def steps_taken(stage: Stage, steps_per_epoch: int, epochs: int) -> int:
    """Optimizer steps that a stage took in so many epochs: only `max_steps` ends one before its last step."""
    return min(stage.total_steps(steps_per_epoch), epochs * steps_per_epoch)
