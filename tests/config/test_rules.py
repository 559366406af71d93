"""A rule stands in the type of its field."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from tinybert_tf.config.ablation import AblationConfig
from tinybert_tf.config.compression import CompressConfig
from tinybert_tf.config.pretraining import PretrainConfig
from tinybert_tf.config.rules import CheckedSection, Count, Rule, SettingError, integer
from tinybert_tf.config.schema import FinetuneConfig, Train

seven = Rule("seven", lambda value: value == 7)


@dataclass(frozen=True)
class Section(CheckedSection):
    epochs: Count | None = None
    lucky: Annotated[int, seven] = 7
    pair: Annotated[tuple[int, ...], Rule("two", lambda value: len(value) == 2)] | None = None
    anything: str = "a"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": -1}, "epochs: expected an integer >= 1, got -1"),
        ({"lucky": 3}, "lucky: expected seven, got 3"),
        ({"pair": (1,)}, "pair: expected two, got (1,)"),
        ({"anything": ""}, "anything: expected some text, got ''"),
    ],
)
def test_a_value_that_breaks_the_rule_of_its_field(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Section(**given)
    assert str(caught.value) == message


def test_what_is_accepted() -> None:
    assert Section(epochs=3, pair=(1, 2)).epochs == 3
    assert Section().epochs is None  # not set: no rule


def test_a_rule_belongs_to_its_field_and_not_to_its_name() -> None:
    @dataclass(frozen=True)
    class Other(CheckedSection):
        epochs: Annotated[int, integer(-5)] = 0

    assert Other(epochs=-5).epochs == -5


@pytest.mark.parametrize("config", [AblationConfig, CompressConfig, FinetuneConfig, PretrainConfig])
def test_every_number_of_a_config_has_a_rule(config: type) -> None:
    """A new key that takes any number at all is one that somebody forgot."""
    free = [name for name in numbers(config) if name not in ("export.lengths", "export.min_agreement")]
    assert free == []


def numbers(section: Any, path: str = "") -> list[str]:
    """The keys of numbers that have no rule."""
    from typing import get_args, get_type_hints

    found = []
    for name, hint in get_type_hints(section, include_extras=True).items():
        choices = get_args(hint) if type(None) in get_args(hint) else (hint,)
        for choice in choices:
            if dataclasses.is_dataclass(choice):
                found += numbers(choice, f"{path}{name}.")
            elif choice in (int, float) or choice == tuple[int, ...]:
                found.append(f"{path}{name}")
    return found


def test_the_error_keeps_its_parts() -> None:
    error = SettingError("train.epochs", "0 is too few")
    assert (str(error), error.key, error.problem) == ("train.epochs: 0 is too few", "train.epochs", "0 is too few")


def test_a_stage_and_the_whole_run_have_the_same_rules() -> None:
    assert Train(epochs=1).epochs == 1
    with pytest.raises(SettingError, match=r"^epochs: expected an integer >= 1, got True$"):
        Train(epochs=True)
