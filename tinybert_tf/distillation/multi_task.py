"""Distillation of several tasks at once: students share an encoder, and each has its own teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.errors import InputError
from tinybert_tf.trainable.box import Box
from tinybert_tf.trainable.loss_terms import LossTerm, TotalTracker
from tinybert_tf.trainable.trainable_model import TrainableModel, without_gradient_warnings


class MultiTaskDistiller(TrainableModel):
    """Trains students that share one encoder, each on its own teacher, losses and layer map.

    A step takes a batch of every task; the loss is the weighted sum of the tasks' losses, so that the encoder learns
    from all teachers in every step. `fit` takes `MultiTaskBatches`; losses are logged as `<task>_<loss>`. Afterwards
    each student is a model of its own: evaluate and save them one by one.

    Args:
        distillers: a `Distiller` for each task. The students have the same encoder: `SequenceClassifier(encoder, ...)`.
        weights: the weight of each task's loss, by default 1.

    Raises:
        InputError: there are no distillers, the students do not share an encoder, or `weights` names other tasks.

    Example:
        >>> from tinybert_tf.distillation.losses import KLLoss
        >>> from tinybert_tf.models.config import EncoderConfig
        >>> from tinybert_tf.models.encoder.encoder import TransformerEncoder
        >>> from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
        >>> encoder = TransformerEncoder(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
        >>> mood, topic = SequenceClassifier(encoder, num_labels=2), SequenceClassifier(encoder, num_labels=5)
        >>> teachers = [SequenceClassifier(encoder.config, num_labels=student.num_labels) for student in (mood, topic)]
        >>> pairs = {"mood": (teachers[0], mood), "topic": (teachers[1], topic)}
        >>> distiller = MultiTaskDistiller({name: Distiller(*pair, losses=[KLLoss()]) for name, pair in pairs.items()})
        >>> [metric.name for metric in distiller.loss_trackers["topic"]]
        ['kl_loss']
    """

    takes_row_weights = False

    def __init__(
        self, distillers: Mapping[str, Distiller], weights: Mapping[str, float] | None = None, **kwargs: Any
    ) -> None:
        wrong = [name for name in distillers if not name or "/" in name]
        if wrong or not distillers:
            raise InputError(f"tasks {list(distillers)!r}; expected at least one, with names without a slash.")
        weights = weights or {}
        unknown = sorted(set(weights) - set(distillers))
        if unknown:
            raise InputError(f"weights of {', '.join(unknown)}; the tasks are {', '.join(distillers)}.")
        students = [distiller.student for distiller in distillers.values()]
        encoders = [getattr(student, "encoder", None) for student in students]
        if any(encoder is None or encoder is not encoders[0] for encoder in encoders):
            raise InputError(
                "the students do not share an encoder; expected one in all: SequenceClassifier(encoder, ...)."
            )
        super().__init__(**{"dtype": students[0].dtype_policy, **kwargs})
        self.distillers = dict(distillers)
        self.task_weights = {task: float(weights.get(task, 1.0)) for task in distillers}
        self.built = True

    @property
    def loss_trackers(self) -> dict[str, list[keras.metrics.Metric]]:
        """The trackers that log each task's losses, by task."""
        return {task: list(distiller.loss_trackers) for task, distiller in self.distillers.items()}

    def track_losses(self) -> None:
        """Make the tracker of the sum; the Distillers have those of the tasks' losses."""
        if self.total_tracker is None:
            trackers = [tracker for of_task in self.loss_trackers.values() for tracker in of_task]
            self._step_metrics = Box((TotalTracker(trackers), trackers, trackers))

    def get_metrics_result(self) -> dict[str, Any]:
        """`loss`, and each task's losses."""
        results = {"loss": self.total_tracker.result()}
        for task, trackers in self.loss_trackers.items():
            results |= {f"{task}_{tracker.name}": tracker.result() for tracker in trackers}
        return results

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Each student's output dict, by task."""
        return {task: each(_of_task(inputs, task), training=training) for task, each in self.distillers.items()}

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """`keras.Model.compile`, without `loss` and `metrics`.

        Raises:
            InputError: a loss or metrics are given, or `accumulation_steps`, since tasks differ in the rows of a batch.
        """
        for name, given in {
            "loss": loss,
            **{each: kwargs.get(each) for each in ("metrics", "weighted_metrics")},
        }.items():
            if given is not None:
                raise InputError(
                    f"a MultiTaskDistiller takes no {name}: losses are its Distillers', metrics the students'."
                )
        if kwargs.get("accumulation_steps", 1) > 1:
            raise InputError("a MultiTaskDistiller takes no accumulation_steps: tasks differ in the rows of a batch.")
        super().compile(optimizer=optimizer, **kwargs)
        for distiller in self.distillers.values():
            distiller.compile(optimizer="sgd", run_eagerly=self.run_eagerly)  # for `evaluate`: it is not trained alone
            distiller.optimizer = self.optimizer  # weights may depend on its steps

    def check_inputs(self, inputs: Any) -> None:
        """Check inputs as each task's Distiller does."""
        sources = getattr(inputs, "sources", {})
        given = inputs if isinstance(inputs, Mapping) else {}
        for task, distiller in self.distillers.items():
            distiller.check_inputs(sources.get(task, _of_task(given, task)))

    def loss_terms(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> list[LossTerm]:
        """The tasks' losses, one task after the other."""
        return [
            replace(term, weight=self.task_weights[task] * term.weight)
            for task, distiller in self.distillers.items()
            for term in distiller.loss_terms(
                _of_task(x, task), (y or {}).get(task), y_pred[task], sample_weight, training
            )
        ]

    def step_divisors(self, x: Any, counts: Sequence[Any], training: bool) -> Sequence[Any]:
        """The divisors of each task's losses, from its own batch."""
        left = iter(counts)
        return [
            divisor
            for task, distiller in self.distillers.items()
            for divisor in distiller.step_divisors(
                _of_task(x, task), [next(left) for _ in distiller.comparisons], training
            )
        ]

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The losses to log; there are no metrics."""
        return self.get_metrics_result()

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """One update of all students and projections."""
        with without_gradient_warnings():
            return super().train_step(*args, **kwargs)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """`keras.Model.fit` on `MultiTaskBatches`, `validation_data` too."""
        self._weigh_batches(self._sources(x))
        return super().fit(x, *args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch`: the batch weighs 1, whatever `fit` was given before."""
        self._weigh_batches(dict.fromkeys(self.distillers))
        return super().train_on_batch(*args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, return_dict: bool = False, **kwargs: Any) -> Any:
        """Each task's losses on all of its own batches, as its `Distiller` computes them, and their weighted sum.

        Raises:
            InputError: `x` is not `MultiTaskBatches`, or `steps` is given.
        """
        if kwargs.get("steps") is not None:
            raise InputError("a MultiTaskDistiller is evaluated on all batches of each task, not on so many steps.")
        penalty = float(ops.sum(self.losses)) if self.losses else 0.0  # once for an encoder that all share
        results = {"loss": penalty}
        for task, batches in self._sources(x).items():
            distiller = self.distillers[task]
            of_task = distiller.evaluate(batches, verbose=0, return_dict=True)
            results["loss"] += self.task_weights[task] * float(distiller.total_tracker.losses_result())
            results |= {f"{task}_{name}": value for name, value in of_task.items() if name != "loss"}
        return results if return_dict else list(results.values())

    def traced_layers(self) -> list[keras.layers.Layer]:
        """The layers of all students and teachers."""
        return [layer for each in self.distillers.values() for layer in each.traced_layers()]

    def _sources(self, batches: Any) -> dict[str, Any]:
        sources = getattr(batches, "sources", None)
        if not isinstance(sources, Mapping) or sources.keys() != self.distillers.keys():
            raise InputError(f"expected batches of {', '.join(self.distillers)}: MultiTaskBatches({{task: batches}}).")
        return {task: sources[task] for task in self.distillers}

    def _weigh_batches(self, sources: Mapping[str, Any]) -> None:
        for task, distiller in self.distillers.items():
            distiller.weigh_batches(sources[task])


def _of_task(inputs: Mapping[str, Any], task: str) -> dict[str, Any]:
    """A task's inputs, by their own names."""
    prefix = f"{task}/"
    return {name.removeprefix(prefix): values for name, values in inputs.items() if name.startswith(prefix)}
