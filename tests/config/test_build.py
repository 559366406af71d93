from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tinybert_tf.config.build import SectionBuilder
from tinybert_tf.config.rules import CheckedSection, Count, SettingError


@dataclass(frozen=True)
class Inner(CheckedSection):
    needed: int
    epochs: Count = 1


@dataclass(frozen=True)
class Outer(CheckedSection):
    inner: Inner
    items: tuple[Inner, ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    names: tuple[str, ...] = ()
    either: str | tuple[int, ...] = "a"
    flag: bool = False
    maybe: float | None = 1.0


def test_every_type_of_value() -> None:
    plain = {
        "inner": {"needed": "3"},
        "items": [{"needed": 1}, {"needed": 2, "epochs": 4}],
        "pair": [5, 6],
        "names": "a, b",
        "either": [1, 2],
        "flag": "true",
        "maybe": None,
    }
    section = SectionBuilder(Outer).section(Outer, plain, "")
    assert section == Outer(Inner(3), (Inner(1), Inner(2, 4)), (5, 6.0), ("a", "b"), (1, 2), True, None)
    assert type(section.pair[1]) is float


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"inner": {"needed": 1, "epochs": 0}}, "inner.epochs: expected an integer >= 1, got 0"),
        ({"inner": {"needed": [1]}}, "inner.needed: expected an integer, got [1]"),
        ({"inner": [1]}, "inner: expected a section with the keys needed, epochs, got [1]"),
        ({"items": {"needed": 1}}, "items: expected a list, got {'needed': 1}"),
        ({"items": [{"needed": 1}, {"need": 1}]}, "items.1.need: unknown key; did you mean items.1.needed?"),
        ({"pair": [1]}, "pair: expected a list of 2, got [1]"),
        ({"pair": [1, True]}, "pair.1: expected a number, got True"),
        ({"either": 3}, "either: expected text (write it in quotes), got 3"),
        ({"flag": "on"}, "flag: expected true or false, got 'on'"),
        ({"epochs": 3}, "epochs: unknown key; did you mean inner.epochs?"),
        ({"zzz": 3}, "zzz: unknown key; expected one of inner, items, pair, names, either, flag, maybe"),
    ],
)
def test_the_path_leads_to_the_value(plain: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        SectionBuilder(Outer).section(Outer, plain, "")
    assert str(caught.value) == message


def test_missing_keys_gather() -> None:
    builder = SectionBuilder(Outer)
    assert builder.section(Outer, {"items": [{"needed": 1}, {}, {"needed": None}]}, "") is None
    assert builder.missing == ["inner.needed", "items.1.needed", "items.2.needed"]
