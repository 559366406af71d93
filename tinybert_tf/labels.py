"""`Labels`: the names of a model's classes, the classes that integers stand for, and the positive class."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinybert_tf.errors import InputError

# A non-negative integer as files write it.
INTEGER = re.compile(r"0|[1-9][0-9]*")
# The keys of `config.json` that hold labels; transformers keeps and ignores the last two.
ID2LABEL = "id2label"
INTEGERS = "integer_labels"
POSITIVE = "positive_label"


@dataclass(frozen=True)
class Labels(Sequence[str]):
    """The names of a model's classes, in the order of its logits, and how to read integers in a file of labels.

    It is the sequence of its names, and can be used in place of one.

    Attributes:
        names: one for each class.
        integers: the class that each integer of a file stands for; None if it is unknown, and integer i is class i.
        positive: the class whose F1 is the F1 of a model of two classes; None if none was chosen.

    Raises:
        InputError: `integers` does not have each class once, or `positive` is not a class.

    Example:
        >>> labels = Labels(("positive", "negative")).read_by(["negative", "positive"])
        >>> labels.class_of()["0"], labels.positive_name
        (1, 'positive')
    """

    names: tuple[str, ...] = ()
    integers: tuple[int, ...] | None = None
    positive: int | None = None

    def __post_init__(self) -> None:
        if self.integers is not None and sorted(self.integers) != list(range(len(self))):
            raise InputError(f"integers {list(self.integers)} for {len(self)} labels; expected each class once")
        if self.positive is not None and self.positive not in range(len(self)):
            raise InputError(f"positive class {self.positive} of {len(self)}; expected one from 0 to {len(self) - 1}")

    def __getitem__(self, number: Any) -> Any:
        return self.names[number]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, names: Sequence[str]) -> Labels:
        """The names as `Labels`; `Labels` come back as they are."""
        return names if isinstance(names, Labels) else cls(tuple(names))

    @classmethod
    def from_config(cls, values: Mapping[str, Any], source: str) -> Labels | None:
        """The labels of a `config.json`; None if it has none.

        Raises:
            InputError: `id2label` is not a mapping of 0, 1, ... to different names, or another key has other names.
        """
        if values.get(ID2LABEL) is None:
            return None
        names = names_in_order(values[ID2LABEL], f"{source}: {ID2LABEL}")
        integers, positive = values.get(INTEGERS), values.get(POSITIVE)
        if integers is not None and (not isinstance(integers, list) or Counter(integers) != Counter(names)):
            raise InputError(f"{source}: {INTEGERS} is {integers!r}; expected the names {shown(names)} in any order")
        if positive is not None and positive not in names:
            raise InputError(f"{source}: {POSITIVE} is {positive!r}; expected one of {shown(names)}")
        return cls(
            tuple(names),
            None if integers is None else tuple(map(names.index, integers)),
            None if positive is None else names.index(positive),
        )

    def to_config(self) -> dict[str, Any]:
        """The keys that `from_config` reads, and `label2id`; the two other keys only if they are known."""
        known: dict[str, Any] = {}
        if self.integers is not None:
            known[INTEGERS] = [self.names[number] for number in self.integers]
        if self.positive is not None:
            known[POSITIVE] = self.names[self.positive]
        return {
            ID2LABEL: {str(number): name for number, name in enumerate(self.names)},
            "label2id": {name: number for number, name in enumerate(self.names)},
            **known,
        }

    @property
    def are_default(self) -> bool:
        """Whether the names are the default ones, `LABEL_0`, `LABEL_1`, ..."""
        return self.names == default_names(len(self))

    @property
    def positive_class(self) -> int:
        """The class whose F1 is measured: the chosen one, else the one that integer 1 stands for, else class 1."""
        if self.positive is not None:
            return self.positive
        return 1 if self.integers is None else self.integers[1]

    @property
    def positive_name(self) -> str | None:
        """The name of the positive class; None unless there are two classes."""
        return self.names[self.positive_class] if len(self) == 2 else None

    def class_of(self, declared: Sequence[str] | None = None) -> dict[str, int]:
        """The class of each label in the forms that a file may have: an integer, a name, a `declared` name.

        `declared`: the names that the file's integers stand for, if they are known. Order and case may differ from the
        model's, and a model with default names takes them in this order. Integers that stand for names which
        the model does not have are in no class.
        """
        by_name = {name: number for number, name in enumerate(self.names)}
        if declared is None:
            if any(map(INTEGER.fullmatch, self.names)):  # then an integer is a name
                return by_name
            integers: Sequence[int] | None = range(len(self)) if self.integers is None else self.integers
            return {str(number): class_id for number, class_id in enumerate(integers or ())} | by_name
        integers = self._places(declared)
        if integers is None:
            return by_name
        by_number = {str(number): class_id for number, class_id in enumerate(integers)}
        return by_number | dict(zip(declared, integers, strict=True)) | by_name

    def read_by(self, declared: Sequence[str] | None, positive: str | None = None) -> Labels:
        """These labels for data whose integers stand for `declared` names, and whose positive class is `positive`.

        None changes nothing. Declared names replace default ones.

        Raises:
            InputError: `positive` is not one of the labels, or there are not two labels.
        """
        found = self
        integers = None if declared is None else self._places(declared)
        if declared is not None and integers is not None:
            names = tuple(declared) if self.are_default else self.names
            found = dataclasses.replace(self, names=names, integers=tuple(integers))
        if positive is None:
            return found
        return dataclasses.replace(found, positive=found._class_named(positive, declared))

    def learned(self, from_integers: bool, is_one_right: bool) -> Labels:
        """The labels of a model that learned these: with the classes of integers if the data had any, and `positive`.

        `is_one_right`: whether exactly one class is right, so that one of two can be the positive one.
        """
        integers = tuple(range(len(self))) if self.integers is None and from_integers else self.integers
        positive = self.positive_class if is_one_right and len(self) == 2 else None
        return dataclasses.replace(self, integers=integers, positive=positive)

    def _class_named(self, positive: str, declared: Sequence[str] | None) -> int:
        if len(self) != 2:
            raise InputError(f"positive: {positive!r} of {len(self)} classes; expected a model of two classes")
        classes = self.class_of(declared)
        in_any_case = {name.casefold(): number for name, number in classes.items()}
        found = classes.get(positive, in_any_case.get(positive.casefold()))
        if found is None:
            raise InputError(f"positive: {positive!r} is not a label; expected one of {shown(self.names)}")
        return found

    def _places(self, names: Sequence[str]) -> list[int] | None:
        """The class of each name, in any order and in any case; None if the names differ."""
        for spelled in (str, str.casefold):
            place_of = {spelled(name): place for place, name in enumerate(self.names)}
            places = [place_of.get(spelled(name), -1) for name in names]
            if sorted(places) == list(range(len(self))):
                return places
        return list(range(len(self))) if self.are_default and len(names) == len(self) else None


def default_names(count: int) -> tuple[str, ...]:
    """`LABEL_0`, `LABEL_1`, ..., as transformers names classes that have no name."""
    return tuple(f"LABEL_{number}" for number in range(count))


def names_in_order(id2label: Any, source: str) -> list[str]:
    """The names of a mapping from 0, 1, ... (integers, or their digits as JSON has them), in this order.

    Raises:
        InputError: it is something else, or two classes have the same name.
    """
    try:
        by_number = {int(number): name for number, name in id2label.items()}
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"{source} is {id2label!r}; expected a mapping of 0, 1, ... to names") from None
    if sorted(by_number) != list(range(len(id2label))):
        found = ", ".join(map(str, sorted(by_number)[:20]))
        raise InputError(f"{source} has names for {found}; expected one for each class from 0 to {len(id2label) - 1}")
    return distinct([str(by_number[number]) for number in range(len(by_number))], source)


def distinct(names: list[str], source: str) -> list[str]:
    """Return the names if no two are equal; an answer would lose one of two equal names.

    Raises:
        InputError: two names are equal.
    """
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        places = [str(number) for number, name in enumerate(names) if name == repeated]
        raise InputError(f"{source} names {repeated!r} for classes {', '.join(places)}; expected different names")
    return names


def shown(names: Sequence[str]) -> str:
    """The first twenty names, for a message."""
    return ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
