"""Labels as files write them, and the classes that they name."""

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
    return list(default_names(highest + 1))


def ids_of(
    labels: Sequence[str], label_names: Sequence[str], place: Place, declared_names: Sequence[str] | None = None
) -> list[int]:
    """The class of each label: that of its name in `label_names`, or the one that an integer stands for.

    `declared_names` are what the file's integers stand for, where that is known; otherwise `label_names` know it, see
    `Labels.class_of`.

    Raises:
        InputError: a label is neither one of `label_names` nor an integer below their number; or integers that stand
            for other names.
    """
    class_of = Labels.of(label_names).class_of(declared_names)
    for number, label in enumerate(labels):
        if label not in class_of:
            label_text(label, place(number))  # an empty one says so
            if declared_names is not None and INTEGER.fullmatch(label) and "0" not in class_of:
                raise InputError(
                    f"{place(number)}: label {label!r} is one of {shown(declared_names)}, and the model's labels are "
                    f"{shown(label_names)}; the same ones, in any order, are accepted"
                )
            accepted = shown(label_names) + (f", or 0 to {len(label_names) - 1}" if "0" in class_of else "")
            raise InputError(f"{place(number)}: label {label!r}; {accepted}, are accepted")
    return [class_of[label] for label in labels]


def label_text(label: Any, place: str, may_be_empty: bool = False) -> str:
    """A label as text: a string, an integer, a finite number, or `true` and `false` as JSON has them.

    Raises:
        InputError: it is something else, such as NaN, or empty, where it must not be.
    """
    if isinstance(label, bool | np.bool_):
        return "true" if label else "false"
    if isinstance(label, str) and not label.strip() and not may_be_empty:
        raise InputError(f"{place}: the label is empty; expected a label in every row")
    if isinstance(label, str) or (isinstance(label, int | float | np.number) and math.isfinite(label)):
        return str(label)
    raise InputError(f"{place}: label {label!r}; expected a text, a finite number, true or false")


def join_cell(labels: Sequence[Any], place: str) -> str:
    """The cell that `split_cell` takes apart into these labels.

    Raises:
        InputError: one is neither a number nor a text without commas.
    """
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, str | Integral) or SEPARATOR in str(label):
            raise InputError(f"{place}: label {label!r} in a list; expected integers or texts without a comma")
    return SEPARATOR.join(map(str, labels))


def split_cell(cell: str, place: str) -> list[str]:
    """The labels of a cell, `a,b`; none of an empty one.

    Raises:
        InputError: it cannot be split: a label is empty, or there twice, or it is a list in brackets.
    """
    labels = _parts(cell)
    if not all(labels) or len(set(labels)) < len(labels) or cell.lstrip().startswith(BRACKETS):
        raise InputError(
            f"{place}: labels {cell!r}; expected different ones with one comma between two, or nothing at all"
        )
    return labels


def refuse_multi_hot(cells: Sequence[str], place: Place) -> None:
    """Refuse cells that all have as many entries, each 0 or 1: a column a class, where the labels are expected.

    As labels they would be class 0 and class 1 in every row.

    Raises:
        InputError: they are such cells.
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
