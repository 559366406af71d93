"""Labels as files write them, and the classes that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

from tinybert_tf.errors import InputError

INTEGER = re.compile(r"0|[1-9][0-9]*")
# A column with integers above this holds something else, such as row numbers or prices.
LARGEST_LABEL = 100_000
# Between the labels of a cell that holds several.
SEPARATOR = ","
# What a list is written with, `['a', 'b']`, which a cell is not.
BRACKETS = ("[", "{", "(")

Place = Callable[[int], str]


def names_of(labels: Sequence[str], place: Place) -> list[str]:
    """The classes of a file: `["LABEL_0", ..., "LABEL_<highest>"]` where all are integers from 0, else sorted.

    Args:
        labels: one or more; names may come again.
        place: where label number `i` is from, for messages.

    Raises:
        InputError: an integer is too large to be a class.
    """
    distinct = sorted(set(labels))
    if not all(INTEGER.fullmatch(label) for label in distinct):
        return distinct
    highest = max(map(int, distinct))
    if highest > LARGEST_LABEL:
        where = place(labels.index(str(highest)))
        raise InputError(f"{where}: label {highest} is no class; integers from 0 to {LARGEST_LABEL} are accepted")
    return [f"LABEL_{class_id}" for class_id in range(highest + 1)]


def ids_of(
    labels: Sequence[str], label_names: Sequence[str], place: Place, declared_names: Sequence[str] | None = None
) -> list[int]:
    """The class of each label: where it stands in `label_names`, or the integer that it is.

    `declared_names` are what the file's integers stand for, where that is known: another order or another case than the
    model's, then, is no error, and a model without names of its own (`LABEL_0`, ...) takes them in this order.

    Raises:
        InputError: a label is neither one of `label_names` nor an integer below their number; or integers that stand
            for other names.
    """
    class_of = _classes(label_names, declared_names)
    for number, label in enumerate(labels):
        if label not in class_of:
            if declared_names is not None and INTEGER.fullmatch(label) and "0" not in class_of:
                raise InputError(
                    f"{place(number)}: label {label!r} is one of {shown(declared_names)}, and the model's labels are "
                    f"{shown(label_names)}; the same ones, in any order, are accepted"
                )
            accepted = f"{shown(label_names)}, or 0 to {len(label_names) - 1}"
            raise InputError(f"{place(number)}: label {label!r}; {accepted}, are accepted")
    return [class_of[label] for label in labels]


def join_cell(labels: Sequence[Any], place: str) -> str:
    """The cell that `split_cell` takes apart into these labels.

    Raises:
        InputError: one is neither a number nor a text without commas.
    """
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, str | Integral) or SEPARATOR in str(label):
            raise InputError(f"{place}: label {label!r} in a list; integers or texts without a comma are accepted")
    return SEPARATOR.join(map(str, labels))


def split_cell(cell: str, place: str) -> list[str]:
    """The labels of a cell, `a,b`; none of an empty one.

    Raises:
        InputError: it cannot be split: a label is empty, or there twice, or it is a list in brackets.
    """
    labels = [label.strip() for label in cell.split(SEPARATOR)] if cell.strip() else []
    if not all(labels) or len(set(labels)) < len(labels) or cell.lstrip().startswith(BRACKETS):
        raise InputError(
            f"{place}: labels {cell!r}; different ones with one comma between two, or nothing at all, are accepted"
        )
    return labels


def _classes(label_names: Sequence[str], declared_names: Sequence[str] | None) -> dict[str, int]:
    """The class of each name and number; of names alone, where those that numbers stand for are not the model's."""
    number_of = {name: number for number, name in enumerate(label_names)}
    declared = label_names if declared_names is None else declared_names
    classes = _places(declared, label_names)
    if classes is None and list(label_names) == [f"LABEL_{number}" for number in range(len(declared))]:
        classes = list(range(len(declared)))
    if classes is None:
        return number_of
    by_number = {str(number): class_id for number, class_id in enumerate(classes)}
    return by_number | dict(zip(declared, classes, strict=True)) | number_of


def _places(names: Sequence[str], among: Sequence[str]) -> list[int] | None:
    """Where each name is among the same ones in another order, or in another case; None where they are other ones."""
    for spelled in (str, str.casefold):
        place_of = {spelled(name): place for place, name in enumerate(among)}
        places = [place_of.get(spelled(name), -1) for name in names]
        if sorted(places) == list(range(len(among))):
            return places
    return None


def shown(names: Sequence[str]) -> str:
    """The first twenty names, for a message."""
    return ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
