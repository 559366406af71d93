"""Data sets of the Hub: how they are named, what is said without them, and columns of a real `datasets.Dataset`."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import InputError, TaggedDataset, TextDataset
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.text.hub_datasets import is_hub_split, load_split

ROWS = [{"sentence": "a fine film", "label": 1}, {"sentence": "a dull film", "label": 0}]


@pytest.fixture
def owners_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`owner/name` as `datasets` finds it in the working directory, without a network."""
    pytest.importorskip("datasets", reason="datasets (extra `hub`) is not installed")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "owner" / "name" / "train.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "hub:owner/name:train"


def test_a_split_is_read_as_a_file_is(owners_data: str) -> None:
    assert is_hub_split(owners_data)
    assert not is_hub_split("owner/name/train.jsonl")
    dataset = find_task("sequence_classification").read(owners_data, ("sentence",), "label", ("bad", "good"))
    assert dataset.texts == [row["sentence"] for row in ROWS]
    assert dataset.label_ids(["bad", "good"]).tolist() == [1, 0]
    assert dataset.label_names() == ["bad", "good"]
    assert dataset.source == owners_data
    with pytest.raises(InputError, match=r"hub:owner/name:train\[0\]: label '1' is one of 'bad', 'good', and"):
        dataset.label_ids(["one"])
    unlabelled = find_task("sequence_classification").read(owners_data, ("sentence",), None, has_labels=False)
    assert unlabelled.labels is None


def test_what_cannot_be_had(owners_data: str) -> None:
    with pytest.raises(
        InputError, match=r"^hub:owner/name:train: the data set has no column 'text'; it has 'sentence'"
    ):
        TextDataset.from_hub(owners_data, "text")
    for missing in ("hub:owner/name:test", "hub:owner/other:train", "hub:owner/name/config:train"):
        with pytest.raises(InputError, match=rf"^{missing}: cannot be loaded from the Hub \(.*\)$") as caught:
            load_split(missing)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["hub:glue", "hub:owner/name", "hub:name:train", "hub:a/b/c/d:train"])
def test_what_is_no_name(wrong: str) -> None:
    with pytest.raises(InputError, match="expected hub:owner/name:split or hub:owner/name/config:split"):
        load_split(wrong)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **given: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *rest, **given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"reading it takes the package datasets: pip install 'tinybert_tf\[hub\]'"):
        load_split("hub:owner/name:train")


def write(rows: list[dict[str, Any]]) -> None:
    """Rows as `owner/name`'s, in the working directory."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    Path("owner/name/train.jsonl").write_text(lines, encoding="utf-8")


TAGGED = [{"tokens": ["in", "New", "York"], "ner_tags": [0, 1, 2]}, {"tokens": ["no"], "ner_tags": [0]}]
TAGS = ["O", "B-place", "I-place"]


def test_tags(owners_data: str) -> None:
    write(TAGGED)
    task = find_task("token_classification")
    dataset = task.read(owners_data, label_names=TAGS)
    assert dataset.words == [row["tokens"] for row in TAGGED]
    assert dataset.tags == [TAGS, ["O"]]
    assert dataset.tag_ids(TAGS) == [[0, 1, 2], [0]]
    with pytest.raises(InputError, match=r"^hub:owner/name:train\[0\]: tag 'B-place'; expected one of O"):
        dataset.tag_ids(["O"])
    assert task.read(owners_data, has_labels=False).tags is None
    write([{"words": ["in", "York"], "kinds": ["O", "B-place"]}])
    named = task.read(owners_data, ("words",), "kinds")
    assert (named.words, named.tags) == ([["in", "York"]], [["O", "B-place"]])


def test_tags_with_names_of_their_own() -> None:
    datasets = pytest.importorskip("datasets", reason="datasets (extra `hub`) is not installed")
    kinds = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=TAGS)),
        }
    )
    dataset = TaggedDataset.from_huggingface(datasets.Dataset.from_list(TAGGED, features=kinds))
    assert dataset.tags == [TAGS, ["O"]]
    assert dataset.place(1) == "dataset[1]"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a"], "tags": ["O"]}, r": the data set has no column 'ner_tags'; it has 'tokens', 'tags'"),
        ({"tokens": [], "ner_tags": []}, r"\[0\].tokens is \[\]; expected a list of words"),
        ({"tokens": "word", "ner_tags": ["O"]}, r"\[0\].tokens is 'word'; expected a list of words"),
        ({"tokens": 7, "ner_tags": ["O"]}, r"\[0\].tokens is 7; expected a list of words"),
        ({"tokens": ["a"], "ner_tags": [1.5]}, r"\[0\].ner_tags: tag 1.5; expected 0 to 2"),
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, r"\[0\].ner_tags is \['O'\]; expected a tag for each of 2 words"),
        ({"tokens": ["a", "b"], "ner_tags": [0, 3]}, r"\[0\].ner_tags: tag 3; expected 0 to 2"),
        ({"tokens": ["a", "b"], "ner_tags": ["O", "I-x"]}, r"\[0\].ner_tags\[1\]: tag 'I-x' after 'O'"),
    ],
)
def test_tags_that_cannot_be_used(owners_data: str, row: dict[str, Any], message: str) -> None:
    write([row])
    with pytest.raises(InputError, match=rf"^hub:owner/name:train{message}"):
        find_task("token_classification").read(owners_data, label_names=TAGS)


ASKED = [
    {"question": "who came?", "context": "ann came", "answers": {"text": ["ann"], "answer_start": [0]}},
    {"question": "who went?", "context": "ann came", "answers": {"text": [], "answer_start": []}},
]


def test_questions(owners_data: str) -> None:
    write(ASKED)
    task = find_task("question_answering")
    dataset = task.read(owners_data)
    assert [question.answers for question in dataset.questions] == [[("ann", 0)], []]
    assert dataset.has_labels
    assert not task.read(owners_data, has_labels=False).has_labels
    with pytest.raises(InputError, match="name of a column"):
        task.read(owners_data, "question")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": " "}, r": \[0\].question is ' '"),
        (
            {"answers": {"text": ["ann"], "answer_start": [1]}},
            r": \[0\].answers\[0\]: the answer 'ann' is not at character 1",
        ),
        ({"answers": {"text": ["ann"], "answer_start": []}}, r": \[0\].answers is .*; expected lists text"),
    ],
)
def test_questions_that_cannot_be_used(owners_data: str, change: dict[str, Any], message: str) -> None:
    write([ASKED[0] | change])
    with pytest.raises(InputError, match=rf"^hub:owner/name:train{message}"):
        find_task("question_answering").read(owners_data)
