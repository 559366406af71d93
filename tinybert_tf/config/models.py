"""The models of a run: the one to fine-tune, the teacher, the student."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from tinybert_tf.config.rules import CheckedSection, Count, Positive, Precision, SettingError, one_of

# The names of `tinybert_tf.models.sizes`, ascending.
SIZE_NAMES = ("tiny", "small", "medium")
# Half of the teacher's layers: the student that nothing else decides.
MEDIUM = SIZE_NAMES[-1]


@dataclass(frozen=True)
class ModelSection(CheckedSection):
    """The model to fine-tune: `dir` is a model directory, a run directory or a Hub id."""

    dir: str


@dataclass(frozen=True)
class TeacherSection(CheckedSection):
    """The teacher: `dir` is a model directory, a run directory or a Hub id; it computes in `precision`.

    `others`: more teachers with the same labels and tokens. Students then learn from the weighted mean of all teachers'
    logits. `shares`: the weight of each teacher, that of `dir` first; by default all are equal.
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
    """How a student is cut from its teacher: the training texts, the basis and the ridge.

    At most `num_texts` texts with at most `max_tokens` tokens together are used: memory grows by about 80 bytes for
    each token and channel of the teacher. `basis`, `ridge`: as in `tinybert_tf.cut_student`.
    """

    num_texts: Count = 512
    max_tokens: Count = 65_536
    basis: Annotated[str, one_of("components", "channels")] = "components"
    ridge: Positive = 1e-3


@dataclass(frozen=True)
class StudentSection(CheckedSection):
    """The student: a preset, a directory's weights or a named size (one of them), its first weights, own sizes.

    `size`: shares of the teacher's sizes: `tiny`, `small` or `medium`. With none of all these a distillation takes the
    smallest of the three whose cut, before it is trained, answers held-back texts almost as the teacher does; a
    general distillation takes `medium`. The sizes that are given beside a preset or a `size` replace its own.

    `init`: `cut` fits each of its maps to the teacher's activations, `layers` copies layers of the teacher, `random`
    does neither; `auto` is `cut` if no size of the student is larger than the teacher's.
    """

    preset: str | None = None
    dir: str | None = None
    size: Annotated[str, one_of(*SIZE_NAMES)] | None = None
    init: Annotated[str, one_of("auto", "cut", "layers", "random")] = "auto"
    cut: CutSection = field(default_factory=CutSection)
    num_hidden_layers: Count | None = None
    hidden_size: Count | None = None
    num_attention_heads: Count | None = None
    intermediate_size: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = {name: value for name in ("preset", "dir", "size") if (value := getattr(self, name)) is not None}
        if len(given) > 1:
            first, second = list(given)[:2]
            raise SettingError(
                second, f"expected a {first} or a {second}, not both, got {given[first]!r} and {given[second]!r}"
            )

    @property
    def has_no_size(self) -> bool:
        """Whether the config gives no size."""
        own = (self.num_hidden_layers, self.hidden_size, self.num_attention_heads, self.intermediate_size)
        return all(value is None for value in (self.preset, self.dir, self.size, *own))

    @property
    def is_open(self) -> bool:
        """Whether a distillation chooses the size, by what students cut from their teacher miss of it."""
        return self.has_no_size and self.init in ("auto", "cut")
