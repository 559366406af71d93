"""A Keras model whose losses are totals and counts, so that a step is the same in parts and on several devices."""

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

# The name of a model's only loss, which is logged as `loss` alone.
ONLY = "only_loss"


class TrainableModel(TracedModel):
    """A `keras.Model` that can compute a batch in parts, and divides each loss once, by the whole batch's count.

    A subclass implements `loss_terms` if its losses are not those given to `compile`. `compile` makes the optimizer's
    variables: Keras would make them while TensorFlow traces the first step, and TensorFlow would then trace that step a
    second time, which takes ten seconds for a four-layer encoder with AdamW.
    """

    accumulation_steps = 1
    takes_row_weights: ClassVar[bool] = True
    _given = Box({})  # the losses given to `compile`, by the names of their outputs
    _step_metrics = Box((None, (), ()))  # the total, the trackers of all losses, and those that are logged

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """`keras.Model.compile`, with one argument more.

        `accumulation_steps`: the number of parts of a batch that are computed in turn, with the memory of one part;
        their gradients add up to those of the whole batch. On TensorFlow only, also under its strategies.

        Raises:
            InputError: `accumulation_steps` above 1 on another backend; `steps_per_execution` above 1 on several
                devices; a loss that is a sum over the batch, in parts or on several devices.
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
        self._compile_loss = None  # Keras's own losses, which have no counts
        for each in self.losses_given.values() if replicas > 1 or accumulation_steps > 1 else ():
            each.check_divisible(f"accumulation_steps={accumulation_steps} on {replicas} devices")
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            self.track_losses()
            self.optimizer.build(self.trainable_variables)
        if replicas > 1:
            sum_before_clipping(self.optimizer)

    def get_compile_config(self) -> dict[str, Any]:
        """`keras.Model.get_compile_config`, with `accumulation_steps`."""
        config = super().get_compile_config()
        return {**config, "accumulation_steps": self.accumulation_steps} if config else config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the config of `get_compile_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def losses_given(self) -> Mapping[str | None, CountedLoss]:
        """The losses given to `compile`, by the names of their outputs; None is the name of the only output."""
        return self._given.content

    def tracked_losses(self) -> Mapping[str, int]:
        """The names under which `loss_terms` are logged, and the number of means of each; `ONLY` for a single loss."""
        return {_logged_name(name): 1 for name in self.losses_given}

    def track_losses(self) -> None:
        """Make the trackers of the losses, unless they exist."""
        means = self.tracked_losses()
        if self.total_tracker is None or [each.name for each in self.loss_trackers] != list(means):
            trackers = [LossTracker(name, number) for name, number in means.items()]
            hidden = list(means) == [ONLY]
            self._step_metrics = Box((TotalTracker(trackers, hidden), trackers, [] if hidden else trackers))

    @property
    def loss_trackers(self) -> Any:
        """The trackers that log the losses, one for each."""
        return self._step_metrics.content[1]

    @property
    def total_tracker(self) -> Any:
        """The tracker that logs `loss`; None before `compile`."""
        return self._step_metrics.content[0]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras's metrics and the losses' trackers, in place of Keras's own, which weighs batches by rows."""
        total, _, shown = self._step_metrics.content
        if total is None:
            return super().metrics
        return [total, *(metric for metric in super().metrics if metric is not self._loss_tracker), *shown]

    def loss_terms(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> list[LossTerm]:
        """The losses of a batch or of a part of it, in the order of `loss_trackers`; here those given to `compile`."""
        return [
            LossTerm.of(tracker, [loss(of_output(name, y), of_output(name, y_pred), of_output(name, sample_weight))])
            for tracker, (name, loss) in zip(self.loss_trackers, self.losses_given.items(), strict=True)
        ]

    def step_divisors(self, x: Any, counts: Sequence[Any], training: bool) -> Sequence[Any]:
        """The divisors of the terms' totals: the counts of the whole batch, summed over all replicas."""
        return sum_across_replicas(list(counts))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The weighted sum of the losses plus the regularizers' penalties, a scalar; it is also logged.

        Under `tf.distribute` it is this replica's share, because gradients are summed over replicas.
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
        """One update from a batch, computed whole or in parts."""
        if self.accumulation_steps == 1:
            return super().train_step(*args, **kwargs)
        return self._train_step_in_parts(*args, **kwargs)

    def _train_step_in_parts(self, data: Any) -> Any:
        """Do Keras's step with the gradients of several passes, one for each part."""
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
                    dense = tf.convert_to_tensor(gradient)  # slices of a table too: their sums would only grow
                    sums[number] = dense if sums[number] is None else sums[number] + dense
            logs = self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        self.optimizer.apply_gradients(zip(sums, variables, strict=True))
        return logs

    def _divisors_of_batch(self, data: Any) -> Sequence[Any]:
        """The divisors for all parts, computed before the first; TensorFlow prunes this pass to what counts need."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        terms = self.loss_terms(x, y, self(x, training=False), sample_weight, training=False)
        return self.step_divisors(x, [term.counts for term in terms], training=True)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """`keras.Model.fit`; this library's batches take `class_weight` and `sample_weight` too.

        From then on the process keeps host memory that it frees, see `keep_freed_memory`.
        """
        keep_freed_memory()
        self._check_labels(x, y)
        self._check_labels(*keras.utils.unpack_x_y_sample_weight(kwargs.get("validation_data"))[:2])
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
        """The number of classes of integer labels; None if labels are not classes, or the number is unknown."""
        return None

    def _check_labels(self, x: Any, y: Any) -> None:
        """Refuse labels of this library's batches, or in an array, that are not one of the classes."""
        check_label_values(getattr(x, "labels", None) if y is None else y, self.num_classes)

    def _weighted(self, x: Any, arguments: dict[str, Any]) -> Any:
        if not self.takes_row_weights:
            refuse_row_weights(arguments, type(self).__name__)
        return with_row_weights(x, arguments)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Prepare the first step under `tf.distribute` as Keras does, but from the batch of one replica.

        Keras (3.15) takes the mean of all replicas' batches, and fails if they differ in shape. It also begins a pass
        for this, so that `fit` would serve epoch 1 first.
        """
        if iterator is not None and self._distribute_strategy is not None:
            local = self.distribute_strategy.experimental_local_results
            batch = next(iter(iterator._get_iterator()))
            data_batch = keras.tree.map_structure(lambda values: local(values)[0], batch)
            iterator = None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)


@contextlib.contextmanager
def without_gradient_warnings() -> Iterator[None]:
    """Silence Keras's warning of weights without a gradient: those above the compared layers have none by design."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gradients do not exist for variables")
        yield


def _logged_name(output: str | None) -> str:
    return ONLY if output is None else f"{output}_loss"


def _parts(batch: Any, count: int, after: list[Any]) -> Iterator[tuple[Any, Any, Any]]:
    """`count` parts of a batch, about equal; each waits until the tensors in `after` have been computed."""
    import tensorflow as tf

    rows = ops.shape(tree.flatten(batch)[0])[0]

    def part_of(values: Any, begin: Any, end: Any) -> Any:
        return None if values is None else values[begin:end]

    for number in range(count):
        begin, end = rows * number // count, rows * (number + 1) // count
        with tf.control_dependencies([each for each in after if each is not None]):
            part = tree.map_structure(lambda values, begin=begin, end=end: part_of(values, begin, end), batch)
        yield keras.utils.unpack_x_y_sample_weight(part)
