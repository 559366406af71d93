"""Callbacks of a run: they report progress, measure the dev set, and keep the best epoch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinybert_tf.checkpoints.assign import assign_tensors
from tinybert_tf.checkpoints.formats import open_tensors
from tinybert_tf.checkpoints.replace_directory import replace_directory
from tinybert_tf.data.batches.batch_source import BatchSource
from tinybert_tf.errors import InputError
from tinybert_tf.metrics import Metrics
from tinybert_tf.pipeline.runs.directory import RunDirectory

SECONDS_BETWEEN_LINES = 20.0


class CountsSteps(keras.callbacks.Callback):
    """Counts optimizer steps in `step`, also if one execution runs several."""

    def __init__(self) -> None:
        super().__init__()
        self.step = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note where the epoch begins."""
        self._first = self.step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count; `batch` is the last step of the execution, or would be if the epoch had so many."""
        self.step = self._first + min(batch + 1, self.params["steps"])


class Progress(CountsSteps):
    """Writes a line to stderr every 20 seconds and at the end of each epoch; the latter also goes into the run's log.

    Args:
        stage: the stage's name, in front of every line.
        total_steps: optimizer steps of the stage.
        run: the run whose `log.csv` gets the epochs.
        unit: the name of one of Keras's epochs in the lines.
    """

    def __init__(self, stage: str, total_steps: int, run: RunDirectory, unit: str = "epoch") -> None:
        super().__init__()
        self.stage = stage
        self.total_steps = total_steps
        self.run = run
        self.unit = unit

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock."""
        self._begin = self._last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Report the step and the loss every 20 seconds."""
        super().on_train_batch_end(batch, logs)
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._say(f"step {self.step}/{self.total_steps}  loss {float((logs or {})['loss']):.4f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report and log the epoch's losses and metrics."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        text = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        self._say(f"{self.unit} {epoch + 1}  step {self.step}/{self.total_steps}  {text}")
        self.run.log({"stage": self.stage, self.unit: epoch + 1, "step": self.step, **values})

    def _say(self, text: str) -> None:
        seconds = time.monotonic() - self._begin
        print(f"[{self.stage}] {seconds:5.0f} s  {text}", file=sys.stderr, flush=True)


class InputWait(keras.callbacks.Callback):
    """Logs `input_wait`: the fraction, in [0, 1], of an epoch's training time in which the next batch was not ready.

    The device is idle then: batches are made in the background while it computes.

    Args:
        batches: the training batches.
    """

    def __init__(self, batches: BatchSource) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clocks."""
        self._waited = self._trained = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note that the device waits for a batch."""
        self._asked = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Add up the time in which the batch was not ready, and all the time of the step."""
        ready_times = self.batches.ready_times
        ready = ready_times[min(batch, len(ready_times) - 1)]
        self._waited += max(0.0, ready - self._asked)
        self._trained += time.perf_counter() - self._asked

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log the fraction."""
        if logs is not None:
            logs["input_wait"] = self._waited / self._trained


def stage_callbacks(
    stage: str, total_steps: int, run: RunDirectory, train: BatchSource, unit: str = "epoch"
) -> list[keras.callbacks.Callback]:
    """Make the callbacks of every stage: lines on stderr, `log.csv`, learned layer maps, TensorBoard events."""
    events = keras.callbacks.TensorBoard(str(run.path / "tensorboard" / stage), write_graph=False)
    return [InputWait(train), Progress(stage, total_steps, run, unit), LearnedMaps(stage, run), events]


class LearnedMaps(keras.callbacks.Callback):
    """Writes a Distiller's learned layer maps after each epoch, as tables to stderr and into `layer_maps.csv`.

    Args:
        stage: the stage's name, in the first column.
        run: the run.
    """

    def __init__(self, stage: str, run: RunDirectory) -> None:
        super().__init__()
        self.stage = stage
        self.run = run

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the layer maps, and write them to the file."""
        for weights in getattr(self.model, "layer_weights", ()):
            print(weights, file=sys.stderr, flush=True)
            columns = ("stage", "epoch", "loss", "student", "teacher", "weight")
            rows = ((self.stage, epoch + 1, weights.loss_name, *row) for row in weights.rows())
            self.run.log(*(dict(zip(columns, row, strict=True)) for row in rows), name="layer_maps.csv")


