"""A Keras model whose losses are totals and counts: one step is the same in parts, and on several devices."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import keras
from keras import ops, tree

from tinybert_tf.errors import InputError
from tinybert_tf.traced_model import TracedModel
from tinybert_tf.trainable.box import Box
from tinybert_tf.trainable.host_memory import keep_freed_memory
from tinybert_tf.trainable.keras_losses import CountedLoss, counted_losses, of_output
from tinybert_tf.trainable.label_losses import check_label_values
from tinybert_tf.trainable.loss_terms import LossTerm, LossTracker, TotalTracker
from tinybert_tf.trainable.replicas import num_replicas, sum_across_replicas, sum_before_clipping
from tinybert_tf.trainable.row_weights import refuse_row_weights, with_row_weights

# The name of a model's only loss, which is logged as `loss`.
ONLY = "only_loss"


class TrainableModel(TracedModel):
    """A `keras.Model` that can pass a batch through in parts, and divides each loss once: by the whole batch's count.

    A subclass implements `loss_terms` where its losses are not those given to `compile`. The optimizer's variables are
    made in `compile`: Keras makes them while TensorFlow traces the first step, and TensorFlow then traces that step a
    second time, which for a four-layer encoder with AdamW takes ten seconds.
    """

    accumulation_steps = 1
    takes_row_weights: ClassVar[bool] = True
    _given = Box({})  # the losses given to `compile`, by the names of their outputs
    _step_metrics = Box((None, (), ()))  # the total, the trackers of all losses, and those that are logged

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """`keras.Model.compile`, with one argument more.

        `accumulation_steps`: parts that a batch is passed through in, one after the other; their gradients are added up
        to those of the whole batch, for the memory of one part. On TensorFlow, also under its strategies.

        Raises:
            InputError: parts on another backend; several steps an execution on several devices; a loss that is a sum
                over the batch, in parts or on several devices.
        """
        accumulation_steps = kwargs.pop("accumulation_steps", 1)
        if accumulation_steps > 1 and keras.backend.backend() != "tensorflow":
            raise InputError(f"accumulation_steps={accumulation_steps}: only TensorFlow takes a batch in parts.")
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self.accumulation_steps = accumulation_steps
        strategy = getattr(self, "distribute_strategy", None)  # only TensorFlow's trainer has one
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        if replicas > 1 and self.steps_per_execution > 1:
            raise InputError(
                f"steps_per_execution={self.steps_per_execution}: Keras executes one step at a time on several devices."
            )
        self._given = Box({} if loss is None else counted_losses(loss, kwargs.get("loss_weights")))
        self._compile_loss = None  # Keras's own way to the losses, which knows no counts
        for each in self.losses_given.values() if replicas > 1 or accumulation_steps > 1 else ():
            each.check_divisible(f"accumulation_steps={accumulation_steps} on {replicas} devices")
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            self.track_losses()
            self.optimizer.build(self.trainable_variables)
        if replicas > 1:
            sum_before_clipping(self.optimizer)

    def get_compile_config(self) -> dict[str, Any]:
        """`keras.Model.get_compile_config`, with what `compile` takes here."""
        config = super().get_compile_config()
        return {**config, "accumulation_steps": self.accumulation_steps} if config else config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what `get_compile_config` gave."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def losses_given(self) -> Mapping[str | None, CountedLoss]:
        """The losses that `compile` was given, by the names of their outputs; None is that of the only output."""
        return self._given.content

    def tracked_losses(self) -> Mapping[str, int]:
        """What is logged of `loss_terms`: the names, and the number of means of each; `loss` alone where it is one."""
        return {_logged_name(name): 1 for name in self.losses_given}

    def track_losses(self) -> None:
        """Make what logs the losses, unless it is there."""
        means = self.tracked_losses()
        if self.total_tracker is None or [each.name for each in self.loss_trackers] != list(means):
            trackers = [LossTracker(name, number) for name, number in means.items()]
            hidden = list(means) == [ONLY]
            self._step_metrics = Box((TotalTracker(trackers, hidden), trackers, [] if hidden else trackers))

    @property
    def loss_trackers(self) -> Any:
        """What logs the losses, one by one."""
        return self._step_metrics.content[1]

    @property
    def total_tracker(self) -> Any:
        """What logs `loss`; None before `compile`."""
        return self._step_metrics.content[0]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What logs the losses in place of Keras's own tracker, which weighs batches by rows, and Keras's metrics."""
        total, _, shown = self._step_metrics.content
        if total is None:
            return super().metrics
        return [total, *(metric for metric in super().metrics if metric is not self._loss_tracker), *shown]

    def loss_terms(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> list[LossTerm]:
        """The losses of a batch or of a part of it, in the order of `loss_trackers`; those given to `compile`."""
        return [
            LossTerm.of(tracker, [loss(of_output(name, y), of_output(name, y_pred), of_output(name, sample_weight))])
            for tracker, (name, loss) in zip(self.loss_trackers, self.losses_given.items(), strict=True)
        ]

    def step_divisors(self, x: Any, counts: Sequence[Any], training: bool) -> Sequence[Any]:
        """What the terms' totals are divided by: the counts of the whole batch, on all replicas together."""
        return sum_across_replicas(list(counts))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The weighted sum of the losses and the regularizers' penalties, which are also logged.

        Under `tf.distribute` it is this replica's share: gradients are summed over replicas.
        """
        terms = self.loss_terms(x, y, y_pred, sample_weight, training)
        return self._add_up(terms, self.step_divisors(x, [term.counts for term in terms], training))

    def _add_up(self, terms: Sequence[LossTerm], divisors: Sequence[Any], parts: int = 1) -> Any:
        total: Any = ops.zeros(())
        for term, whole in zip(terms, divisors, strict=True):
            term.log()
            total = total + term.value(whole)
        penalties = [ops.cast(ops.sum(each), "float32") for each in self.losses]
        if penalties:  # once a step
            self.total_tracker.update_state(sum(penalties) / parts, 1.0 / parts)
            total = total + sum(penalties) / (parts * num_replicas())
        return total

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """One update, from a batch whole or in parts."""
        if self.accumulation_steps == 1:
            return super().train_step(*args, **kwargs)
        return self._train_step_in_parts(*args, **kwargs)

    def _train_step_in_parts(self, data: Any) -> Any:
        """Keras's own step, with the gradients of several passes."""
        import tensorflow as tf

        variables = self.trainable_weights
        divisors = self._divisors_of_batch(data)
        sums: list[Any] = [None] * len(variables)
        for x, y, sample_weight in _parts(data, self.accumulation_steps, after=sums):
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                terms = self.loss_terms(x, y, y_pred, sample_weight, training=True)
                loss = self.optimizer.scale_loss(self._add_up(terms, divisors, self.accumulation_steps))
            for number, gradient in enumerate(tape.gradient(loss, variables)):
                if gradient is not None:
                    dense = tf.convert_to_tensor(gradient)  # of a table too: sums of slices would only grow
                    sums[number] = dense if sums[number] is None else sums[number] + dense
            logs = self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        self.optimizer.apply_gradients(zip(sums, variables, strict=True))
        return logs

    def _divisors_of_batch(self, data: Any) -> Sequence[Any]:
        """What all parts are divided by, before the first one: of this pass TensorFlow keeps what counts need."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        terms = self.loss_terms(x, y, self(x, training=False), sample_weight, training=False)
        return self.step_divisors(x, [term.counts for term in terms], training=True)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """`keras.Model.fit`; this library's batches take `class_weight` and `sample_weight` too.

        The process keeps host memory that it frees from then on, see `keep_freed_memory`.
        """
        keep_freed_memory()
        self._check_labels(x, y)
        validation = kwargs.get("validation_data")
        self._check_labels(*(validation[:2] if isinstance(validation, tuple) else (validation, None)))
        return super().fit(self._weighted(x, kwargs), y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`; this library's batches take `sample_weight` too."""
        self._check_labels(x, y)
        return super().evaluate(self._weighted(x, kwargs), y, *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch`."""
        self._check_labels(x, y)
        self._weighted(None, kwargs)
        return super().train_on_batch(x, y, *args, **kwargs)

    @property
    def num_classes(self) -> int | None:
        """The number of classes that integer labels stand for; None where they do not, or it is not known."""
        return None

    def _check_labels(self, x: Any, y: Any) -> None:
        """Refuse labels of this library's batches, or in an array, that are none of the classes."""
        check_label_values(getattr(x, "labels", None) if y is None else y, self.num_classes)

    def _weighted(self, x: Any, arguments: dict[str, Any]) -> Any:
        if not self.takes_row_weights:
            refuse_row_weights(arguments, type(self).__name__)
        return with_row_weights(x, arguments)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """What Keras does before the first step under `tf.distribute`, from the batch of one replica.

        Keras (3.15) takes the mean of all replicas' batches, and fails where they differ in shape. It begins a pass for
        it, too, so that `fit` would serve epoch 1 first.
        """
        if iterator is not None and self._distribute_strategy is not None:
            local = self.distribute_strategy.experimental_local_results
            batch = next(iter(iterator._get_iterator()))
            data_batch = keras.tree.map_structure(lambda values: local(values)[0], batch)
            iterator = None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)


@contextlib.contextmanager
def without_gradient_warnings() -> Iterator[None]:
    """Keras does not warn of weights without a gradient: layers above the compared ones, a head, should have none."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gradients do not exist for variables")
        yield


def _logged_name(output: str | None) -> str:
    return ONLY if output is None else f"{output}_loss"


def _parts(batch: Any, count: int, after: list[Any]) -> Iterator[tuple[Any, Any, Any]]:
    """`count` parts of a batch, about equal; each is ready when what is in `after` by then has been computed."""
    import tensorflow as tf

    rows = ops.shape(tree.flatten(batch)[0])[0]

    def part_of(values: Any, begin: Any, end: Any) -> Any:
        return None if values is None else values[begin:end]

    for number in range(count):
        begin, end = rows * number // count, rows * (number + 1) // count
        with tf.control_dependencies([each for each in after if each is not None]):
            part = tree.map_structure(lambda values, begin=begin, end=end: part_of(values, begin, end), batch)
        yield keras.utils.unpack_x_y_sample_weight(part)
