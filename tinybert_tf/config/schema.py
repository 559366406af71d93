"""The run configurations: the meaning of each key, its default, and its rule.

Every section checks its own values when it is made. An error names the key inside the section; loading a file puts the
section's path and the file before it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from tinybert_tf.config.glue import with_glue
from tinybert_tf.config.models import ModelSection, StudentSection, TeacherSection
from tinybert_tf.config.rules import (
    WEIGHT,
    CheckedSection,
    Columns,
    Count,
    Dev,
    Fraction,
    LayerPairs,
    MaxLength,
    Metric,
    NotNegative,
    Positive,
    Precision,
    Projections,
    Rule,
    Schedule,
    Seed,
    SettingError,
    Task,
    integer,
    one_of,
)
from tinybert_tf.config.tasks import DEFAULT_TASK, TASK_KEYS

Lengths = Annotated[
    tuple[int, ...],
    Rule("at least one length, each an integer >= 1", lambda v: v != () and all(map(integer(1).holds, v))),
]
# The epochs of a stage with neither `epochs` nor `max_steps`.
DEFAULT_EPOCHS = 3
_PATH_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Data(CheckedSection):
    """The examples: files, and their columns, if the task's files have columns.

    `train`, `dev`, `test`: paths. `dev` may be a fraction instead, above 0 and below 1: so many of the texts, or
    documents, of `train` are held out to choose the best epoch. Each label gives its share, and only `dev_seed` decides
    which texts, so that teacher and student hold out the same. For a distillation there can be more texts, without
    labels, which its teacher answers: `unlabelled` are files with the same columns of text, `augment` is the number of
    new texts to make of each row of `train` (a rule chooses it if it is not given). Every stage that learns from the
    teacher and has no file of its own trains on them too. `text`: the column of the text, or the two columns of a
    pair (in YAML also `a,b`). `label`: the column of the label. `labels`: the names of its integers, in their order.
    `positive`: the one of two labels whose F1 is measured, by default the one that 1 stands for. `max_length`: the most
    tokens of an example, [CLS] and [SEP] included. `padded_lengths`: the lengths to which batches are padded; by
    default the longest example's, or with XLA, which compiles every length, one of a few lengths.
    """

    train: str
    dev: Dev = 0.1
    text: Columns | None = None
    label: str | None = None
    labels: tuple[str, ...] | None = None
    positive: str | None = None
    test: str | None = None
    unlabelled: tuple[str, ...] | None = None
    augment: Annotated[int, integer(0)] | None = None
    max_length: MaxLength = 128
    padded_lengths: Lengths | None = None
    dev_seed: Seed = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padded_lengths is not None and max(self.padded_lengths) < self.max_length:
            raise SettingError(
                "padded_lengths",
                f"expected a last length >= max_length={self.max_length}, got {list(self.padded_lengths)}",
            )


@dataclass(frozen=True)
class Train(CheckedSection):
    """How to train.

    A stage ends after `epochs` passes over its data or `max_steps` optimizer steps, whichever comes first. `patience`:
    it also ends after so many epochs without a better result on the dev set. `learning_rate`: the highest learning
    rate; `schedule`: its course after the warm-up. What is not given of length and rate is chosen by rules.
    `warmup_fraction`: the fraction of the steps in which it rises, in [0, 1). `weight_decay`: a step shrinks
    weights by this times the learning rate.

    `batch_tokens`: the most tokens of a batch, padding included, in place of `batch_size`. `accumulation_steps`: the
    number of parts of a batch that are computed in turn, to save memory. `steps_per_execution`: the number of steps
    that a GPU gets at once. `xla`: whether steps are compiled with XLA; by default only on one GPU.
    """

    epochs: Count | None = None
    max_steps: Count | None = None
    patience: Count | None = None
    batch_size: Count = 32
    batch_tokens: Count | None = None
    accumulation_steps: Count = 1
    learning_rate: Positive | None = None
    schedule: Schedule = "linear"
    warmup_fraction: Fraction = 0.1
    weight_decay: NotNegative = 0.01
    seed: Seed = 1
    precision: Precision = "auto"
    xla: bool | None = None
    steps_per_execution: Count = 1

    def check_batches(self, data: Data, key: str = "train") -> None:
        """Refuse batches that the longest example does not fit into."""
        longest = data.max_length if data.padded_lengths is None else max(data.padded_lengths)
        if self.batch_tokens is not None and self.batch_tokens < longest:
            raise SettingError(
                f"{key}.batch_tokens",
                f"expected an integer >= {longest}, the most tokens of an example, got {self.batch_tokens}",
            )


@dataclass(frozen=True)
class WeightSection(CheckedSection):
    """A loss's weight that changes linearly from `start` to `end` in the first `steps` optimizer steps of a stage."""

    start: NotNegative
    end: NotNegative
    steps: Count


