from __future__ import annotations

from typing import Any

import pytest

from tinybert_tf.config.overrides import Overrides
from tinybert_tf.config.rules import SettingError


def test_keys_are_set_in_sections_lists_and_defaults() -> None:
    plain: dict[str, Any] = {"a": {"b": 1}, "items": [{"c": 1}, "name"], "empty": None}
    defaults = {"items": [], "later": [{"d": 1}]}
    overrides = Overrides(plain, "f: ", defaults)
    for key in ("a.b", "new.section.key", "items.0.c", "items.1.weight", "later.0.d", "empty.x"):
        overrides.set(key, 9, "s: ")
    assert plain == {
        "a": {"b": 9},
        "items": [{"c": 9}, {"name": "name", "weight": 9}],
        "empty": {"x": 9},
        "new": {"section": {"key": 9}},
        "later": [{"d": 9}],
    }
    assert defaults == {"items": [], "later": [{"d": 1}]}


def test_sources() -> None:
    overrides = Overrides({"a": {"b": 1}, "stages": [{}]}, "file: ", {})
    overrides.set("a.b", 2, "flag: ")
    overrides.set("a.b", 3, "set: ")
    overrides.set("stages.0.losses", [{}], "set: ")
    overrides.set("nwe.c", 3, "flag: ")
    keys = ("a", "a.b", "a.x", "stages.0.losses.0.weight", "stages.0", "nwe", "nwe.c")
    assert [overrides.source(key) for key in keys] == [
        "file: ",
        "set: ",
        "file: ",
        "set: ",
        "file: ",
        "flag: ",
        "flag: ",
    ]


def test_what_is_in_the_way() -> None:
    overrides = Overrides({"a": 3, "list": [1]}, "", {})
    with pytest.raises(SettingError, match=r"^a\.b: expected a section to look for 'b' in, got 3$"):
        overrides.set("a.b", 1, "")
    for part in ("1", "-1", "x", ""):
        with pytest.raises(SettingError, match=f"expected an item from 0 to 0, got '{part}'"):
            overrides.set(f"list.{part}", 1, "")


def test_the_given_value_is_copied() -> None:
    value, plain = {"epochs": 2}, dict[str, Any]()
    overrides = Overrides(plain, "", {})
    overrides.set("train", value, "")
    overrides.set("train.epochs", 5, "")
    assert (plain, value) == ({"train": {"epochs": 5}}, {"epochs": 2})
