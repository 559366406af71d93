"""LiteRT files compute what their models do, with LiteRT's own operations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.export.litert import convert, custom_operations, operations
from tinybert_tf.export.litert_runner import LiteRTRunner
from tinybert_tf.models.heads.task_model import TaskModel

Inputs = Callable[..., dict[str, np.ndarray]]
Logits = Callable[..., np.ndarray]
Content = Callable[[TaskModel], bytes]


def test_logits_of_every_family_and_task(
    any_model: TaskModel, litert_content: Content, make_inputs: Inputs, keras_logits: Logits, tmp_path: Path
) -> None:
    """Of rows with padding, alone and in a batch, at two lengths."""
    content = litert_content(any_model)
    (tmp_path / "model.tflite").write_bytes(content)
    runner = LiteRTRunner(tmp_path / "model.tflite")
    assert list(runner.lengths) == [8, 12]
    for length in (8, 12):
        inputs = make_inputs([length, 3, 5], length, any_model.config.pad_token_id)
        expected = keras_logits(any_model, inputs)
        real = inputs["attention_mask"].astype(bool) if expected.ndim == 3 else slice(None)
        found = runner(inputs)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[real], expected[real], rtol=0, atol=1e-5)
        alone = runner({name: values[1:2] for name, values in inputs.items()})
        np.testing.assert_allclose(alone, found[1:2], rtol=0, atol=1e-5)
    assert custom_operations(content) == []


def test_a_classifier_computes_what_it_reads(make_model: Callable[..., TaskModel], litert_content: Content) -> None:
    """Tables are looked up, GELU is one operation, and nothing asks for a shape while it runs; at both lengths."""
    found = operations(litert_content(make_model()))
    assert found["EMBEDDING_LOOKUP"] == 2 * 2
    assert found["GELU"] == 2 * 2
    assert found["FULLY_CONNECTED"] == 2 * (2 * 6 + 2)
    assert not {"GATHER", "SHAPE", "FILL", "PACK", "REDUCE_PROD"} & found.keys()


def test_weights_are_in_a_file_once(make_model: Callable[..., TaskModel]) -> None:
    model = make_model(vocab_size=20_000, num_hidden_layers=1)
    one, two = (len(convert(model, lengths)) for lengths in ([8], [8, 12]))
    assert one > 4 * model.count_params()
    assert two < 1.05 * one


@pytest.mark.parametrize(
    ("lengths", "message"), [([41], "expected 3 to 40 tokens, .*got 41"), ([8, 2], "got 2"), ([], "none")]
)
def test_lengths_that_a_model_has_no_positions_for(
    lengths: list[int], message: str, make_model: Callable[..., TaskModel]
) -> None:
    with pytest.raises(InputError, match=message):
        convert(make_model(), lengths)
