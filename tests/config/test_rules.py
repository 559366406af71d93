from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from tinybert_tf.config.rules import CheckedSection, Rule, SettingError


@dataclass(frozen=True)
class Section(CheckedSection):
    epochs: int | None = None
    anything: str = "a"


def test_rules_follow_the_name_of_a_key() -> None:
    assert Section(epochs=3).epochs == 3
    with pytest.raises(SettingError, match=r"^epochs: -1 is not a whole number of at least 1$"):
        Section(epochs=-1)


def test_a_section_may_have_its_own_rule_for_a_key() -> None:
    @dataclass(frozen=True)
    class Own(Section):
        own_rules: ClassVar = {"epochs": Rule("seven", lambda value: value == 7)}

    assert Own(epochs=7).epochs == 7
    with pytest.raises(SettingError, match=r"^epochs: 3 is not seven$"):
        Own(epochs=3)


def test_none_is_not_set_and_text_is_never_empty() -> None:
    assert Section().epochs is None
    with pytest.raises(SettingError, match=r"^anything: is empty, some text is wanted$"):
        Section(anything="")


def test_the_error_keeps_its_parts() -> None:
    error = SettingError("train.epochs", "0 is too few")
    assert (str(error), error.key, error.problem) == ("train.epochs: 0 is too few", "train.epochs", "0 is too few")
