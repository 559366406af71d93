"""The configuration of an ablation: a distillation, its variants, and the seeds."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from tinybert_tf.config.rules import CheckedSection, Rule, SettingError, integer, one_of
from tinybert_tf.config.schema import DistillConfig

# The name of the base in tables and directories.
BASE = "base"
# The GLUE tasks of the ablations in TinyBERT's paper.
PAPER_TASKS = ("mnli", "mrpc", "cola")
Seeds = Annotated[
    tuple[int, ...],
    Rule(
        "at least one integer from 0 to 4294967295, no two equal",
        lambda v: v != () and len(set(v)) == len(v) and all(integer(0).holds(seed) and seed < 2**32 for seed in v),
    ),
]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,+-]{0,199}")
# Keys in which the runs of an ablation differ anyway.
_OWN_KEYS = {"out": "every run has a directory of its own", "train.seed": "seeds are varied in `seeds`"}


@dataclass(frozen=True)
class Variant(CheckedSection):
    """A distillation that differs from the base; in YAML a mapping, or the name of a change, which also names it.

    `changes`: named changes (`no_general`, `top`, ...). `without`: names of losses to remove from every stage; a stage
    without losses is removed too. `set`: keys and their values, as in `--set`. They are applied in this order: `set`,
    `without`, `changes`. `name` becomes the name of a directory.
    """

    name: str
    changes: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    set: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_shorthand(cls, value: Any) -> Any:
        """Return the mapping that a name stands for; anything but text comes back as it is."""
        return {"name": value, "changes": [value]} if isinstance(value, str) else value

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _NAME.fullmatch(self.name):
            raise SettingError("name", f"expected up to 200 letters, digits and _ . = , + -, got {self.name!r}")
        if self.name == BASE:
            raise SettingError("name", f"expected another name than {BASE!r}, which is that of the unchanged config")
        if not (self.changes or self.without or self.set):
            raise SettingError(
                "name", f"expected set, without or changes, got a variant {self.name!r} that changes nothing"
            )
        for key in self.set:
            _refuse_own_key(f"set.{key}", key)


@dataclass(frozen=True, kw_only=True)
class AblationConfig(DistillConfig):
    """A distillation, as `DistillConfig` has it, and its variants.

    `base`: the file of a distillation; the keys given here override it. `variants`: see `Variant`. `grid`: keys, as in
    `--set`, with a list of values each; all combinations are variants too. `seeds`: the values of `train.seed` for the
    runs of each variant. `paper`: the task whose numbers from TinyBERT's paper the table shows; by default `task`, if
    the paper has it. `out`: the directory of tables and runs.
    """

    base: str | None = None
    variants: tuple[Variant, ...] = ()
    grid: dict[str, Any] = field(default_factory=dict)
    seeds: Seeds = (1, 2, 3)
    paper: Annotated[str, one_of(*PAPER_TASKS)] | None = None

    @classmethod
    def from_shorthand(cls, plain: Any) -> Any:
        """Return the mapping with the values that a GLUE task's name stands for, `paper` among them."""
        if isinstance(plain, Mapping) and plain.get("task") in PAPER_TASKS:
            plain = {"paper": plain["task"], **plain}
        return super().from_shorthand(plain)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base is not None:  # loading a file reads `base` and removes the key
            raise SettingError("base", f"expected only in a file, whose other keys override it, got {self.base!r}")
        if not self.variants and not self.grid:
            raise SettingError("variants", "expected at least one, or a grid, got none")
        for key, values in self.grid.items():
            _refuse_own_key(f"grid.{key}", key)
            if not isinstance(values, list | tuple) or not values:
                raise SettingError(f"grid.{key}", f"expected a list of values, got {values!r}")

    @property
    def distillation(self) -> DistillConfig:
        """The distillation without its variants."""
        return DistillConfig(**{each.name: getattr(self, each.name) for each in dataclasses.fields(DistillConfig)})


def _refuse_own_key(place: str, key: str) -> None:
    if key in _OWN_KEYS:
        raise SettingError(place, f"cannot be varied here: {_OWN_KEYS[key]}")
