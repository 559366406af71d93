"""The models of a run: what is fine-tuned, the teacher, the student."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from tinybert_tf.config.rules import CheckedSection, Count, Positive, Precision, SettingError, one_of


@dataclass(frozen=True)
class ModelSection(CheckedSection):
    """The model to fine-tune: `dir` is a model directory, a run directory or a Hub id."""

    dir: str


@dataclass(frozen=True)
class TeacherSection(CheckedSection):
    """The teacher: `dir` is a model directory, a run directory or a Hub id; `precision` is the one it computes in.

    `others`: more teachers of the same labels and tokens. Predictions are then learned from the weighted mean of all
    teachers' logits; `shares`: how much each counts, `dir`'s first, by default all alike.
    """

    dir: str
    precision: Precision = "auto"
    others: tuple[str, ...] | None = None
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shares is not None and len(self.shares) != len(self.dirs):
            raise SettingError("shares", f"expected one for each of {len(self.dirs)} teachers, got {list(self.shares)}")
        if not all(0 < share < math.inf for share in self.shares or ()):
            raise SettingError("shares", f"expected finite numbers > 0, got {list(self.shares or ())}")

    @property
    def dirs(self) -> tuple[str, ...]:
        """All teachers, `dir` first."""
        return (self.dir, *(self.others or ()))


@dataclass(frozen=True)
class CutSection(CheckedSection):
    """How a student is cut from its teacher: on which training texts, in which basis, with which ridge.

    `num_texts` texts, fewer where they have more than `max_tokens` tokens: memory grows with these, by about 80 bytes
    for each token and channel of the teacher. `basis`, `ridge`: as in `tinybert_tf.cut_student`.
    """

    num_texts: Count = 512
    max_tokens: Count = 65_536
    basis: Annotated[str, one_of("components", "channels")] = "components"
    ridge: Positive = 1e-3


@dataclass(frozen=True)
class StudentSection(CheckedSection):
    """The student: a preset's sizes or a directory's weights (not both), how it starts, and sizes that replace theirs.

    `init`: `cut` fits each of its maps to the teacher's activations, `layers` copies layers of the teacher, `random`
    does neither; `auto` is `cut` where the student is nowhere larger than the teacher.
    """

    preset: str | None = None
    dir: str | None = None
    init: Annotated[str, one_of("auto", "cut", "layers", "random")] = "auto"
    cut: CutSection = field(default_factory=CutSection)
    num_hidden_layers: Count | None = None
    hidden_size: Count | None = None
    num_attention_heads: Count | None = None
    intermediate_size: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preset is not None and self.dir is not None:
            raise SettingError("dir", f"expected a preset or a dir, not both, got {self.preset!r} and {self.dir!r}")
