"""Several tasks at once: students that share an encoder, each with a teacher of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.errors import InputError
from tinybert_tf.trainable_model import TrainableModel, without_gradient_warnings


class MultiTaskDistiller(TrainableModel):
    """Trains students that share one encoder, each on its own teacher, losses and layer map.

    A step takes a batch of every task; the loss is the weighted sum of the tasks' losses, so that the encoder learns
    from all teachers in each of them. `fit` wants `MultiTaskBatches`; losses are logged as `<task>_<loss>`. Afterwards
    each student is a model of its own: evaluate and save them one by one.

    Args:
        distillers: a `Distiller` for each task. The students have the same encoder: `SequenceClassifier(encoder, ...)`.
        weights: of the tasks' losses, by default 1 each.

    Raises:
        InputError: no distillers, students whose encoders are not the same, or weights of other tasks.

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

    def __init__(
        self, distillers: Mapping[str, Distiller], weights: Mapping[str, float] | None = None, **kwargs: Any
    ) -> None:
        wrong = [name for name in distillers if not name or "/" in name]
        if wrong or not distillers:
            raise InputError(f"tasks {list(distillers)!r}; at least one, with names without a slash, is wanted.")
        weights = weights or {}
        unknown = sorted(set(weights) - set(distillers))
        if unknown:
            raise InputError(f"weights of {', '.join(unknown)}; the tasks are {', '.join(distillers)}.")
        students = [distiller.student for distiller in distillers.values()]
        encoders = [getattr(student, "encoder", None) for student in students]
        if any(encoder is None or encoder is not encoders[0] for encoder in encoders):
            raise InputError(
                "the students do not share an encoder; make them of one, SequenceClassifier(encoder, ...)."
            )
        super().__init__(**{"dtype": students[0].dtype_policy, **kwargs})
        self.distillers = dict(distillers)
        self.task_weights = {task: float(weights.get(task, 1.0)) for task in distillers}
        self.built = True

    @property
    def loss_trackers(self) -> dict[str, list[keras.metrics.Metric]]:
        """What logs each task's losses."""
        return {task: list(distiller.loss_trackers) for task, distiller in self.distillers.items()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Everything that is logged."""
        return [
            tracker
            for task, distiller in self.distillers.items()
            for tracker in (distiller.total_tracker, *self.loss_trackers[task])
        ]

    def get_metrics_result(self) -> dict[str, Any]:
        """`loss`, and each task's losses."""
        totals = {task: distiller.total_tracker.result() for task, distiller in self.distillers.items()}
        results = {"loss": sum(self.task_weights[task] * total for task, total in totals.items())}
        for task, trackers in self.loss_trackers.items():
            results |= {f"{task}_{tracker.name}": tracker.result() for tracker in trackers}
        return results

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Each student's output dict, by task."""
        return {task: each(_of_task(inputs, task), training=training) for task, each in self.distillers.items()}

    def compile(self, optimizer: Any = "rmsprop", **kwargs: Any) -> None:
        """`keras.Model.compile`, without `loss` and `metrics`.

        Raises:
            InputError: a loss or metrics; batches in parts, which differ from task to task.
        """
        for name in ("loss", "metrics", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise InputError(
                    f"a MultiTaskDistiller takes no {name}: losses are its Distillers', metrics the students'."
                )
        if kwargs.get("accumulation_steps", 1) > 1:
            raise InputError("a MultiTaskDistiller takes no accumulation_steps: tasks differ in the rows of a batch.")
        super().compile(optimizer=optimizer, **kwargs)
        for distiller in self.distillers.values():
            distiller.compile(optimizer="sgd", run_eagerly=self.run_eagerly)  # to evaluate: it is not trained by itself
            distiller.optimizer = self.optimizer  # whose steps weights may depend on

    def check_inputs(self, inputs: Any) -> None:
        """As each task's Distiller."""
        sources = getattr(inputs, "sources", {})
        given = inputs if isinstance(inputs, Mapping) else {}
        for task, distiller in self.distillers.items():
            distiller.check_inputs(sources.get(task, _of_task(given, task)))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The weighted sum of the tasks' losses."""
        return sum(
            self.task_weights[task]
            * distiller.compute_loss(
                _of_task(x, task), (y or {}).get(task), y_pred[task], sample_weight, training=training
            )
            for task, distiller in self.distillers.items()
        )

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """What is logged."""
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

    def evaluate(self, x: Any = None, return_dict: bool = False, **kwargs: Any) -> Any:
        """Each task's losses on all of its own batches, once, as its `Distiller` says them; and their weighted sum.

        Raises:
            InputError: something else than `MultiTaskBatches`, or so many steps of them.
        """
        if kwargs.get("steps") is not None:
            raise InputError("a MultiTaskDistiller is evaluated on all batches of each task, not on so many steps.")
        results = {"loss": 0.0}
        for task, batches in self._sources(x).items():
            of_task = self.distillers[task].evaluate(batches, verbose=0, return_dict=True)
            results["loss"] += self.task_weights[task] * of_task.pop("loss")
            results |= {f"{task}_{name}": value for name, value in of_task.items()}
        return results if return_dict else list(results.values())

    def traced_layers(self) -> list[keras.layers.Layer]:
        """Those of all students and teachers."""
        return [layer for each in self.distillers.values() for layer in each.traced_layers()]

    def _sources(self, batches: Any) -> dict[str, Any]:
        sources = getattr(batches, "sources", None)
        if not isinstance(sources, Mapping) or sources.keys() != self.distillers.keys():
            raise InputError(
                f"batches of {', '.join(self.distillers)} are wanted: MultiTaskBatches({{task: batches}})."
            )
        return {task: sources[task] for task in self.distillers}

    def _weigh_batches(self, sources: Mapping[str, Any]) -> None:
        are_others = [each.weigh_batches("train", sources[task]) for task, each in self.distillers.items()]
        if any(are_others):
            self.train_function = None


def _of_task(inputs: Mapping[str, Any], task: str) -> dict[str, Any]:
    """A task's inputs, by their own names."""
    prefix = f"{task}/"
    return {name.removeprefix(prefix): values for name, values in inputs.items() if name.startswith(prefix)}
