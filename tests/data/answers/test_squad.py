"""SQuAD files: what is read, and what is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError
from tinybert_tf.data.answers.squad import Question, read_squad

CONTEXT = "ann came, ben left"


def write(tmp_path: Path, *questions: Any, context: Any = CONTEXT) -> Path:
    path = tmp_path / "a.json"
    content = {"data": [{"paragraphs": [{"context": context, "qas": list(questions)}]}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def answer(text: Any, start: Any) -> dict[str, Any]:
    return {"question": "who?", "answers": [{"text": text, "answer_start": start}]}


def test_questions_answers_and_places(tmp_path: Path) -> None:
    path = write(tmp_path, answer("ben", 10), {"question": "why?", "is_impossible": True, "answers": []})
    first, second = read_squad(path)
    assert first == Question("who?", CONTEXT, [("ben", 10)], f"{path}: data[0].paragraphs[0].qas[0]", "data[0]")
    assert (second.answers, second.place) == ([], f"{path}: data[0].paragraphs[0].qas[1]")


def test_what_is_plausible_alone_is_no_answer(tmp_path: Path) -> None:
    assert read_squad(write(tmp_path, {**answer("ben", 10), "is_impossible": True}))[0].answers == []


def test_without_answers(tmp_path: Path) -> None:
    assert read_squad(write(tmp_path, {"question": "who?"}), has_answers=False)[0].answers == []


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (answer("ben", 9), r"answers\[0\]: the answer 'ben' is not at character 9, ' be' is; it is at 10"),
        (answer("carl", 0), r"answers\[0\]: the answer 'carl' is not at character 0, 'ann ' is; it is nowhere"),
        (answer("ben", "10"), r"answers\[0\]\.answer_start is '10'; expected the character that 'ben' begins at"),
        (answer("ben", True), r"answers\[0\]\.answer_start is true"),
        (answer("ben", -8), r"answers\[0\]\.answer_start is -8"),
        (answer(" ", 3), r"answers\[0\]\.text is ' '; expected a text that is not empty"),
        ({"question": "who?", "answers": []}, r"qas\[0\] has no answer; expected one, or is_impossible: true"),
        ({"question": "who?"}, r"qas\[0\]\.answers is missing; expected a list, as in SQuAD's files"),
        ({"answers": []}, r"qas\[0\]\.question is null"),
        ("who?", r"qas\[0\] is 'who\?'; expected an object, as in SQuAD's files"),
    ],
)
def test_what_is_refused(tmp_path: Path, question: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_squad(write(tmp_path, question))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.json: no question; expected at least one"):
        read_squad(write(tmp_path))
    with pytest.raises(InputError, match=r"paragraphs\[0\]\.context is ''"):
        read_squad(write(tmp_path, answer("ben", 10), context=""))
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InputError, match=r"a\.json: data is missing"):
        read_squad(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json: not valid JSON"):
        read_squad(tmp_path / "a.json")
