"""Labels as files write them, and the classes that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

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

    `declared_names` are what the file's integers stand for, where that is known: another order than the model's, then,
    is no error, and a model without names of its own (`LABEL_0`, ...) takes them in this order.

    Raises:
        InputError: a label is neither one of `label_names` nor an integer below their number.
    """
    class_of = _classes(label_names, declared_names)
    for number, label in enumerate(labels):
        if label not in class_of:
            shown = ", ".join(map(repr, label_names[:20])) + (", ..." if len(label_names) > 20 else "")
            raise InputError(f"{place(number)}: label {label!r}; {shown}, or 0 to {len(label_names) - 1}, are accepted")
    return [class_of[label] for label in labels]


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
    number_of = {name: number for number, name in enumerate(label_names)}
    by_number = {str(number): number for number in range(len(label_names))}
    if declared_names is not None and sorted(declared_names) == sorted(label_names):
        by_number = {str(number): number_of[name] for number, name in enumerate(declared_names)}
    elif declared_names is not None and list(label_names) == [
        f"LABEL_{number}" for number in range(len(declared_names))
    ]:
        by_number |= {name: number for number, name in enumerate(declared_names)}
    return by_number | number_of
