"""Masks by hand, and TFMOT's own beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.compression.patterns import Pattern
from tinybert_tf.compression.tfmot import tfmot_module

KERNEL = np.array(
    [[0.1, -0.9, 0.3, 0.8], [-0.2, 0.7, 0.4, -0.5], [1.6, 1.5, -1.4, 1.3], [-1.0, 1.1, -1.2, 0.6]], np.float32
)


def mask(name: str, sparsity: float, kernel: np.ndarray = KERNEL) -> list[list[int]]:
    return np.asarray(Pattern.parse(name).mask(kernel, sparsity)).astype(int).tolist()


def test_unstructured() -> None:
    # The eight largest of 16 magnitudes: 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0, 0.9.
    assert mask("unstructured", 0.5) == [[0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]


def test_blocks_go_by_their_mean() -> None:
    # Rows of four: means 0.525, 0.45, 1.45, 0.975.
    assert mask("1x4", 0.5) == [[0] * 4, [0] * 4, [1] * 4, [1] * 4]
    assert mask("1x4", 0.25) == [[1] * 4, [0] * 4, [1] * 4, [1] * 4]
    # Columns of four: means 0.725, 1.05, 0.825, 0.8; one block along an axis is no axis less.
    assert mask("4x1", 0.5) == [[0, 1, 1, 0]] * 4
    # Squares: 0.475, 0.5, 1.3, 1.125.
    assert mask("2x2", 0.25) == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_two_of_four_inputs_of_each_output() -> None:
    # Column by column: 1.6 and 1.0; 1.5 and 1.1; 1.4 and 1.2; 1.3 and 0.8.
    assert mask("2:4", 0.5) == [[0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]


def test_two_of_four_in_every_group() -> None:
    kernel = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)
    kept = np.asarray(Pattern.parse("2:4").mask(kernel, 0.5))
    np.testing.assert_array_equal(kept.reshape(6, 4, 6).sum(axis=1), 2)


@pytest.mark.parametrize(("name", "arguments"), [("unstructured", {"block_size": (1, 1)}), ("1x4", {}), ("16x1", {})])
def test_masks_are_tfmots(name: str, arguments: dict[str, Any]) -> None:
    import tensorflow as tf

    kernel = np.random.default_rng(1).normal(size=(32, 48)).astype(np.float32)
    given = {"block_size": Pattern.parse(name).block, "block_pooling_type": "AVG", **arguments}
    for sparsity in (0.0, 0.3, 0.8, 0.99):
        schedule = tfmot_module("sparsity.keras.pruning_schedule").ConstantSparsity(sparsity, 0)
        pruning = tfmot_module("sparsity.keras.pruning_impl").Pruning(lambda: 0, [], schedule, **given)
        _, theirs = pruning._maybe_update_block_mask(tf.constant(kernel))
        np.testing.assert_array_equal(np.asarray(theirs).astype(int), mask(name, sparsity, kernel))


def test_one_weight_is_always_kept() -> None:
    assert np.sum(mask("unstructured", 0.999)) == 1


@pytest.mark.parametrize("name", ["", "4", "0x4", "1x", "2:8", "block", "1x4x4"])
def test_unknown_patterns_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="pattern: expected unstructured, 2:4, or a block such as 1x4"):
        Pattern.parse(name)


@pytest.mark.parametrize(
    ("name", "shape", "found"),
    [("2:4", (6, 8), "6 inputs are no multiple of 4"), ("1x4", (8, 6), "6 outputs are no multiple of 4")],
)
def test_kernels_that_blocks_do_not_fill_are_refused(name: str, shape: tuple[int, int], found: str) -> None:
    with pytest.raises(InputError, match=rf"pattern='{name}' does not fit query/kernel .*: its {found}"):
        Pattern.parse(name).check("query/kernel", shape)
    Pattern.parse(name).check("query/kernel", (8, 8))
