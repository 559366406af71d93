from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.config.strict_yaml import format_yaml, parse_yaml

SCALARS = [
    ("1e-4", 1e-4),
    ("1.5E+3", 1500.0),
    (".5", 0.5),
    ("1.", 1.0),
    ("-.inf", -math.inf),
    ("12", 12),
    ("-3", -3),
    ("010", 10),
    ("12:30", "12:30"),
    ("1_000", "1_000"),
    ("0x10", "0x10"),
    ("2026-01-02", "2026-01-02"),
    ("no", "no"),
    ("on", "on"),
    ("Yes", "Yes"),
    ("true", True),
    ("False", False),
    ("null", None),
    ("", None),
    ('"1"', "1"),
    ("<<", "<<"),
    ("=", "="),
    ("{on: 1, no: [a, ~]}", {"on": 1, "no": ["a", None]}),
]


def test_scalars_are_those_of_yaml_1_2(each_row: Callable[..., None]) -> None:
    def look(text: str, value: Any) -> None:
        parsed = parse_yaml(text, "x")
        assert parsed == value
        assert type(parsed) is type(value)

    each_row(SCALARS, look)


def test_nan() -> None:
    assert math.isnan(parse_yaml(".nan", "x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "run.yaml, line 4: the key 'c' is there twice"),
        ("a: 1\n1: 2\n", "run.yaml, line 2: the key 1 is not text, write it in quotes"),
        ("[a]: 1\n", "run.yaml, line 1: the key ['a'] is not text, write it in quotes"),
        (
            "a: !!python/name:os.system x\n",
            "run.yaml, line 1: the tag tag:yaml.org,2002:python/name:os.system is not read",
        ),
        ("\na: !!str 1\n", "run.yaml, line 2: the tag tag:yaml.org,2002:str is not read"),
        ("a: &x [*x]\n", "run.yaml, line 1: anchors and aliases are not read here"),
        ("a: *x\n", "run.yaml, line 1: anchors and aliases are not read here"),
        ("a: [1\n", "run.yaml, line 2: "),
        ("a: 1\n\tb: 2\n", "run.yaml, line 2: "),
        ("a: 1\n---\nb: 1\n", "run.yaml, line 2: "),
        ("a: \x00", "run.yaml: not YAML ("),
        ("[" * 5000, "run.yaml: not YAML ("),
        ("9" * 5000, "run.yaml: not YAML ("),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "run.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_format_reads_back_equal() -> None:
    shared = ["a, b", "1e-4", "on", "1", "true", "null", "", "12:30", "é", "a: b", "# c", " d", "e\nf", "-"]
    value = {"b": shared, "a": shared, "numbers": [1e-5, 5e-05, 1e22, 3, -0.0, math.inf], "flags": [True, None]}
    text = format_yaml(value)
    assert parse_yaml(text, "x") == value
    assert text.startswith("b:")
