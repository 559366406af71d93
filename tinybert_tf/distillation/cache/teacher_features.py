"""Cached features, read row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinybert_tf.distillation.cache.feature_file import CachedFeature, FeatureFile, Shape, corner, file_bytes
from tinybert_tf.distillation.cache.folders import mark_used


class TeacherFeatures:
    """Cached features of a data set's rows, read row by row; memory does not grow with the cache.

    `features(rows, length)` gives them padded with zeros to `length` tokens, by their keys. A row is checked against
    its checksum when it is read for the first time.

    Raises:
        InputError: when called, a file is damaged.
    """

    def __init__(self, directory: Path, cached: Sequence[CachedFeature], lengths: np.ndarray) -> None:
        mark_used(directory)
        self.shapes: dict[str, Shape] = {feature.key: (None, *feature.shape) for feature in cached}
        self.num_bytes = {feature.key: file_bytes(feature, lengths) for feature in cached}
        self._files = [FeatureFile(directory, feature, lengths, "rb") for feature in cached]

    def __call__(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """`{key: (len(rows), ...)}`, each of its shape with `length` for the axes of a row's length."""
        found = {}
        for file in self._files:
            padded = np.zeros((len(rows), *file.feature.row_shape(length)), file.feature.dtype)
            for place, row in enumerate(rows):
                values = file.read(int(row))
                padded[place][corner(values.shape)] = values
            found[file.feature.key] = padded
        return found
