"""`labels.json`: what is written beside an exported model, so that it answers without the directory it came from."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import FILE_NAME, NULL, TEXT, TEXTS, Kind, integer, list_of, read_object

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
        values = read_object(path, KINDS)
        if not KINDS.keys() >= values.keys() >= KINDS.keys() - {"lengths", "quantize"}:
            found = ", ".join(sorted(values)) or "none"
            raise InputError(f"{path}: expected the keys {', '.join(KINDS)}, got {found}")
        return cls(**values)


# What `Format.file` is where a format's files are the directory itself.
HERE = Kind("'.'", lambda value: value == ".")
KINDS = {
    "format": TEXT,
    "file": FILE_NAME | HERE,
    "task": TEXT,
    "labels": TEXTS,
    "max_length": integer(1),
    "lengths": list_of(integer(1), "a list of integers >= 1") | NULL,
    "quantize": TEXT | NULL,
}
