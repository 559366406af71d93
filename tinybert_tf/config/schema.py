"""The run configurations: what each key means, its default, and what it accepts.

Every section checks its own values when it is made. An error names the key inside the section; loading a file puts the
section's path and the file before it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinybert_tf.config.glue import with_glue
from tinybert_tf.config.rules import CheckedSection, SettingError
from tinybert_tf.config.tasks import DEFAULT_TASK, TASK_KEYS

_PATH_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Data(CheckedSection):
    """The examples: files, and columns where the task's files have any.

    `train`, `dev`, `test`: paths. `text`: the column of the text, or the two columns of a pair (in YAML also `a,b`).
    `label`: the column of the label. `labels`: what integers in it stand for, in their order. `max_length`: tokens of
    an example, [CLS] and [SEP] included. `padded_lengths`: what batches are padded to; by default each to its longest
    example, or with XLA, which compiles every length, to one of a few lengths.
    """

    train: str
    dev: str
    text: tuple[str, ...] | None = None
    label: str | None = None
    labels: tuple[str, ...] | None = None
    test: str | None = None
    max_length: int = 128
    padded_lengths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padded_lengths is not None and max(self.padded_lengths) < self.max_length:
            raise SettingError(
                "padded_lengths", f"{list(self.padded_lengths)} ends before max_length={self.max_length}"
            )


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
    precision: str = "auto"
    others: tuple[str, ...] | None = None
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shares is not None and len(self.shares) != len(self.dirs):
            raise SettingError("shares", f"{list(self.shares)} for {len(self.dirs)} teachers, one for each is wanted")
        if not all(0 < share < math.inf for share in self.shares or ()):
            raise SettingError("shares", f"{list(self.shares or ())}: finite numbers above 0 are wanted")

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

    num_texts: int = 512
    max_tokens: int = 65_536
    basis: str = "components"
    ridge: float = 1e-3


@dataclass(frozen=True)
class StudentSection(CheckedSection):
    """The student: a preset's sizes or a directory's weights (not both), how it starts, and sizes that replace theirs.

    `init`: `cut` fits each of its maps to the teacher's activations, `layers` copies layers of the teacher, `random`
    does neither; `auto` is `cut` where the student is nowhere larger than the teacher.
    """

    preset: str | None = None
    dir: str | None = None
    init: str = "auto"
    cut: CutSection = field(default_factory=CutSection)
    num_hidden_layers: int | None = None
    hidden_size: int | None = None
    num_attention_heads: int | None = None
    intermediate_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preset is not None and self.dir is not None:
            raise SettingError(
                "dir", f"{self.dir!r} is given beside preset {self.preset!r}, one of the two is accepted"
            )


@dataclass(frozen=True)
class Train(CheckedSection):
    """How to train.

    A stage ends after `epochs` over its data or `max_steps` optimizer steps, where both are given with the first of the
    two, where none is after 3 epochs (in pretraining 1). `patience`: epochs without a better dev set after which it
    ends early. `learning_rate`: at its peak. `schedule`: how it goes on after the warm-up. `warmup_fraction`: fraction
    of the steps in which it rises, in [0, 1). `weight_decay`: per step, times the learning rate.

    `batch_tokens`, in place of `batch_size`: tokens of a batch at most, padding included. `accumulation_steps`: parts
    that a batch is passed through in, for the memory of one. `steps_per_execution`: steps that a GPU is given at once.
    `xla`: whether steps are compiled with XLA; by default on one GPU.
    """

    epochs: int | None = None
    max_steps: int | None = None
    patience: int | None = None
    batch_size: int = 32
    batch_tokens: int | None = None
    accumulation_steps: int = 1
    learning_rate: float = 5e-5
    schedule: str = "linear"
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    seed: int = 1
    precision: str = "auto"
    xla: bool | None = None
    steps_per_execution: int = 1

    def check_batches(self, data: Data, key: str = "train") -> None:
        """Refuse batches that the longest example does not fit into."""
        longest = data.max_length if data.padded_lengths is None else max(data.padded_lengths)
        if self.batch_tokens is not None and self.batch_tokens < longest:
            raise SettingError(f"{key}.batch_tokens", f"{self.batch_tokens}: an example may have {longest}")


@dataclass(frozen=True)
class WeightSection(CheckedSection):
    """A loss's weight that goes in a straight line from `start` to `end` in `steps` optimizer steps of the stage."""

    start: float
    end: float
    steps: int


@dataclass(frozen=True)
class LossSection(CheckedSection):
    """A loss by name, its weight in the total, a number or one that changes, and its own options.

    In YAML it is a name, or a mapping of `name`, `weight` and the options.
    """

    name: str
    weight: float | WeightSection = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_shorthand(cls, value: Any) -> Any:
        """Return the section as a mapping of its fields; what is neither text nor a mapping comes back as it is."""
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Mapping):
            return value
        own = {key: value[key] for key in ("name", "weight") if key in value}
        return {**own, "options": {key: value[key] for key in value if key not in own}}

    def to_shorthand(self) -> dict[str, Any]:
        """Return the mapping that `from_shorthand` takes."""
        return {"name": self.name, "weight": self.weight, **self.options}


