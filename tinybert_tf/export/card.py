"""`labels.json`: the facts beside an exported model that let it answer without its original directory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import FILE_NAME, NULL, TEXT, TEXTS, Kind, integer, list_of, read_object
from tinybert_tf.labels import Labels

CARD_FILE = "labels.json"
OPTIONAL = {"lengths", "quantize", "integers", "positive"}


@dataclass(frozen=True)
class Card:
    """The facts about an exported model that its file does not contain.

    `format` and `quantize` are `tinybert export`'s flags, `quantize` None for float32. `file` is the name of the
    model's file or directory. `labels` of the `task` are in the order of the logits. `max_length`: tokens of the
    longest text, special ones included. `lengths`: the lengths to which texts are padded, each a signature of the file,
    or None if any length will do. `integers` and `positive` are those of `tinybert_tf.labels.Labels`.
    """

    format: str
    file: str
    task: str
    labels: list[str]
    max_length: int
    lengths: list[int] | None = None
    quantize: str | None = None
    integers: list[int] | None = None
    positive: int | None = None

    @classmethod
    def of_labels(cls, labels: Sequence[str], **values: Any) -> Card:
        """Make the card of a model with these labels."""
        known = Labels.of(labels)
        integers = None if known.integers is None else list(known.integers)
        return cls(labels=list(known), integers=integers, positive=known.positive, **values)

    @property
    def known_labels(self) -> Labels:
        """The labels with the meaning of integers and the positive class."""
        integers = None if self.integers is None else tuple(self.integers)
        return Labels(tuple(self.labels), integers, self.positive)

    def write(self, directory: Path) -> None:
        """Write `labels.json`."""
        text = json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2)
        replace_text(directory / CARD_FILE, text + "\n")

    @classmethod
    def read(cls, directory: Path) -> Card:
        """Read `labels.json`.

        Raises:
            InputError: the file is missing, or its content is not that of `write`.
        """
        path = directory / CARD_FILE
        if not path.is_file():
            raise InputError(
                f"{path}: no such file, and only it holds the labels of this model; export the model again with "
                "`tinybert export`, and keep the files of its directory together"
            )
        values = read_object(path, KINDS)
        if not KINDS.keys() >= values.keys() >= KINDS.keys() - OPTIONAL:
            found = ", ".join(sorted(values)) or "none"
            raise InputError(f"{path}: expected the keys {', '.join(KINDS)}, got {found}")
        card = cls(**values)
        try:
            _ = card.known_labels
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return card


# The value of `Format.file` if the directory itself is the model.
HERE = Kind("'.'", lambda value: value == ".")
KINDS = {
    "format": TEXT,
    "file": FILE_NAME | HERE,
    "task": TEXT,
    "labels": TEXTS,
    "max_length": integer(1),
    "lengths": list_of(integer(1), "a list of integers >= 1") | NULL,
    "quantize": TEXT | NULL,
    "integers": list_of(integer(0), "a list of integers >= 0") | NULL,
    "positive": integer(0) | NULL,
}
