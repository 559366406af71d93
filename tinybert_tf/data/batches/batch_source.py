"""Batches that are a pure function of (epoch, step), as an adapter for Keras's trainers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import keras

# Keras has no public name for the class that its `fit` accepts as "a custom data adapter".
from keras.src.trainers.data_adapters.data_adapter import DataAdapter
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

from tinybert_tf.errors import InputError
from tinybert_tf.input_bounds import InputBounds
from tinybert_tf.short_repr import short_repr

PREFETCHED = 2  # batches that are made before they are asked for


class BatchSource(keras.utils.PyDataset, DataAdapter):
    """Batches for `fit`, `evaluate` and `predict`, as many in every epoch; a subclass makes batch `step` of `epoch`.

    Only (`epoch`, step) decides the contents of a batch, so a resumed run sets `epoch` and needs no other state. Keras
    passes such a source to its trainers as it is: the `shuffle` argument of `fit` (which would permute the steps with
    Python's global generator) does nothing. `fit` serves epochs 0, 1, ..., or from a given `epoch` on; every complete
    pass that Keras makes, an `evaluate` too, advances `epoch` by one.

    Raises:
        InputError: `batch_size` is not positive, or `seed` is negative.
    """

    def __init__(self, batch_size: int, seed: int | None) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"batch_size: expected an integer >= 1, got {batch_size}")
        if seed is not None and seed < 0:
            raise InputError(f"seed: expected None or an integer >= 0, got {seed}")
        self.seed = seed
        self.epoch = 0
        self._batch_size = batch_size
        self._epoch_has_begun = False
        # When each batch of the latest pass was ready, by `time.perf_counter`.
        self.ready_times: list[float] = []

    @property
    def num_rows(self) -> int:
        """The number of rows of an epoch."""
        raise NotImplementedError

    def _batch(self, epoch: int, step: int) -> tuple[Any, ...]:
        """Batch `step` of an epoch: `(inputs, labels)`, or `(inputs,)`."""
        raise NotImplementedError

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """The shapes of inputs that have other free axes than their first two; None stands for a free axis."""
        return {}

    def weighted(self, class_weight: Mapping[int, float] | None = None, sample_weight: Any = None) -> BatchSource:
        """The same batches with weights of rows or labels; `fit` calls this if it is given these arguments.

        Raises:
            InputError: these batches take no weights.
        """
        asked = "class_weight" if class_weight is not None else "sample_weight"
        raise InputError(f"{asked}: {type(self).__name__} take no weights; `Batches` of a data set with labels do.")

    def input_bounds(self) -> InputBounds | None:
        """The bounds of the token ids, types and lengths of all batches, padding included; None if they are unknown."""
        return None

    def __repr__(self) -> str:
        return short_repr(self, batches=len(self), batch_size=self._batch_size, seed=self.seed)

    @property
    def batch_size(self) -> int:
        """The number of rows of every batch except a partial one."""
        return self._batch_size

    @property
    def num_batches(self) -> int:
        """The number of steps in an epoch."""
        return len(self)

    def __len__(self) -> int:
        return -(-self.num_rows // self.batch_size)

    def __getitem__(self, step: int) -> Any:
        return self._batch(self.epoch, range(len(self))[step])  # an IndexError ends `for batch in batches`

    def on_epoch_begin(self) -> None:
        """Keras calls this when a pass begins."""
        self._epoch_has_begun = True

    def on_epoch_end(self) -> None:
        """Keras calls this when a pass ends, and once before the first pass, which must not count."""
        self.epoch += self._epoch_has_begun
        self._epoch_has_begun = False

    # === The methods of a Keras data adapter ===

    def get_tf_dataset(self) -> Any:
        """One pass as a `tf.data.Dataset` with free batch and length axes.

        Keras's own would fix an axis on which the first two batches happen to agree, and fail on the third.
        """
        import tensorflow as tf

        def free_axes(array: Any) -> tf.TensorSpec:
            return tf.TensorSpec([None] * min(array.ndim, 2) + list(array.shape[2:]), array.dtype)

        signature = tf.nest.map_structure(free_axes, self[0])
        for name, shape in self.input_shapes.items():
            signature[0][name] = tf.TensorSpec(shape, signature[0][name].dtype)
        one_pass = tf.data.Dataset.from_generator(self._one_pass, output_signature=signature)
        one_pass = one_pass.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(PREFETCHED)
        # tf.data's tuner sleeps longer and longer, and an epoch waits up to a minute until the last one's wakes up.
        options = tf.data.Options()
        options.autotune.enabled = False
        return one_pass.with_options(options)

    def get_numpy_iterator(self) -> Iterator[Any]:
        """One pass."""
        return self._one_pass()

    def get_jax_iterator(self) -> Iterator[Any]:
        """One pass."""
        return self._one_pass()

    def get_torch_dataloader(self) -> Any:
        """One pass as Keras wraps it for torch."""
        return PyDatasetAdapter(self).get_torch_dataloader()

    def _one_pass(self) -> Iterator[Any]:
        epoch = self.epoch  # tf.data reads ahead: a pass keeps the epoch in which it began
        ready_times = self.ready_times = []

        def batches() -> Iterator[Any]:
            for step in range(len(self)):
                batch = self._batch(epoch, step)
                ready_times.append(time.perf_counter())
                yield batch

        return batches()


class BatchStream(BatchSource):
    """Another source's batches in passes of `steps` each, which run across the source's epochs.

    For a run that saves itself after every pass. Pass `epoch` begins with the source's batch `epoch * steps`, counted
    from its first epoch.

    Raises:
        InputError: `steps` is not positive.
    """

    def __init__(self, source: BatchSource, steps: int) -> None:
        super().__init__(source.batch_size, source.seed)
        if steps < 1:
            raise InputError(f"steps: expected an integer >= 1, got {steps}")
        self.source = source
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """The source's."""
        return self.source.input_shapes

    def input_bounds(self) -> InputBounds | None:
        """The source's."""
        return self.source.input_bounds()

    def _batch(self, epoch: int, step: int) -> tuple[Any, ...]:
        return self.source._batch(*divmod(epoch * self.steps + step, len(self.source)))
