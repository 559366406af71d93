"""`Labels` maps integers, names and declared names to classes, and is saved with its model."""

from __future__ import annotations

from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.labels import Labels

TURNED = Labels(("positive", "negative"))
DECLARED = ("negative", "positive")


def test_nothing_known_is_integer_i_for_class_i() -> None:
    assert TURNED.class_of() == {"0": 0, "1": 1, "positive": 0, "negative": 1}
    assert (TURNED.positive_class, TURNED.positive_name) == (1, "negative")


@pytest.mark.parametrize("declared", [DECLARED, ("NEGATIVE", "Positive")])
def test_what_was_declared_is_carried(declared: tuple[str, str]) -> None:
    known = TURNED.read_by(declared)
    assert known == Labels(("positive", "negative"), (1, 0))
    assert (known.class_of()["0"], known.class_of()["1"], known.positive_name) == (1, 0, "positive")
    assert known.read_by(None) == known
    assert known.class_of(["positive", "negative"])["0"] == 0  # what is declared now wins over what is carried


def test_default_names_become_the_declared_ones() -> None:
    known = Labels(("LABEL_0", "LABEL_1")).read_by(DECLARED)
    assert known == Labels(DECLARED, (0, 1))
    assert Labels(("LABEL_0", "LABEL_1")).class_of(DECLARED)["positive"] == 1


def test_integers_that_stand_for_other_names_are_no_class() -> None:
    assert TURNED.class_of(["yes", "no"]) == {"positive": 0, "negative": 1}
    assert TURNED.read_by(["yes", "no"]) == TURNED


def test_names_that_are_integers_are_names() -> None:
    assert Labels(("1", "2")).class_of() == {"1": 0, "2": 1}
    assert Labels(("1", "2")).class_of(["2", "1"]) == {"1": 0, "2": 1, "0": 1}


@pytest.mark.parametrize(("positive", "class_id"), [("negative", 1), ("Negative", 1), ("0", 1), ("1", 0)])
def test_a_positive_class_by_any_of_its_spellings(positive: str, class_id: int) -> None:
    assert TURNED.read_by(DECLARED, positive).positive == class_id


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", "b"), "positive: 'c' is not a label; expected one of 'a', 'b'"),
        (("a", "b", "d"), "positive: 'c' of 3 classes; expected a model of two classes"),
    ],
)
def test_what_is_no_positive_class(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Labels(names).read_by(None, "c")


def test_what_a_model_carries_that_learned_them() -> None:
    assert TURNED.learned(from_integers=True, is_one_right=True) == Labels(TURNED.names, (0, 1), 1)
    assert TURNED.learned(from_integers=False, is_one_right=False) == TURNED
    assert TURNED.read_by(DECLARED).learned(True, True) == Labels(TURNED.names, (1, 0), 0)


def test_a_reordering_means_the_same() -> None:
    """Names, integers and the positive class are saved by name: no meaning changes with the order of the classes."""
    labels, turned = Labels(DECLARED, (0, 1), 1), Labels(TURNED.names, (1, 0), 0)
    ours, theirs = labels.to_config(), turned.to_config()
    assert {key: ours[key] for key in ("integer_labels", "positive_label")} == {
        "integer_labels": ["negative", "positive"],
        "positive_label": "positive",
    }
    assert Labels.from_config({**ours, "id2label": theirs["id2label"]}, "config.json") == turned


@pytest.mark.parametrize("labels", [Labels(("a", "b", "c")), Labels(("a", "b"), (1, 0)), Labels(("a", "b"), None, 0)])
def test_there_and_back(labels: Labels) -> None:
    assert Labels.from_config(labels.to_config(), "config.json") == labels


def test_no_names_are_no_labels() -> None:
    assert Labels.from_config({}, "config.json") is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id2label": {"1": "a", "2": "b"}}, "id2label has names for 1, 2; expected one for each class from 0 to 1"),
        ({"id2label": {"0": "a", "1": "a", "2": "b"}}, "id2label names 'a' for classes 0, 1; expected different"),
        ({"id2label": ["a", "b"]}, r"id2label is \['a', 'b'\]; expected a mapping of 0, 1, ... to names"),
        ({"id2label": {"x": "a"}}, "id2label is {'x': 'a'}; expected a mapping of 0, 1, ... to names"),
        ({"id2label": {"0": "a"}, "integer_labels": ["b"]}, r"integer_labels is \['b'\]; expected the names 'a'"),
        ({"id2label": {"0": "a"}, "positive_label": "b"}, "positive_label is 'b'; expected one of 'a'"),
    ],
)
def test_what_is_no_config(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^config.json: {message}"):
        Labels.from_config(values, "config.json")
