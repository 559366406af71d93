"""Every task through `finetune`, `distill`, `evaluate` and `predict`, from flags alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf.metrics import TASK_METRICS
from tinybert_tf.models.heads.tasks import load_teaching, task_of

ADJECTIVES = {"good": "praise", "fine": "praise", "bad": "blame", "dull": "blame"}
SUBJECTS = {"film": "screen", "plot": "book"}


def several_labels(times: int) -> Iterator[str]:
    """A subject and an adjective: both, one or neither of them has a label."""
    yield "text\tlabels"
    for subject, adjective in times * [*product([*SUBJECTS, "story"], [*ADJECTIVES, "whole"])]:
        labels = [label for label in (SUBJECTS.get(subject), ADJECTIVES.get(adjective)) if label]
        yield f"the {subject} was {adjective}\t{','.join(labels)}"


def tagged(times: int) -> Iterator[str]:
    """Sentences with a thing, of two words in every other one, and a verdict."""
    for number, (subject, adjective) in times * [*enumerate(product([*SUBJECTS, "story"], ADJECTIVES))]:
        thing = [f"{subject}\tB-thing"] if number % 2 else ["whole\tB-thing", f"{subject}\tI-thing"]
        yield from ("the\tO", *thing, "was\tO", f"{adjective}\tB-{ADJECTIVES[adjective]}", "")


def asked(times: int) -> Iterator[str]:
    """What is judged, and how, of every such sentence; and what is not said."""
    paragraphs = []
    for subject, adjective in times * [*product([*SUBJECTS, "story"], ADJECTIVES)]:
        context = f"the {subject} was {adjective}"
        found = [("the what", subject), ("was what", adjective)]
        qas: list[dict[str, Any]] = [
            {"question": question, "answers": [{"text": answer, "answer_start": context.index(answer)}]}
            for question, answer in found
        ]
        paragraphs.append({"context": context, "qas": [*qas, {"question": "a", "is_impossible": True, "answers": []}]})
    yield json.dumps({"data": [{"paragraphs": paragraphs}]})


@dataclass(frozen=True)
class Case:
    """A task's file, the flags that say what is in it, and what `predict` says to a text."""

    lines: Callable[[int], Iterator[str]]
    suffix: str
    flags: tuple[str, ...]
    text: tuple[str, ...]
    answer: dict[str, Any]
    architecture: str


CASES = {
    "multi_label": Case(
        several_labels,
        "tsv",
        ("--text", "text", "--label", "labels"),
        ("the film was dull",),
        {"labels": ["blame", "screen"]},
        "BertForSequenceClassification",
    ),
    "token_classification": Case(
        tagged,
        "conll",
        (),
        ("the whole film was dull",),
        {
            "tags": ["O", "B-thing", "I-thing", "O", "B-blame"],
            "entities": [
                {"type": "thing", "text": "whole film", "start": 4, "end": 14},
                {"type": "blame", "text": "dull", "start": 19, "end": 23},
            ],
        },
        "BertForTokenClassification",
    ),
    "question_answering": Case(
        asked,
        "json",
        (),
        ("the what\tthe film was dull", "--pairs"),
        {"answer": "film", "start": 4, "end": 8},
        "BertForQuestionAnswering",
    ),
}


def written(case: Case, directory: Path, times: int) -> Path:
    """A file with what a case has, so many times."""
    file = directory / f"{times}.{case.suffix}"
    file.write_text("\n".join(case.lines(times)) + "\n", encoding="utf-8")
    return file


@dataclass(frozen=True)
class Runs:
    """A task's file and its two run directories."""

    task: str
    file: Path
    teacher: Path
    student: Path

    @property
    def case(self) -> Case:
        return CASES[self.task]


@pytest.fixture(scope="module", params=CASES)
def runs(
    request: pytest.FixtureRequest, tinybert: Callable[..., Any], encoder_dir: Path, tmp_path_factory: Any
) -> Runs:
    """A teacher that knows the file by heart, and its student: few epochs, each with all rows ten times."""
    case, directory = CASES[request.param], tmp_path_factory.mktemp(request.param)
    file = written(case, directory, 1)
    flags = [
        "--task", request.param, "--train", written(case, directory, 10), "--dev", file, *case.flags,
        "--max-length", 24, "--batch-size", 4, "--precision", "float32",
    ]  # fmt: skip
    found = Runs(request.param, file, directory / "teacher", directory / "student")
    command = tinybert(
        "finetune", "--model", encoder_dir, *flags, "--learning-rate", "1e-2", "--epochs", 4, "--out", found.teacher
    )
    assert command.status == 0, command.err
    command = tinybert(
        "distill", "--teacher", found.teacher, *flags, "--learning-rate", "5e-3", "--epochs", 4, "--out", found.student
    )
    assert command.status == 0, command.err
    return found


def metrics_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text())


def test_the_teacher_learns_and_the_student_learns_from_it(runs: Runs) -> None:
    main = TASK_METRICS[runs.task].main
    assert metrics_of(runs.teacher)["model"][main] > 0.9
    assert metrics_of(runs.student)["student"][main] > 0.7
    of_model = metrics_of(runs.teacher)["model"]
    of_teacher = metrics_of(runs.student)["teacher"]
    assert all(of_teacher[name] == pytest.approx(of_model[name]) for name in TASK_METRICS[runs.task].names(2))


def test_what_is_saved_says_what_it_is(runs: Runs) -> None:
    for run, name in ((runs.teacher, "model"), (runs.student, "student")):
        config = json.loads((run / name / "config.json").read_text())
        assert config["architectures"] == [runs.case.architecture]
        assert task_of(run) == runs.task
    teacher, student = (load_teaching(run, runs.task) for run in (runs.teacher, runs.student))
    assert student.label_names == teacher.label_names


def test_evaluate_gives_the_metrics_of_the_run(runs: Runs, tinybert: Callable[..., Any]) -> None:
    command = tinybert("evaluate", runs.student, "--data", runs.file, *runs.case.flags, "--max-length", 24)
    assert command.status == 0, command.err
    measured = json.loads(command.out)
    written = metrics_of(runs.student)["student"]
    assert measured.pop("per_class", None) == written.get("per_class")
    assert measured.pop("standard_error") == pytest.approx(written["standard_error"], abs=1e-6)
    assert tuple(measured) == TASK_METRICS[runs.task].names(2)
    assert measured == pytest.approx({name: written[name] for name in measured}, abs=1e-6)


def test_predict(runs: Runs, tinybert: Callable[..., Any]) -> None:
    command = tinybert("predict", runs.teacher, *runs.case.text)
    assert command.status == 0, command.err
    answer = json.loads(command.out)
    assert {name: answer[name] for name in runs.case.answer} == runs.case.answer
