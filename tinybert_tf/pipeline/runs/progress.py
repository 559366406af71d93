"""The progress of a run's training, saved in a checkpoint after every epoch, from which the same command goes on."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from tinybert_tf.pipeline.runs.callbacks import BestEpoch
from tinybert_tf.pipeline.runs.run import Run
from tinybert_tf.training.run_checkpoint import RunCheckpoint, read_notes

logger = logging.getLogger(__name__)


@dataclass
class StageProgress:
    """The progress of a stage; `patience` is the state of its early end."""

    epochs: int = 0
    is_over: bool = False
    patience: dict[str, float] = field(default_factory=dict)


class RunProgress:
    """The progress of a run's stages, with a checkpoint after each of their epochs.

    The checkpoint holds the state of the current stage; of earlier stages only the best epoch is kept, in the run
    directory. A run that goes on ends with the weights, the log and the metrics of one that was never interrupted.

    Args:
        run: the run.
        kept: variables besides the model's, such as projections from which later stages start.

    Raises:
        InputError: the checkpoint is damaged.
    """

    def __init__(self, run: Run, kept: Sequence[Any] = ()) -> None:
        self.run = run
        self.kept = kept
        self.path = run.checkpoint
        notes = read_notes(self.path)
        self.was_interrupted = notes is not None
        notes = notes or {"stages": [], "best": {}, "seconds": {}}
        self._logged = notes.get("logged", {})
        self._stages = {(model, name): StageProgress(**values) for model, name, values in notes["stages"]}
        self._best: dict[str, float] = notes["best"]
        self._seconds: dict[str, float] = notes["seconds"]

    def begin(self) -> None:
        """Make the run directory; if the run goes on, keep the log up to the checkpoint."""
        self.run.begin()
        if not self.was_interrupted:
            return
        self.run.keep_logs(self._logged)
        model, stage = list(self._stages)[-1]
        epochs = self._stages[model, stage].epochs
        logger.info(f"{self.run.path}: goes on after epoch {epochs} of the {model}'s stage {stage!r}")

    def turn_to(self, model: str) -> None:
        """Begin to train this model and to count its time."""
        self._model, self._began = model, time.monotonic() - self._seconds.get(model, 0.0)

    def seconds(self) -> float:
        """The seconds that the training of the model has taken, interrupted runs included."""
        self._seconds[self._model] = time.monotonic() - self._began
        return self._seconds[self._model]

    def follow(self, best: BestEpoch) -> None:
        """Keep the metric of a model's best epoch; if there is one already, the model gets its weights."""
        self._best_epoch = best
        if self._model in self._best:
            best.go_on(self._best[self._model])

    def past_epochs(self, stage: str) -> int | None:
        """Return the epochs of one of the model's finished stages; None if the stage is not finished."""
        key = (self._model, stage)
        return self._stages[key].epochs if key in list(self._stages)[:-1] else None

    def stage(self, name: str) -> StageCheckpoint:
        """Return the callback of a stage that begins or goes on."""
        return StageCheckpoint(self, self._stages.setdefault((self._model, name), StageProgress()))

    def save(self, model: keras.Model) -> None:
        """Write the checkpoint after an epoch of the current stage."""
        self.seconds()
        if self._best_epoch.best is not None:
            self._best[self._model] = float(self._best_epoch.best)
        notes = {
            "stages": [(*key, dataclasses.asdict(stage)) for key, stage in self._stages.items()],
            "best": self._best,
            "seconds": self._seconds,
            "logged": self.run.num_logged,
        }
        RunCheckpoint(self.path, model, self.kept).save(notes)


class StageCheckpoint(keras.callbacks.Callback):
    """Saves a stage after each of its epochs; it must be the last callback, so that the others have run before.

    Args:
        progress: the run's progress.
        stage: the stage's progress.
    """

    def __init__(self, progress: RunProgress, stage: StageProgress) -> None:
        super().__init__()
        self.progress = progress
        self.stage = stage
        self._end_early: keras.callbacks.EarlyStopping | None = None

    def go_on(self, model: keras.Model, end_early: keras.callbacks.EarlyStopping | None) -> StageProgress:
        """Restore the stage's last state in a compiled model and return its progress; `end_early` may end the stage."""
        self._end_early = end_early
        if self.stage.epochs:
            RunCheckpoint(self.progress.path, model, self.progress.kept).restore()
        return self.stage

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the state of the early end."""
        if self._end_early is not None and self.stage.patience:
            vars(self._end_early).update(self.stage.patience)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the stage."""
        self.stage.epochs = epoch + 1
        self.stage.is_over = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if self._end_early is not None:
            self.stage.patience = {"best": float(self._end_early.best), "wait": self._end_early.wait}
        self.progress.save(self.model)
