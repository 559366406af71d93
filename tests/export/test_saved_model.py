"""SavedModels compute what their models do, at any length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.export.saved_model import SavedModelRunner, write_saved_model
from tinybert_tf.models.heads.task_model import TaskModel


def test_logits_of_every_family_and_task(
    any_model: TaskModel,
    make_inputs: Callable[..., dict[str, np.ndarray]],
    keras_logits: Callable[..., np.ndarray],
    tmp_path: Path,
) -> None:
    write_saved_model(any_model, tmp_path / "saved_model")
    runner = SavedModelRunner(tmp_path / "saved_model")
    for length in (4, 9):
        inputs = make_inputs([length, 3, 4], length, any_model.config.pad_token_id)
        expected = keras_logits(any_model, inputs)
        real = inputs["attention_mask"].astype(bool) if expected.ndim == 3 else slice(None)
        np.testing.assert_allclose(runner(inputs)[real], expected[real], rtol=0, atol=1e-5)


def test_weights_are_saved_once(make_model: Callable[..., TaskModel], tmp_path: Path) -> None:
    model = make_model(vocab_size=20_000)
    write_saved_model(model, tmp_path / "saved_model")
    size = sum(path.stat().st_size for path in (tmp_path / "saved_model").rglob("*") if path.is_file())
    assert 4 * model.count_params() < size < 1.2 * 4 * model.count_params()


def test_no_saved_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a SavedModel of `tinybert export`"):
        SavedModelRunner(tmp_path)
