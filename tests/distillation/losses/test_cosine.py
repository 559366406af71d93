"""`CosineLoss` by hand."""

from __future__ import annotations

import numpy as np

from tinybert_tf import CosineLoss


def test_value_without_padding() -> None:
    student = np.array([[[3.0, 4.0], [1.0, 0.0], [7.0, 7.0]]])
    teacher = np.array([[[4.0, 3.0], [0.0, 1.0], [-7.0, 7.0]]])
    mask = np.array([[1, 1, 0]])
    loss = CosineLoss()(student=student, teacher=teacher, mask=mask)
    np.testing.assert_allclose(loss, ((1 - 24 / 25) + (1 - 0)) / 2, rtol=1e-6)
