"""`labels.json`: what is written beside an exported model, so that it answers without the directory it came from."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.errors import InputError

CARD_FILE = "labels.json"


@dataclass(frozen=True)
class Card:
    """What a file of numbers does not say of itself.

    `format` and `quantize` as `tinybert export` has them, `quantize` None for float32. `file`: the model's, or its
    directory's name. `task`, and its `labels` in the order of the logits. `max_length`: tokens of the longest text,
    special ones included; `lengths`: those that texts are padded to, one signature of the file each, or None where any
    length will do.
    """

    format: str
    file: str
    task: str
    labels: list[str]
    max_length: int
    lengths: list[int] | None = None
    quantize: str | None = None

    def write(self, directory: Path) -> None:
        """Write `labels.json`."""
        text = json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2)
        replace_text(directory / CARD_FILE, text + "\n")

    @classmethod
    def read(cls, directory: Path) -> Card:
        """Read `labels.json`.

        Raises:
            InputError: it is not there, or not what `write` writes.
        """
        path = directory / CARD_FILE
        if not path.is_file():
            raise InputError(
                f"{path}: not there, and without it nobody knows the labels of this model; export it again with "
                "`tinybert export`, and keep the files of its directory together"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not readable as JSON ({error})") from None
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or not names >= values.keys() >= names - {"lengths", "quantize"}:
            raise InputError(f"{path}: an object with {', '.join(sorted(names))} is wanted")
        card = cls(**values)
        wrong = next((name for name in names if not _fits(getattr(card, name), _TYPES[name])), None)
        if wrong is not None:
            raise InputError(f"{path}: {wrong} is {getattr(card, wrong)!r}; {_TYPES[wrong][1]} is wanted")
        return card


_TYPES: dict[str, tuple[Any, str]] = {
    "format": (str, "a name"),
    "file": (str, "a file name"),
    "task": (str, "a name"),
    "labels": ([str], "a list of names"),
    "max_length": (int, "a number of tokens"),
    "lengths": ([int], "null or a list of numbers of tokens"),
    "quantize": (str, "null or a name"),
}


def _fits(value: Any, wanted: tuple[Any, str]) -> bool:
    kind, words = wanted
    if value is None:
        return words.startswith("null")
    if isinstance(kind, list):
        return isinstance(value, list) and all(isinstance(one, kind[0]) for one in value)
    return isinstance(value, kind)