class StopAfterSteps(CountsSteps):
    """Ends training after a number of optimizer steps."""

    def __init__(self, max_steps: int) -> None:
        super().__init__()
        self.max_steps = max_steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop after the last step."""
        super().on_train_batch_end(batch, logs)
        if self.step >= self.max_steps:
            self.model.stop_training = True


class FiniteTraining(CountsSteps):
    """Ends training with an InputError if the loss or a weight is not a finite number, before anything is saved.

    Args:
        stage: the stage's name, for the message.
        total_steps: optimizer steps of the stage.
        learning_rate: the peak learning rate.
    """

    def __init__(self, stage: str, total_steps: int, learning_rate: float) -> None:
        super().__init__()
        self.stage = stage
        self.total_steps = total_steps
        self.learning_rate = learning_rate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Check the loss."""
        super().on_train_batch_end(batch, logs)
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            classes = {each.name: type(each.loss).__name__ for each in getattr(self.model, "comparisons", ())}
            found = [
                f"{classes.get(name, name)}.call: expected a finite number, got {float(value)}"
                for name, value in logs.items()
                if name in classes and not math.isfinite(float(value))
            ]
            self._refuse(f"the loss is {loss}" + (f" ({'; '.join(found)})" if found else ""))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Check the weights: no loss has shown the effect of the last update yet."""
        for variable in self.model.trainable_variables:
            if not np.isfinite(variable.numpy()).all():
                self._refuse(f"{variable.path} is not finite")

    def _refuse(self, what: str) -> None:
        remedy = "try a smaller learning rate"
        if self.step == 1:  # the learning rate is not the reason
            remedy = "expected a finite loss from the first step on"
        raise InputError(
            f"stage {self.stage!r}: {what} after step {self.step} of {self.total_steps} with learning_rate="
            f"{self.learning_rate:g}; {remedy}."
        )


class MeasureDev(keras.callbacks.Callback):
    """Measures a model after every epoch.

    Args:
        student: the model to measure; the one in `fit` may be a Distiller around it.
        measure: computes its metrics on the dev set, which are added to the epoch's logs as `dev_*`.
    """

    def __init__(self, student: Any, measure: Callable[[Any], Metrics]) -> None:
        super().__init__()
        self.student = student
        self.measure = measure
        self.metrics: Metrics = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure the model."""
        self.metrics = self.measure(self.student)
        if logs is not None:
            logs.update({f"dev_{name}": value for name, value in self.metrics.items()})


class BestEpoch(MeasureDev):
    """Measures a model after every epoch and saves it if it is better than before; `restore` loads the best weights.

    Args:
        student: the model to measure and save, as in `MeasureDev`.
        measure: computes its metrics on the dev set, as in `MeasureDev`.
        metric: the metric that decides; higher is better, and the first of equal epochs is kept.
        directory: the model's directory, which is replaced as a whole.
        tokenizer: the tokenizer to save with it.
        counts: whether an epoch can be the best one when it ends; by default every epoch can.
    """

    def __init__(
        self,
        student: Any,
        measure: Callable[[Any], Metrics],
        metric: str,
        directory: Path,
        tokenizer: Any,
        counts: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(student, measure)
        self.counts = counts
        self.metric = metric
        self.directory = directory
        self.tokenizer = tokenizer
        self.best: float | None = None
        self._weights: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure the model, and save it if it is better."""
        super().on_epoch_end(epoch, logs)
        if self.counts() and (self.best is None or self.metrics[self.metric] > self.best):
            self.best = self.metrics[self.metric]
            self._weights = [variable.numpy() for variable in self.student.weights]
            replace_directory(self.directory, lambda path: self.student.save_pretrained(path, self.tokenizer))

    def go_on(self, best: float) -> None:
        """Go on from the best epoch in the directory, whose metric is `best`; the model gets its weights."""
        student, tensors = self.student, open_tensors(self.directory)
        assign_tensors(student.variables_by_name(), student.tensor_names(), tensors, student.config.family)
        self.best, self._weights = best, [variable.numpy() for variable in self.student.weights]

    def restore(self) -> None:
        """Give the model the weights of its best epoch."""
        for variable, value in zip(self.student.weights, self._weights, strict=True):
            variable.assign(value)
