"""A Keras model whose training starts as it should: traced once, on one device or on several."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras
from keras import tree

from tinybert_tf.errors import InputError
from tinybert_tf.traced_model import TracedModel


class TrainableModel(TracedModel):
    """A `keras.Model` that makes its optimizer's variables in `compile`, and can pass a batch through in parts.

    Keras makes them while TensorFlow traces the first step, and TensorFlow then traces that step a second time: of a
    four-layer encoder with AdamW that is ten seconds for nothing.
    """

    accumulation_steps = 1

    def compile(self, optimizer: Any = "rmsprop", **kwargs: Any) -> None:
        """`keras.Model.compile`, with one argument more.

        `accumulation_steps`: parts that a batch is passed through in, one after the other; their gradients are added up
        to those of the whole batch, for the memory of one part. On TensorFlow, also under its strategies.

        Raises:
            InputError: parts on another backend; several steps an execution on several devices.
        """
        self.accumulation_steps = kwargs.pop("accumulation_steps", 1)
        if self.accumulation_steps > 1 and keras.backend.backend() != "tensorflow":
            raise InputError(f"accumulation_steps={self.accumulation_steps}: only TensorFlow takes a batch in parts.")
        super().compile(optimizer=optimizer, **kwargs)
        strategy = getattr(self, "distribute_strategy", None)  # only TensorFlow's trainer has one
        if strategy is not None and strategy.num_replicas_in_sync > 1 and self.steps_per_execution > 1:
            raise InputError(
                f"steps_per_execution={self.steps_per_execution}: Keras executes one step at a time on several devices."
            )
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        """`keras.Model.get_compile_config`, with what `compile` takes here."""
        config = super().get_compile_config()
        return {**config, "accumulation_steps": self.accumulation_steps} if config else config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what `get_compile_config` gave."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """One update, from a batch whole or in parts."""
        if self.accumulation_steps == 1:
            return super().train_step(*args, **kwargs)
        return self._train_step_in_parts(*args, **kwargs)

    def _train_step_in_parts(self, data: Any) -> Any:
        """Keras's own step, with the gradients of several passes."""
        import tensorflow as tf

        variables = self.trainable_weights
        sums: list[Any] = [None] * len(variables)
        for x, y, sample_weight in _parts(data, self.accumulation_steps, after=sums):
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
                scaled = self.optimizer.scale_loss(loss * self._share(x, data))
            for number, gradient in enumerate(tape.gradient(scaled, variables)):
                if gradient is not None:
                    dense = tf.convert_to_tensor(gradient)  # of a table too: sums of slices would only grow
                    sums[number] = dense if sums[number] is None else sums[number] + dense
            self._loss_tracker.update_state(loss, sample_weight=tf.cast(_rows(x), "float32"))
            logs = self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        self.optimizer.apply_gradients(zip(sums, variables, strict=True))
        return logs

    def _share(self, part: Any, batch: Any) -> Any:
        """What a part's loss is multiplied by in the whole batch's: its share of the rows, over which it is a mean."""
        return keras.ops.cast(_rows(part), "float32") / keras.ops.cast(_rows(batch), "float32")

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
    """Nothing is said of weights without a gradient: layers above the compared ones, a head, should have none."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gradients do not exist for variables")
        yield


def _rows(batch: Any) -> Any:
    return keras.ops.shape(tree.flatten(batch)[0])[0]


def _parts(batch: Any, count: int, after: list[Any]) -> Iterator[tuple[Any, Any, Any]]:
    """`count` parts of a batch, about equal; each is ready when what is in `after` by then has been computed."""
    import tensorflow as tf

    rows = _rows(batch)
    for number in range(count):
        begin, end = rows * number // count, rows * (number + 1) // count
        with tf.control_dependencies([each for each in after if each is not None]):
            part = tree.map_structure(lambda values, begin=begin, end=end: values[begin:end], batch)
        yield keras.utils.unpack_x_y_sample_weight(part)
