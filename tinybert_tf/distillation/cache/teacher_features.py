"""`TeacherFeatures`: reads cached features row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinybert_tf.distillation.cache.feature_file import CachedFeature, FeatureFile, Shape, corner, file_bytes
from tinybert_tf.distillation.cache.folders import mark_used


class TeacherFeatures:
    """Cached features of a data set's rows, read row by row; memory does not grow with the cache.

    `features(rows, length)` gives them by their keys, padded with zeros to `length` tokens. A row is compared with its
    checksum when it is read for the first time.

    Raises:
        InputError: a file is damaged (in a call).
    """

    def __init__(self, directory: Path, cached: Sequence[CachedFeature], lengths: np.ndarray) -> None:
        mark_used(directory)
        self.shapes: dict[str, Shape] = {feature.key: (None, *feature.shape) for feature in cached}
        self.num_bytes = {feature.key: file_bytes(feature, lengths) for feature in cached}
        self._files = [FeatureFile(directory, feature, lengths, "rb") for feature in cached]

    def __call__(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """`{key: (len(rows), ...)}`, where `length` replaces the axes of a row's length in the feature's shape."""
        found = {}
        for file in self._files:
            padded = np.zeros((len(rows), *file.feature.row_shape(length)), file.feature.dtype)
            for place, row in enumerate(rows):
                values = file.read(int(row))
                padded[place][corner(values.shape)] = values
            found[file.feature.key] = padded
        return found