@dataclass(frozen=True)
class LossSection(CheckedSection):
    """A loss: its name, its weight in the total (a number, or a `WeightSection`), and its own options.

    In YAML it is a name, or a mapping of `name`, `weight` and the options.
    """

    name: str
    weight: Annotated[float | WeightSection, WEIGHT] = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_shorthand(cls, value: Any) -> Any:
        """Return the section as a mapping of its fields; anything but text or a mapping comes back as it is."""
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
    """One stage of a distillation: its losses, its layer map, and its own values for `data.train` and `train`.

    `layer_map`: `uniform`, `top`, `bottom`, learned (`emd`, `attention`), or pairs (student layer, teacher layer).
    `projections`: maps between unequal widths, one `shared` by all pairs of layers or one `per_layer`. `train`: a
    training file for this stage, with the same columns. `name` becomes part of file names.
    """

    name: str
    losses: tuple[LossSection, ...]
    layer_map: LayerPairs = "uniform"
    projections: Projections = "shared"
    train: str | None = None
    epochs: Count | None = None
    max_steps: Count | None = None
    patience: Count | None = None
    batch_size: Count | None = None
    batch_tokens: Count | None = None
    learning_rate: Positive | None = None
    schedule: Schedule | None = None
    warmup_fraction: Fraction | None = None
    weight_decay: NotNegative | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _PATH_SAFE.fullmatch(self.name):
            raise SettingError(
                "name", f"expected letters, digits and _ . - with a letter or digit first, got {self.name!r}"
            )
        if not self.losses:
            raise SettingError("losses", "expected at least one loss, got none")

    def resolved(self, train: Train) -> Train:
        """Return `train` with this stage's overrides applied."""
        own = {each.name: getattr(self, each.name, None) for each in dataclasses.fields(Train)}
        return dataclasses.replace(train, **{key: value for key, value in own.items() if value is not None})


def inside_losses() -> tuple[LossSection, ...]:
    """Return TinyBERT's losses on the inside of the network, those of general distillation (Jiao et al. 2020)."""
    return tuple(LossSection(name) for name in ("embedding", "attention", "hidden_state"))


def _tinybert_stages() -> tuple[StageSection, ...]:
    """Return TinyBERT's two stages (Jiao et al. 2020): first the inside of the network, then its output."""
    return (
        StageSection("intermediate", inside_losses()),
        StageSection("prediction", (LossSection("prediction"),)),
    )


class LabelledConfig(CheckedSection):
    """A configuration with a `task` and its `data`; the name of a GLUE task is a shorthand for its entry in `GLUE`."""

    @classmethod
    def from_shorthand(cls, plain: Any) -> Any:
        """Return the mapping with the values that a GLUE task's name stands for."""
        return with_glue(plain) if isinstance(plain, Mapping) else plain

    @classmethod
    def needed_keys(cls, plain: Mapping[str, Any]) -> tuple[str, ...]:
        """The keys without a default that the task of this plain mapping needs."""
        return TASK_KEYS.get(str(plain.get("task") or DEFAULT_TASK), ())


@dataclass(frozen=True, kw_only=True)
class DistillConfig(LabelledConfig):
    """A distillation: from a teacher to a student, in stages.

    `teacher_cache`: the teacher's outputs that are computed once and kept on disk: `logits`, all `features` that the
    losses compare, those of them that are read more than once and fit (`auto`), or none (`off`). `cache_dir`: the
    directory of the cache, shared by all runs; by default `$TINYBERT_CACHE` or `tinybert_tf` among the user's caches.
    `max_disk_gib`: its largest size in GiB.

    `out`: the run directory. `metric`: the metric that chooses the best epoch; by default the task's own. `baseline`:
    whether to train the same student on hard labels too, for comparison. `allow_weak_teacher`: whether to accept a
    teacher that is no better than guessing. `chosen`: in the config of a run, the keys whose values the run has chosen.
    """

    teacher: TeacherSection
    student: StudentSection = field(default_factory=StudentSection)
    data: Data
    train: Train = field(default_factory=Train)
    stages: tuple[StageSection, ...] = field(default_factory=_tinybert_stages)
    chosen: tuple[str, ...] | None = None
    teacher_cache: Annotated[str, one_of("auto", "logits", "features", "off")] = "auto"
    cache_dir: str | None = None
    max_disk_gib: Positive = 5.0
    out: str
    task: Task = DEFAULT_TASK
    metric: Metric | None = None
    baseline: bool = False
    allow_weak_teacher: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for number, stage in enumerate(self.stages):
            stage.resolved(self.train).check_batches(self.data, f"stages.{number}" if stage.batch_tokens else "train")
        own = next((number for number, stage in enumerate(self.stages) if stage.train is not None), None)
        if own is not None and not isinstance(self.data.dev, str):
            raise SettingError(
                "data.dev",
                f"expected a file, got {self.data.dev}: texts held out of data.train may be in stages.{own}.train",
            )
        names = [stage.name for stage in self.stages]
        if not names:
            raise SettingError("stages", "expected at least one stage, got none")
        for number, name in enumerate(names):
            if name in names[:number]:
                raise SettingError(f"stages.{number}.name", f"expected a name that no earlier stage has, got {name!r}")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(LabelledConfig):
    """A fine-tuning: a model, the examples, how to train, and the run directory `out`.

    `metric`: the metric that chooses the best epoch; by default the task's own. `chosen` as in `DistillConfig`.
    """

    model: ModelSection
    data: Data
    train: Train = field(default_factory=Train)
    chosen: tuple[str, ...] | None = None
    out: str
    task: Task = DEFAULT_TASK
    metric: Metric | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.train.check_batches(self.data)
        for name in ("unlabelled", "augment"):
            if getattr(self.data, name):
                raise SettingError(f"data.{name}", f"expected none without a teacher, got {getattr(self.data, name)!r}")
