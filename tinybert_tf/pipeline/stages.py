"""The stages of a distillation: TinyBERT's two, or any others, one after the other on the same student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tinybert_tf.config.schema import Stage as StageSection
from tinybert_tf.config.schema import Train
from tinybert_tf.data.batches import Batches
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.distillation.layer_map import LayerMap
from tinybert_tf.distillation.losses import (
    LOSSES,
    AttentionLoss,
    DistillationLoss,
    EmbeddingLoss,
    HiddenStateLoss,
    PredictionLoss,
)
from tinybert_tf.errors import InputError
from tinybert_tf.pipeline.callbacks import FiniteTraining, StopAfterSteps
from tinybert_tf.training.optimizer import bert_optimizer


@dataclass(frozen=True)
class Stage:
    """One stage of a distillation: what is compared, and how long and how fast the student learns.

    `epochs` over the data, cut at `max_steps` optimizer steps; `learning_rate` at its peak; `warmup_fraction` of
    them, in [0, 1); `weight_decay` per step, times the learning rate. `layer_map` and `projections` as in `Distiller`.
    """

    name: str
    losses: Sequence[DistillationLoss]
    layer_map: LayerMap | str | Sequence[tuple[int, int]] = "uniform"
    projections: str = "shared"
    epochs: int = 3
    max_steps: int | None = None
    learning_rate: float = 5e-5
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01

    def total_steps(self, batches: Batches) -> int:
        """Optimizer steps of the stage."""
        steps = self.epochs * len(batches)
        return steps if self.max_steps is None else min(steps, self.max_steps)

    @classmethod
    def from_config(cls, section: StageSection, train: Train) -> Stage:
        """The stage of a config, `train`'s values where it has none of its own.

        Raises:
            InputError: an unknown loss, or an option that the loss does not have.
        """
        values = section.resolved(train)
        return cls(
            name=section.name,
            losses=[
                _make_loss(section.name, loss.name, {"weight": loss.weight, **loss.options}) for loss in section.losses
            ],
            layer_map=section.layer_map,
            projections=section.projections,
            epochs=values.epochs,
            max_steps=values.max_steps,
            learning_rate=values.learning_rate,
            warmup_fraction=values.warmup_fraction,
            weight_decay=values.weight_decay,
        )


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
) -> dict[str, keras.callbacks.History]:
    """Train a student through all stages.

    Args:
        teacher: the model to learn from.
        student: the model to train; it is trained in place.
        train: batches with a `seed`; each stage goes on where the data order of the last one ended.
        stages: TinyBERT's two by default.
        validation_data: as in `keras.Model.fit`.
        metrics: as in `keras.Model.compile`, on the student's logits.
        callbacks: as in `keras.Model.fit`, in every stage.
        jit_compile: as in `keras.Model.compile`: XLA, which compiles every new length of batch anew.
        verbose: as in `keras.Model.fit`.

    Returns:
        Each stage's `History`, by name.
    """
    stages = tinybert_stages() if stages is None else stages
    distillers = [build_distiller(teacher, student, stage) for stage in stages]
    histories = {}
    for stage, distiller in zip(stages, distillers, strict=True):
        histories[stage.name] = train_stage(
            distiller,
            stage,
            train,
            validation_data,
            metrics=metrics,
            callbacks=callbacks,
            jit_compile=jit_compile,
            verbose=verbose,
        )
    return histories


def build_distiller(teacher: keras.Model, student: keras.Model, stage: Stage) -> Distiller:
    """The Distiller of a stage."""
    return Distiller(teacher, student, layer_map=stage.layer_map, losses=stage.losses, projections=stage.projections)


def train_stage(
    model: keras.Model,
    stage: Stage,
    train: Batches,
    validation_data: Any = None,
    metrics: Sequence[Any] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool = False,
    verbose: Any = "auto",
) -> keras.callbacks.History:
    """Compile a model with the stage's schedule and fit it: a Distiller, or a task model on its labels.

    Raises:
        InputError: the loss or a weight is no longer a finite number.
    """
    total_steps = stage.total_steps(train)
    optimizer = bert_optimizer(
        learning_rate=stage.learning_rate,
        total_steps=total_steps,
        warmup_fraction=stage.warmup_fraction,
        weight_decay=stage.weight_decay,
    )
    model.compile(optimizer=optimizer, metrics=list(metrics), jit_compile=jit_compile)
    return model.fit(
        train,
        epochs=stage.epochs,
        validation_data=validation_data,
        callbacks=[
            FiniteTraining(stage.name, total_steps, stage.learning_rate),
            StopAfterSteps(total_steps),
            *callbacks,
        ],
        verbose=verbose,
    )


def _make_loss(stage: str, name: str, options: dict[str, Any]) -> DistillationLoss:
    if name not in LOSSES:
        raise InputError(f"stage {stage!r}: loss {name!r} is not known; one of {', '.join(LOSSES)} is.")
    accepted = LOSSES[name]().get_config()
    unknown = [option for option in options if option not in accepted]
    if unknown:
        raise InputError(f"stage {stage!r}: loss {name!r} has no option {unknown[0]!r}; it has {', '.join(accepted)}.")
    try:
        return LOSSES[name](**options)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"stage {stage!r}: loss {name!r} with {options}: {error}") from None
