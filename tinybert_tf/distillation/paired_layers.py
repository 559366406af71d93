"""`PairedLayers`: the layers that a loss compares, and the loss that it makes of them; here where a map fixes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from tinybert_tf.distillation.losses.base import Means

FeatureOf = Callable[[int | None], Any]  # the feature of a layer; of None the whole feature, of all layers or of none
Compare = Callable[[Any, Any], Means]  # (student, teacher) to the loss of the two, by totals and counts
Pairs = tuple[tuple[int, int], ...]


class PairedLayers(Protocol):
    """The layers that one loss compares, fixed (`EachPair`, ...) or learned (`learned_map.LayerWeights`)."""

    @property
    def pairs(self) -> Pairs | None:
        """`(student_layer, teacher_layer)` of each pair; None where the loss compares the whole feature."""

    @property
    def num_comparisons(self) -> int:
        """How often `means` compares."""

    @property
    def couples_rows(self) -> bool:
        """Whether a row of a batch changes what the others contribute, so that a batch cannot be split."""

    def means(self, student: FeatureOf, teacher: FeatureOf, compare: Compare, training: bool) -> Means:
        """The loss of all layers, by totals and counts."""


@dataclass(frozen=True)
class WholeFeature:
    """One comparison of the whole feature: logits, or all layers in one dict."""

    pairs: ClassVar[None] = None
    num_comparisons: ClassVar[int] = 1
    couples_rows: ClassVar[bool] = False

    def means(self, student: FeatureOf, teacher: FeatureOf, compare: Compare, training: bool) -> Means:
        """The loss."""
        return compare(student(None), teacher(None))


@dataclass(frozen=True)
class EachPair:
    """One comparison for each pair of layers."""

    pairs: Pairs
    couples_rows: ClassVar[bool] = False

    @property
    def num_comparisons(self) -> int:
        """The number of pairs."""
        return len(self.pairs)

    def means(self, student: FeatureOf, teacher: FeatureOf, compare: Compare, training: bool) -> Means:
        """The losses of all pairs."""
        return [mean for ours, theirs in self.pairs for mean in compare(student(ours), teacher(theirs))]


@dataclass(frozen=True)
class ConsecutivePairs(EachPair):
    """One comparison for each pair of layers and the next pair, as `(lower, upper)`."""

    @property
    def num_comparisons(self) -> int:
        """One less than pairs."""
        return len(self.pairs) - 1

    def means(self, student: FeatureOf, teacher: FeatureOf, compare: Compare, training: bool) -> Means:
        """The losses from each pair to the next."""
        compared = [(student(ours), teacher(theirs)) for ours, theirs in self.pairs]
        steps = [zip(lower, upper, strict=True) for lower, upper in itertools.pairwise(compared)]
        return [mean for ours, theirs in steps for mean in compare(ours, theirs)]


# By `DistillationLoss.layers`; `all` compares the whole feature.
FIXED: dict[str, type[EachPair]] = {"mapped": EachPair, "embedding": EachPair, "consecutive": ConsecutivePairs}
