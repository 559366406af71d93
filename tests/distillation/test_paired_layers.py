"""Fixed pairs of layers by hand: how often they compare, and what."""

from __future__ import annotations

from typing import Any

import pytest

from tinybert_tf import DistillationLoss, LayerMap
from tinybert_tf.distillation.comparison import Comparison
from tinybert_tf.distillation.losses import LOSSES
from tinybert_tf.distillation.paired_layers import PairedLayers

PAIRS = [(0, 0), (1, 2), (2, 4), (3, 6)]


class AllLayers(DistillationLoss):
    feature = "values"
    layers = "all"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return 0.0


def compared(layers: PairedLayers) -> list[Any]:
    """The arguments of each comparison, of models whose features are "s1", "t2", ..."""
    calls: list[Any] = []

    def compare(ours: Any, theirs: Any) -> list[Any]:
        calls.append((ours, theirs))
        return ["mean"]

    means = layers.means("s{}".format, "t{}".format, compare, training=True)
    assert len(means) == len(calls) == layers.num_comparisons
    return calls


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (LOSSES["embedding"](), [("s0", "t0")]),
        (LOSSES["hidden_state"](), [("s1", "t2"), ("s2", "t4"), ("s3", "t6")]),
        (LOSSES["fsp"](), [(("s1", "s2"), ("t2", "t4")), (("s2", "s3"), ("t4", "t6"))]),
        (LOSSES["prediction"](), [("sNone", "tNone")]),
        (AllLayers(), [("sNone", "tNone")]),
    ],
)
def test_the_layers_of_each_kind_of_loss(loss: DistillationLoss, expected: list[Any]) -> None:
    assert compared(Comparison.bind(loss, "loss", LayerMap.from_pairs(PAIRS, 3, 6)).layers) == expected
