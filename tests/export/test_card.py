"""`labels.json`: there and back, and what it is refused for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf.errors import InputError
from tinybert_tf.export.card import CARD_FILE, Card

CARD = Card("litert", "model.tflite", "sequence_classification", ["schlecht", "größer"], 64, [16, 64], "dynamic_int8")


def test_there_and_back(tmp_path: Path) -> None:
    for card in (CARD, Card("onnx", "model.onnx", "question_answering", [], 512)):
        card.write(tmp_path)
        assert Card.read(tmp_path) == card
    assert [path.name for path in tmp_path.iterdir()] == [CARD_FILE]


def test_it_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels\.json: not there, .* export it again"):
        Card.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": "positive"}, "labels is 'positive'; a list of names"),
        ({"labels": [1]}, r"labels is \[1\]"),
        ({"lengths": 64}, "lengths is 64; null or a list"),
        ({"max_length": "64"}, "max_length is '64'; a number"),
        ({"task": None}, "task is None"),
        ({"more": 1}, "an object with file, format, labels"),
    ],
)
def test_it_is_damaged(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    CARD.write(tmp_path)
    values = json.loads((tmp_path / CARD_FILE).read_text(encoding="utf-8"))
    (tmp_path / CARD_FILE).write_text(json.dumps({**values, **change}), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        Card.read(tmp_path)


def test_it_is_no_json(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_bytes(b"{\xff")
    with pytest.raises(InputError, match="not readable as JSON"):
        Card.read(tmp_path)
    (tmp_path / CARD_FILE).write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="an object with"):
        Card.read(tmp_path)