@dataclass(frozen=True)
class StageSection(CheckedSection):
    """One stage of a distillation: its losses, its layer map, and what it overrides in `data.train` and `train`.

    `layer_map`: `uniform`, `top`, `bottom`, learned ones (`emd`, `attention`), or pairs (student layer, teacher layer).
    `projections`: between unequal widths, one `shared` by all pairs of layers or one `per_layer`. `train`: a training
    file of its own, with the same columns. `name` becomes part of file names.
    """

    name: str
    losses: tuple[LossSection, ...]
    layer_map: str | tuple[tuple[int, int], ...] = "uniform"
    projections: str = "shared"
    train: str | None = None
    epochs: int | None = None
    max_steps: int | None = None
    patience: int | None = None
    batch_size: int | None = None
    batch_tokens: int | None = None
    learning_rate: float | None = None
    schedule: str | None = None
    warmup_fraction: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _PATH_SAFE.fullmatch(self.name):
            raise SettingError("name", f"{self.name!r} is not letters, digits and _ . - (a letter or digit first)")
        if not self.losses:
            raise SettingError("losses", "is empty, at least one loss is wanted")

    def resolved(self, train: Train) -> Train:
        """Return `train` with this stage's overrides applied."""
        own = {each.name: getattr(self, each.name, None) for each in dataclasses.fields(Train)}
        return dataclasses.replace(train, **{key: value for key, value in own.items() if value is not None})


def inside_losses() -> tuple[LossSection, ...]:
    """Return TinyBERT's losses inside the network: all that general distillation has (Jiao et al. 2020)."""
    return tuple(LossSection(name) for name in ("embedding", "attention", "hidden_state"))


def _tinybert_stages() -> tuple[StageSection, ...]:
    """Return TinyBERT's two stages (Jiao et al. 2020): first what is inside the network, then its output."""
    return (
        StageSection("intermediate", inside_losses()),
        StageSection("prediction", (LossSection("prediction"),)),
    )


class LabelledConfig(CheckedSection):
    """A configuration with a `task` and its `data`; a task of GLUE's is a shorthand for what `GLUE` says of it."""

    @classmethod
    def from_shorthand(cls, plain: Any) -> Any:
        """Return the mapping with what a GLUE task's name stands for."""
        return with_glue(plain) if isinstance(plain, Mapping) else plain

    @classmethod
    def needed_keys(cls, plain: Mapping[str, Any]) -> tuple[str, ...]:
        """The keys that have no value of their own, and that the task of this plain mapping needs."""
        return TASK_KEYS.get(str(plain.get("task") or DEFAULT_TASK), ())


@dataclass(frozen=True, kw_only=True)
class DistillConfig(LabelledConfig):
    """A distillation: from a teacher to a student, in stages.

    `teacher_cache`: what the teacher says is computed once and kept on disk: `logits`, all `features` that the losses
    compare, `auto` of these what is read more than once and fits, or nothing (`off`). `cache_dir`: where, shared by all
    runs; by default `$TINYBERT_CACHE` or `tinybert_tf` among the user's caches. `max_disk_gib`: its size in GiB.

    `out`: the run directory. `metric`: the one that chooses the best epoch; by default the task's own. `baseline`: also
    train the same student on hard labels only. `allow_weak_teacher`: go on with a teacher that is no better than
    guessing.
    """

    teacher: TeacherSection
    student: StudentSection = field(default_factory=StudentSection)
    data: Data
    train: Train = field(default_factory=Train)
    stages: tuple[StageSection, ...] = field(default_factory=_tinybert_stages)
    teacher_cache: str = "auto"
    cache_dir: str | None = None
    max_disk_gib: float = 20.0
    out: str
    task: str = DEFAULT_TASK
    metric: str | None = None
    baseline: bool = False
    allow_weak_teacher: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for number, stage in enumerate(self.stages):
            stage.resolved(self.train).check_batches(self.data, f"stages.{number}" if stage.batch_tokens else "train")
        names = [stage.name for stage in self.stages]
        if not names:
            raise SettingError("stages", "is empty, at least one stage is wanted")
        for number, name in enumerate(names):
            if name in names[:number]:
                raise SettingError(
                    f"stages.{number}.name", f"{name!r} names an earlier stage too, another name is wanted"
                )


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(LabelledConfig):
    """A fine-tuning: a model, the examples, how to train, and the run directory `out`.

    `metric`: the one that chooses the best epoch; by default the task's own.
    """

    model: ModelSection
    data: Data
    train: Train = field(default_factory=Train)
    out: str
    task: str = DEFAULT_TASK
    metric: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.train.check_batches(self.data)
