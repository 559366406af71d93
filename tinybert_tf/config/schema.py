"""The run configurations: what each key means, its default, and what it accepts.

Every section checks its own values when it is made. An error names the key inside the section; loading a file puts the
section's path and the file before it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinybert_tf.errors import InputError


class SettingError(InputError):
    """A key whose value cannot be used: `key` (dotted, inside its section) and `problem` (found, and accepted)."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


@dataclass(frozen=True)
class _Rule:
    accepted: str
    holds: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(at_least: int) -> _Rule:
    return _Rule(
        f"a whole number of at least {at_least}", lambda v: _number(v) and isinstance(v, int) and v >= at_least
    )


def _one_of(*choices: str) -> _Rule:
    return _Rule(f"one of {', '.join(choices)}", lambda v: v in choices)


_NOT_NEGATIVE = _Rule("a finite number of at least 0", lambda v: _number(v) and v >= 0)
_PRECISION = _one_of("auto", "float32", "bfloat16", "float16")
_PAIRS = _Rule(
    "one of uniform, top, bottom, or a list of pairs [student layer, teacher layer] with numbers of at least 0",
    lambda v: v in ("uniform", "top", "bottom") or (isinstance(v, tuple) and v != () and _layers(v)),
)


def _layers(pairs: tuple[Any, ...]) -> bool:
    return all(len(pair) == 2 and all(_whole(0).holds(layer) for layer in pair) for pair in pairs)


# A key of this name follows this rule in whatever section it stands, unless it is None (not set).
_RULES: Mapping[str, _Rule] = {
    "batch_size": _whole(1),
    "epochs": _whole(1),
    "hidden_size": _whole(1),
    "init": _one_of("auto", "random", "layers"),
    "intermediate_size": _whole(1),
    "layer_map": _PAIRS,
    "learning_rate": _Rule("a finite number above 0", lambda v: _number(v) and v > 0),
    "max_length": _whole(8),
    "max_steps": _whole(1),
    "num_attention_heads": _whole(1),
    "num_hidden_layers": _whole(1),
    "precision": _PRECISION,
    "projections": _one_of("shared", "per_layer"),
    "seed": _whole(0),
    "task": _Rule("a task of this release: sequence_classification", lambda v: v == "sequence_classification"),
    "text": _Rule("one column name or two", lambda v: isinstance(v, tuple) and len(v) in (1, 2) and all(v)),
    "warmup_fraction": _Rule("a number of at least 0 and below 1", lambda v: _number(v) and 0 <= v < 1),
    "weight": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
}

_PATH_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class _Checked:
    """A section that checks its values by `_RULES` when it is made; text is never empty."""

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value, rule = getattr(self, each.name), _RULES.get(each.name)
            if value == "":
                raise SettingError(each.name, "is empty, some text is wanted")
            if value is not None and rule is not None and not rule.holds(value):
                raise SettingError(each.name, f"{value!r} is not {rule.accepted}")


@dataclass(frozen=True)
class Data(_Checked):
    """The examples: files and columns.

    `train`, `dev`, `test`: paths. `text`: the column of the text, or the two columns of a pair (in YAML also `a,b`).
    `label`: the column of the label. `max_length`: tokens of an example, [CLS] and [SEP] included.
    """

    train: str
    dev: str
    text: tuple[str, ...]
    label: str
    test: str | None = None
    max_length: int = 128


@dataclass(frozen=True)
class ModelSection(_Checked):
    """The model to fine-tune: `dir` is a model directory, a run directory or a Hub id."""

    dir: str


@dataclass(frozen=True)
class TeacherSection(_Checked):
    """The teacher: `dir` is a model directory, a run directory or a Hub id; `precision` is the one it computes in."""

    dir: str
    precision: str = "auto"


@dataclass(frozen=True)
class StudentSection(_Checked):
    """The student: a preset's sizes or a directory's weights (not both), how it starts, and sizes that replace theirs.

    `init`: `layers` copies layers of the teacher, `random` does not, `auto` decides by the widths.
    """

    preset: str | None = None
    dir: str | None = None
    init: str = "auto"
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
class Train(_Checked):
    """How to train.

    `max_steps`: optimizer steps after which a stage ends early. `learning_rate`: at its peak. `warmup_fraction`:
    fraction of the steps in which it rises, in [0, 1). `weight_decay`: per step, times the learning rate.
    """

    epochs: int = 3
    max_steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 5e-5
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    seed: int = 1
    precision: str = "auto"


@dataclass(frozen=True)
class LossSection(_Checked):
    """A loss by name, its weight in the total, and its own options.

    In YAML it is a name, or a mapping of `name`, `weight` and the options.
    """

    name: str
    weight: float = 1.0
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
class Stage(_Checked):
    """One stage of a distillation: its losses, its layer map, and what it overrides in `train`.

    `layer_map`: `uniform`, `top`, `bottom` or pairs (student layer, teacher layer). `projections`: between unequal
    widths, one `shared` by all pairs of layers or one `per_layer`. `name` becomes part of file names.
    """

    name: str
    losses: tuple[LossSection, ...]
    layer_map: str | tuple[tuple[int, int], ...] = "uniform"
    projections: str = "shared"
    epochs: int | None = None
    max_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
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


def _tinybert_stages() -> tuple[Stage, ...]:
    """Return TinyBERT's two stages (Jiao et al. 2020): first what is inside the network, then its output."""
    inside = ("embedding", "attention", "hidden_state")
    return (
        Stage("intermediate", tuple(LossSection(name) for name in inside)),
        Stage("prediction", (LossSection("prediction"),)),
    )


@dataclass(frozen=True, kw_only=True)
class DistillConfig(_Checked):
    """A distillation: from a teacher to a student, in stages.

    `out`: the run directory. `baseline`: also train the same student on hard labels only. `allow_weak_teacher`: go on
    with a teacher that is no better than guessing.
    """

    teacher: TeacherSection
    student: StudentSection = field(default_factory=StudentSection)
    data: Data
    train: Train = field(default_factory=Train)
    stages: tuple[Stage, ...] = field(default_factory=_tinybert_stages)
    out: str
    task: str = "sequence_classification"
    baseline: bool = False
    allow_weak_teacher: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [stage.name for stage in self.stages]
        if not names:
            raise SettingError("stages", "is empty, at least one stage is wanted")
        for number, name in enumerate(names):
            if name in names[:number]:
                raise SettingError(
                    f"stages.{number}.name", f"{name!r} names an earlier stage too, another name is wanted"
                )


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(_Checked):
    """A fine-tuning: a model, the examples, how to train, and the run directory `out`."""

    model: ModelSection
    data: Data
    train: Train = field(default_factory=Train)
    out: str
    task: str = "sequence_classification"
