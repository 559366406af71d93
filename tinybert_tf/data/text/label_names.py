"""From labels as files write them to the classes that they name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.labels import INTEGER, Labels, default_names, shown

# A column with integers above this holds something else, such as row numbers or prices.
LARGEST_LABEL = 100_000
# Between the labels of a cell that holds several.
SEPARATOR = ","
# Characters of a written list, `['a', 'b']`, which is not a cell.
BRACKETS = ("[", "{", "(")

Place = Callable[[int], str]


def names_of(labels: Sequence[str], place: Place) -> list[str]:
    """The classes of a file: `["LABEL_0", ..., "LABEL_<highest>"]` if all labels are integers from 0, else sorted.

    Args:
        labels: at least one; labels may repeat.
        place: gives the origin of label number `i`, for messages.

    Raises:
        InputError: an integer is too large to be a class.
    """
    distinct = sorted(set(labels))
    if not all(INTEGER.fullmatch(label) for label in distinct):
        return distinct
    highest = max(map(int, distinct))
    if highest > LARGEST_LABEL:
        where = place(labels.index(str(highest)))
        raise InputError(f"{where}: label {highest} is not a class; expected integers from 0 to {LARGEST_LABEL}")
    return list(default_names(highest + 1))


def ids_of(
    labels: Sequence[str], label_names: Sequence[str], place: Place, declared_names: Sequence[str] | None = None
) -> list[int]:
    """The class of each label: the place of its name in `label_names`, or the class that its integer stands for.

    `declared_names` are the names that the file's integers stand for, where these are known; otherwise `label_names`
    decides, see `Labels.class_of`.

    Raises:
        InputError: a label is neither one of `label_names` nor an integer below their number; or integers stand for
            other names.
    """
    class_of = Labels.of(label_names).class_of(declared_names)
    for number, label in enumerate(labels):
        if label not in class_of:
            label_text(label, place(number))  # an empty label has a message of its own
            if declared_names is not None and INTEGER.fullmatch(label) and "0" not in class_of:
                raise InputError(
                    f"{place(number)}: label {label!r} is one of {shown(declared_names)}, and the model's labels are "
                    f"{shown(label_names)}; expected the same ones, in any order"
                )
            accepted = shown(label_names) + (f", or 0 to {len(label_names) - 1}" if "0" in class_of else "")
            raise InputError(f"{place(number)}: label {label!r}; expected {accepted}")
    return [class_of[label] for label in labels]


def label_text(label: Any, place: str, may_be_empty: bool = False) -> str:
    """A label as text: a string, an integer, a finite number, or `true` and `false` as JSON has them.

    Raises:
        InputError: it is something else, such as NaN, or it is empty and must not be.
    """
    if isinstance(label, bool | np.bool_):
        return "true" if label else "false"
    if isinstance(label, str) and not label.strip() and not may_be_empty:
        raise InputError(f"{place}: the label is empty; expected a label in every row")
    if isinstance(label, str) or (isinstance(label, int | float | np.number) and math.isfinite(label)):
        return str(label)
    raise InputError(f"{place}: label {label!r}; expected a text, a finite number, true or false")


def join_cell(labels: Sequence[Any], place: str) -> str:
    """The cell that `split_cell` splits into these labels.

    Raises:
        InputError: a label is neither a number nor a text without commas.
    """
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, str | Integral) or SEPARATOR in str(label):
            raise InputError(f"{place}: label {label!r} in a list; expected integers or texts without a comma")
    return SEPARATOR.join(map(str, labels))


def split_cell(cell: str, place: str) -> list[str]:
    """The labels of a cell, `a,b`; an empty cell has none.

    Raises:
        InputError: the cell cannot be split: a label is empty or repeated, or the cell is a list in brackets.
    """
    labels = _parts(cell)
    if not all(labels) or len(set(labels)) < len(labels) or cell.lstrip().startswith(BRACKETS):
        raise InputError(
            f"{place}: labels {cell!r}; expected different ones with one comma between two, or nothing at all"
        )
    return labels


def refuse_multi_hot(cells: Sequence[str], place: Place) -> None:
    """Refuse multi-hot cells: all have equally many entries, each 0 or 1.

    Read as labels, they would be class 0 and class 1 in every row.

    Raises:
        InputError: the cells are multi-hot.
    """
    entries = [_parts(cell) for cell in cells]
    if len(set(map(len, entries))) == 1 and len(entries[0]) > 1 and {"0", "1"} >= set().union(*entries):
        raise InputError(
            f"{place(0)}: labels {cells[0]!r} look multi-hot, as all rows have {len(entries[0])} entries of 0 and 1; "
            f"expected the labels that are right, such as {_right(entries[0])!r}"
        )


def _parts(cell: str) -> list[str]:
    return [label.strip() for label in cell.split(SEPARATOR)] if cell.strip() else []


def _right(entries: Sequence[str]) -> str:
    return SEPARATOR.join(str(number) for number, entry in enumerate(entries) if entry == "1")
