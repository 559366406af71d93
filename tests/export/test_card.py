"""`labels.json`: there and back, and what it is refused for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.export.card import CARD_FILE, Card

CARD = Card("litert", "model.tflite", "sequence_classification", ["schlecht", "größer"], 64, [16, 64], "dynamic_int8")


def test_there_and_back(tmp_path: Path) -> None:
    for card in (CARD, Card("onnx", "model.onnx", "question_answering", [], 512)):
        card.write(tmp_path)
        assert Card.read(tmp_path) == card
    assert [path.name for path in tmp_path.iterdir()] == [CARD_FILE]


def test_it_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels\.json: no such file, .* export the model again"):
        Card.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": "positive"}, "labels: expected a list of strings, got 'positive'"),
        ({"labels": [1]}, r"labels: expected a list of strings, got \[1\]"),
        ({"lengths": 64}, "lengths: expected a list of integers >= 1 or null, got 64"),
        ({"max_length": "64"}, "max_length: expected an integer >= 1, got '64'"),
        ({"max_length": True}, "max_length: expected an integer >= 1, got true"),
        ({"task": None}, "task: expected a string, got null"),
        ({"file": "../model.tflite"}, "file: expected the name of a file in the same directory or '.', got '../model"),
        ({"file": "/etc/passwd"}, "file: expected the name of a file in the same directory"),
        ({"file": ".."}, "file: expected the name of a file in the same directory"),
        ({"file": "a\\b"}, "file: expected the name of a file in the same directory"),
        ({"integers": [0, 0]}, r"labels\.json: integers \[0, 0\] for \d labels; expected each class once"),
        ({"positive": 7}, r"labels\.json: positive class 7 of \d; expected one from 0"),
        ({"more": 1}, "expected the keys format, file, task, .*, got file, format, "),
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
    with pytest.raises(InputError, match=r"expected UTF-8 text, got byte 0xff at position 1"):
        Card.read(tmp_path)
    (tmp_path / CARD_FILE).write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match=r"expected a JSON object, got \[\]"):
        Card.read(tmp_path)
