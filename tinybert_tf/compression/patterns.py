"""The patterns in which a kernel's weights become zero: single ones, blocks, or two of every four."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tinybert_tf.compression.tfmot import tfmot_module
from tinybert_tf.errors import InputError

UNSTRUCTURED = "unstructured"
_TWO_OF_FOUR = "2:4"
_BLOCK = re.compile(r"([1-9]\d*)x([1-9]\d*)")
ACCEPTED = f"{UNSTRUCTURED}, {_TWO_OF_FOUR}, or a block such as 1x4 or 16x1"


@dataclass(frozen=True)
class Pattern:
    """A pattern of zeros: blocks of `block[0]` inputs and `block[1]` outputs of a kernel `(inputs, outputs)`.

    With `of_four`, two of every four consecutive inputs of an output are zero, whatever the sparsity, as sparse tensor
    cores need them.
    """

    name: str
    block: tuple[int, int] = (1, 1)
    of_four: bool = False

    @classmethod
    def parse(cls, name: str) -> Pattern:
        """Parse `unstructured`, `2:4`, or a block such as `1x4`, one input and four outputs.

        Raises:
            InputError: the name is anything else.
        """
        if name == UNSTRUCTURED:
            return cls(name)
        if name == _TWO_OF_FOUR:
            return cls(name, block=(4, 1), of_four=True)
        match = _BLOCK.fullmatch(name)
        if match is None:
            raise InputError(f"pattern: expected {ACCEPTED}, got {name!r}.")
        return cls(name, block=(int(match[1]), int(match[2])))

    def check(self, kernel: str, shape: tuple[int, ...]) -> None:
        """Refuse a kernel whose shape is no multiple of the block.

        Raises:
            InputError: the pattern does not fit; the message names the kernel and its shape.
        """
        for size, block, axis in zip(shape, self.block, ("inputs", "outputs"), strict=True):
            if size % block:
                raise InputError(
                    f"pattern={self.name!r} does not fit {kernel} {shape}: its {size} {axis} are no multiple of "
                    f"{block}; choose another pattern, or `kernels` that leave it out."
                )

    def mask(self, kernel: Any, sparsity: Any) -> Any:
        """Return a bool mask of the kernel's shape, true for the weights to keep, as TFMOT computes it.

        Blocks are ranked by their mean magnitude; `round((1 - sparsity) * number)` of them are kept, at least one, and
        all whose magnitude equals that of the last one.

        Args:
            kernel: `(inputs, outputs)`.
            sparsity: fraction of the blocks that become zero, in [0, 1).
        """
        import tensorflow as tf

        exact = tf.cast(kernel, tf.float32)
        pruning = tfmot_module("sparsity.keras.pruning_impl").Pruning(
            lambda: 0, [], lambda step: (True, sparsity), block_size=(1, 1), block_pooling_type="AVG"
        )
        if self.of_four:
            return tf.cast(pruning._update_mask_sparsity_m_by_n(exact, (2, 4)), tf.bool)
        height, width = self.block
        rows, columns = exact.shape[0] // height, exact.shape[1] // width
        # TFMOT's own pooling loses an axis that has only one block.
        blocks = tf.reshape(tf.abs(exact), [rows, height, columns, width])
        _, mask = pruning._update_mask(tf.reduce_mean(blocks, axis=(1, 3)))
        return tf.repeat(tf.repeat(tf.cast(mask, tf.bool), height, axis=0), width, axis=1)
