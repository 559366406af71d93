"""What each key of a configuration accepts, and the section that holds its values to it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tinybert_tf.config.tasks import TASK_KEYS
from tinybert_tf.errors import InputError


class SettingError(InputError):
    """A key whose value cannot be used: `key` (dotted, inside its section) and `problem` (found, and accepted)."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


@dataclass(frozen=True)
class Rule:
    """What a key accepts, in words, and as a test."""

    accepted: str
    holds: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(at_least: int) -> Rule:
    return Rule(f"a whole number of at least {at_least}", lambda v: _number(v) and isinstance(v, int) and v >= at_least)


def one_of(*choices: str) -> Rule:
    """One of these words."""
    return Rule(f"one of {', '.join(choices)}", lambda v: v in choices)


_NOT_NEGATIVE = Rule("a finite number of at least 0", lambda v: _number(v) and v >= 0)
_PRECISION = one_of("auto", "float32", "bfloat16", "float16")
_MAPS = ("uniform", "top", "bottom", "emd", "attention")
_PAIRS = Rule(
    f"one of {', '.join(_MAPS)}, or a list of pairs [student layer, teacher layer] with numbers of at least 0",
    lambda v: v in _MAPS or (isinstance(v, tuple) and v != () and _layers(v)),
)


def _layers(pairs: tuple[Any, ...]) -> bool:
    return all(len(pair) == 2 and all(_whole(0).holds(layer) for layer in pair) for pair in pairs)


# A key of this name follows this rule in whatever section it stands, unless it is None (not set).
_RULES: Mapping[str, Rule] = {
    "accumulation_steps": _whole(1),
    "basis": one_of("components", "channels"),
    "batch_size": _whole(1),
    "batch_tokens": _whole(1),
    "checkpoint_every": _whole(1),
    "end": _NOT_NEGATIVE,
    "epochs": _whole(1),
    "files": Rule("one file or more", lambda v: isinstance(v, tuple) and v != () and all(v)),
    "frequency": _whole(1),
    "hidden_size": _whole(1),
    "init": one_of("auto", "cut", "layers", "random"),
    "intermediate_size": _whole(1),
    "layer_map": _PAIRS,
    "learning_rate": Rule("a finite number above 0", lambda v: _number(v) and v > 0),
    "mask_probability": Rule("a number above 0 and below 1", lambda v: _number(v) and 0 < v < 1),
    "max_disk_gib": Rule("a finite number above 0", lambda v: _number(v) and v > 0),
    "max_length": _whole(8),
    "max_steps": _whole(1),
    "max_tokens": _whole(1),
    "metric": one_of(
        "accuracy",
        "exact_match",
        "f1",
        "f1_macro",
        "f1_micro",
        "matthews_correlation",
        "pearson",
        "precision",
        "recall",
        "spearman",
    ),
    "num_attention_heads": _whole(1),
    "num_hidden_layers": _whole(1),
    "padded_lengths": Rule("one length or more, each at least 1", lambda v: v != () and all(map(_whole(1).holds, v))),
    "patience": _whole(1),
    "precision": _PRECISION,
    "projections": one_of("shared", "per_layer"),
    "ridge": Rule("a finite number above 0", lambda v: _number(v) and v > 0),
    "rounds": _whole(1),
    "schedule": one_of("linear", "constant", "cosine"),
    "sparsity": Rule("a number of at least 0 and below 1", lambda v: _number(v) and 0 <= v < 1),
    "start": _NOT_NEGATIVE,
    "steps": _whole(1),
    "steps_per_execution": _whole(1),
    "seed": Rule("a whole number from 0 to 4294967295", lambda v: isinstance(v, int) and _number(v) and 0 <= v < 2**32),
    "teacher_cache": one_of("auto", "logits", "features", "off"),
    "task": one_of(*TASK_KEYS),
    "num_texts": _whole(1),
    "text": Rule("one column name or two", lambda v: isinstance(v, tuple) and len(v) in (1, 2) and all(v)),
    "warmup_fraction": Rule("a number of at least 0 and below 1", lambda v: _number(v) and 0 <= v < 1),
    "weight": Rule(
        "a finite number of at least 0, or a mapping of start, end and steps",
        lambda v: dataclasses.is_dataclass(v) or _NOT_NEGATIVE.holds(v),
    ),
    "weight_decay": _NOT_NEGATIVE,
}


class CheckedSection:
    """A section that checks its values by `_RULES` when it is made, or by its `own_rules`; text is never empty."""

    own_rules: ClassVar[Mapping[str, Rule]] = {}

    def __post_init__(self) -> None:
        rules = {**_RULES, **self.own_rules}
        for each in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value, rule = getattr(self, each.name), rules.get(each.name)
            if value == "":
                raise SettingError(each.name, "is empty, some text is wanted")
            if value is not None and rule is not None and not rule.holds(value):
                raise SettingError(each.name, f"{value!r} is not {rule.accepted}")
