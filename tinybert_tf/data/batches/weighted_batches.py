"""Batches with a weight for each row or label, as Keras's `class_weight` and `sample_weight` ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinybert_tf.data.batches.batch_source import BatchSource
from tinybert_tf.data.batches.token_labels import TokenLabels
from tinybert_tf.errors import InputError


class WeightedBatches(BatchSource):
    """Another source's batches as `(inputs, labels, weights)`, in its order.

    As in Keras, a loss is the sum of weight times loss, divided by the number of rows, or of labels.

    Args:
        source: `Batches` with labels.
        class_weight: `{class: weight}` for integer labels; a class that is not in it has weight 1.
        sample_weight: a weight for each row of the data set, `(rows,)`.

    Raises:
        InputError: both weights are given; there are no labels, or labels that are not classes; the number of
            weights is not that of the rows.
    """

    def __init__(self, source: Any, class_weight: Mapping[int, float] | None, sample_weight: Any = None) -> None:
        super().__init__(source.batch_size, source.seed)
        if class_weight is not None and sample_weight is not None:
            raise InputError("class_weight and sample_weight: found both, expected one of them.")
        if len(source[0]) < 2:
            raise InputError("class_weight or sample_weight: found batches without labels, expected some with.")
        self.source = source
        self.epoch = source.epoch
        self.class_weight = None if class_weight is None else self._checked_classes(class_weight)
        self.sample_weight = None if sample_weight is None else self._checked_rows(sample_weight)

    def __len__(self) -> int:
        return len(self.source)

    def __getattr__(self, name: str) -> Any:
        if name == "source" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.source, name)

    @property
    def num_rows(self) -> int:
        """The source's."""
        return int(self.source.num_rows)

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """The source's."""
        return dict(self.source.input_shapes)

    def on_epoch_end(self) -> None:
        """Advance the source together with these batches."""
        super().on_epoch_end()
        self.source.epoch = self.epoch

    def _batch(self, epoch: int, step: int) -> tuple[Any, ...]:
        inputs, labels = self.source._batch(epoch, step)
        if self.sample_weight is not None:
            return inputs, labels, self.sample_weight[self.source.rows_of(epoch, step)]
        weights = np.ones(labels.shape, np.float32)
        for number, weight in (self.class_weight or {}).items():
            weights[labels == number] = weight
        return inputs, labels, weights

    def _checked_classes(self, class_weight: Mapping[int, float]) -> dict[int, float]:
        labels = getattr(self.source, "labels", None)
        values = labels.values if isinstance(labels, TokenLabels) else np.asarray(labels)
        if not np.issubdtype(values.dtype, np.integer) or values.ndim > 1:
            raise InputError("class_weight: found labels that are not classes, expected integers.")
        return {int(number): float(weight) for number, weight in class_weight.items()}

    def _checked_rows(self, sample_weight: Any) -> np.ndarray:
        weights = np.asarray(sample_weight, np.float32)
        if weights.shape != (self.source.num_rows,):
            raise InputError(
                f"sample_weight: found shape {weights.shape}, expected ({self.source.num_rows},): one for each row."
            )
        return weights
