"""The rules for what a config leaves open: rates by width, epochs by rows, texts to make; what is given stays."""

from __future__ import annotations

import dataclasses

import pytest

from tinybert_tf import QuestionDataset, TaggedDataset, TextDataset
from tinybert_tf.config.models import ModelSection, TeacherSection
from tinybert_tf.config.schema import Data, DistillConfig, FinetuneConfig, Train
from tinybert_tf.data.answers.squad import Question
from tinybert_tf.pipeline.parts import chosen
from tinybert_tf.pipeline.parts.chosen import texts_to_make, training_of_student, training_of_teacher, values_of

DATA = Data(train="train.tsv", dev="dev.tsv", text=("text",), label="label", augment=2)
DISTILL = DistillConfig(teacher=TeacherSection("bert"), data=DATA, out="run")
FINETUNE = FinetuneConfig(model=ModelSection("bert"), data=dataclasses.replace(DATA, augment=None), out="run")


def test_a_narrow_student_learns_faster_and_its_inside_faster_than_its_predictions() -> None:
    values = values_of(training_of_student(DISTILL, rows=6_917, more_rows=13_000, width=168))
    assert values == {
        "stages.0.learning_rate": 1e-3,
        "stages.0.epochs": 2,
        "stages.1.learning_rate": 3e-4,
        "stages.1.epochs": 2,
    }
    wide = values_of(training_of_student(DISTILL, 6_917, 13_000, width=768))
    assert (wide["stages.0.learning_rate"], wide["stages.1.learning_rate"]) == (2.2e-4, 6.5e-5)


@pytest.mark.parametrize(("rows", "epochs"), [(100, 10), (3_200, 9), (9_600, 3), (1_000_000, 2)])
def test_few_rows_are_read_more_often(rows: int, epochs: int) -> None:
    alone = dataclasses.replace(DISTILL, data=dataclasses.replace(DATA, augment=0))
    values = values_of(training_of_student(alone, rows, 0, width=384))
    assert {values["stages.0.epochs"], values["stages.1.epochs"]} == {epochs}


def test_what_is_given_stays() -> None:
    for train in (Train(epochs=7, learning_rate=1e-4), Train(max_steps=10, learning_rate=1e-4)):
        assert training_of_student(dataclasses.replace(DISTILL, train=train), 1_000, 0, 384) == []
        assert training_of_teacher(dataclasses.replace(FINETUNE, train=train), 1_000, 2, 384) == []
    assert texts_to_make(DISTILL, TextDataset.from_lists(["a"], ["b"])) == []


def test_a_pretrained_model() -> None:
    values = values_of(training_of_teacher(FINETUNE, rows=6_917, classes=2, width=768))
    assert values == {"train.learning_rate": 5.2e-5, "train.epochs": 4}
    many = values_of(training_of_teacher(FINETUNE, rows=6_917, classes=77, width=384))
    assert many["train.learning_rate"] == 3.2e-4


@pytest.mark.parametrize(("rows", "copies"), [(100, 4), (6_917, 2), (12_867, 1), (30_000, 0)])
def test_texts_are_made_where_rows_are_few(rows: int, copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "TEXTS", 20_000)
    config = dataclasses.replace(DISTILL, data=dataclasses.replace(DATA, augment=None))
    texts = TextDataset.from_lists(["a film"] * rows, ["b"] * rows)
    (choice,) = texts_to_make(config, texts)
    assert (choice.key, choice.value) == ("data.augment", copies)


def test_no_text_is_made_that_no_stage_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "TEXTS", 20_000)
    stages = tuple(dataclasses.replace(stage, train="own.tsv") for stage in DISTILL.stages)
    config = dataclasses.replace(DISTILL, data=dataclasses.replace(DATA, augment=None), stages=stages)
    texts = TextDataset.from_lists(["a film"], ["b"])
    assert values_of(texts_to_make(config, texts)) == {"data.augment": 0}
    one = dataclasses.replace(config, stages=(stages[0], DISTILL.stages[1]))
    assert values_of(texts_to_make(one, texts)) == {"data.augment": 4}


def test_no_text_is_made_of_questions() -> None:
    data = Data(train="train.json")
    config = DistillConfig(teacher=TeacherSection("bert"), data=data, task="question_answering", out="run")
    questions = QuestionDataset([Question("who?", "ann came", [("ann", 0)], "questions[0]")], "questions")
    assert values_of(texts_to_make(config, questions)) == {"data.augment": 0}


def test_sentences_with_tags_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "TEXTS", 20_000)
    config = DistillConfig(
        teacher=TeacherSection("b"), data=Data(train="a.conll"), task="token_classification", out="r"
    )
    sentences = TaggedDataset([["in", "Paris"]], [["O", "B-place"]], "sentences", [1])
    assert values_of(texts_to_make(config, sentences)) == {"data.augment": 4}
