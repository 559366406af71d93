"""Rules for the values of a configuration's keys, and the section that checks its values by them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints

from tinybert_tf.config.tasks import TASK_KEYS
from tinybert_tf.errors import InputError


class SettingError(InputError):
    """A key whose value cannot be used: `key` (dotted, inside its section) and `problem` (expected, and found)."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


@dataclass(frozen=True)
class Rule:
    """A condition on a value, in words and as a test.

    It stands in the type of a field, `Annotated[int, Rule(...)]`. Such a type has a name of its own: a lambda in an
    annotation is compiled where it cannot see the module's names.
    """

    expected: str
    holds: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Whether a value is a finite number and not a boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def integer(at_least: int) -> Rule:
    """The rule of an integer that is not below a limit."""
    return Rule(
        f"an integer >= {at_least}", lambda value: is_number(value) and isinstance(value, int) and value >= at_least
    )


def one_of(*choices: str) -> Rule:
    """The rule of a value that is one of these words."""
    return Rule(f"one of {', '.join(choices)}", lambda value: value in choices)


def _is_seed(value: Any) -> bool:
    return integer(0).holds(value) and value < 2**32


def _is_weight(value: Any) -> bool:
    return dataclasses.is_dataclass(value) or (is_number(value) and value >= 0)


def _are_pairs(value: Any) -> bool:
    return value != () and all(len(pair) == 2 and all(map(integer(0).holds, pair)) for pair in value)


_MAPS = ("uniform", "top", "bottom", "emd", "attention")

Count = Annotated[int, integer(1)]
Seed = Annotated[int, Rule("an integer from 0 to 4294967295", _is_seed)]
NotNegative = Annotated[float, Rule("a finite number >= 0", lambda value: is_number(value) and value >= 0)]
Positive = Annotated[float, Rule("a finite number > 0", lambda value: is_number(value) and value > 0)]
Fraction = Annotated[float, Rule("a number >= 0 and < 1", lambda value: is_number(value) and 0 <= value < 1)]
Precision = Annotated[str, one_of("auto", "float32", "bfloat16", "float16")]
Schedule = Annotated[str, one_of("linear", "constant", "cosine")]
Projections = Annotated[str, one_of("shared", "per_layer")]
Task = Annotated[str, one_of(*TASK_KEYS)]
MaxLength = Annotated[int, integer(8)]
LayerPairs = Annotated[
    str | tuple[tuple[int, int], ...],
    Rule(
        f"one of {', '.join(_MAPS)}, or a list of pairs [student layer, teacher layer] of integers >= 0",
        lambda value: value in _MAPS or (isinstance(value, tuple) and _are_pairs(value)),
    ),
]
Metric = Annotated[
    str,
    one_of(
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
]
Columns = Annotated[
    tuple[str, ...],
    Rule("one column name or two", lambda value: isinstance(value, tuple) and len(value) in (1, 2) and all(value)),
]
Dev = Annotated[
    float | str,
    Rule(
        "a file, or a fraction of the training data > 0 and < 1",
        lambda value: isinstance(value, str) or (is_number(value) and 0 < value < 1),
    ),
]
WEIGHT = Rule("a finite number >= 0, or a mapping of start, end and steps", _is_weight)


class CheckedSection:
    """A section that checks its values by the rules in its fields' types when it is made.

    None stands for a value that is not set, and has no rule. Text is never empty.
    """

    def __post_init__(self) -> None:
        rules = _rules_of(type(self))  # type: ignore[arg-type]  # a class is hashable, its instances or not
        for each in dataclasses.fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value, rule = getattr(self, each.name), rules.get(each.name)
            if value == "":
                raise SettingError(each.name, "expected some text, got ''")
            if value is not None and rule is not None and not rule.holds(value):
                raise SettingError(each.name, f"expected {rule.expected}, got {value!r}")


@functools.cache
def _rules_of(section: Any) -> Mapping[str, Rule]:
    hints = get_type_hints(section, include_extras=True)
    return {name: rule for name, hint in hints.items() if (rule := _rule_in(hint)) is not None}


def _rule_in(hint: Any) -> Rule | None:
    """The rule of `Annotated[X, rule]` or `Annotated[X, rule] | None`."""
    parts = [part for each in (hint, *get_args(hint)) for part in getattr(each, "__metadata__", ())]
    return next((part for part in parts if isinstance(part, Rule)), None)
