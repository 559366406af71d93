"""`fit` for models whose batches come in an order of their own."""

from __future__ import annotations

from typing import Any

import keras


class OrderedFit(keras.Model):
    """A Keras model whose `fit` takes a `PyDataset`'s batches in the order that the data set gives.

    Keras's `shuffle=True` would permute the steps of a `PyDataset` with a random state outside anybody's control.
    """

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """`keras.Model.fit`; `shuffle` is off by default for a `PyDataset`."""
        if isinstance(x, keras.utils.PyDataset):
            kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)
