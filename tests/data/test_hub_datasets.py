"""Data sets of the Hub: how they are named, what is said without them, and columns of a real `datasets.Dataset`."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf.data.dataset import TextDataset
from tinybert_tf.data.hub_datasets import is_hub_split, load_split
from tinybert_tf.data.tasks import find_task
from tinybert_tf.errors import InputError

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
    with pytest.raises(InputError, match=r"hub:owner/name:train\[0\]: label '1'; 'one', or 0 to 0"):
        dataset.label_ids(["one"])
    unlabelled = find_task("sequence_classification").read(owners_data, ("sentence",), None, has_labels=False)
    assert unlabelled.labels is None


def test_what_cannot_be_had(owners_data: str) -> None:
    with pytest.raises(
        InputError, match=r"^hub:owner/name:train: the data set has no column 'text'; it has 'sentence'"
    ):
        TextDataset.from_hub(owners_data, "text")
    for missing in ("hub:owner/name:test", "hub:owner/other:train", "hub:owner/name/config:train"):
        with pytest.raises(InputError, match=rf"^{missing}: cannot be had from the Hub \(.*\); a file can$") as caught:
            load_split(missing)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["hub:glue", "hub:owner/name", "hub:name:train", "hub:a/b/c/d:train"])
def test_what_is_no_name(wrong: str) -> None:
    with pytest.raises(InputError, match="hub:owner/name:split is accepted, or hub:owner/name/config:split"):
        load_split(wrong)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **given: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *rest, **given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"the package datasets is wanted, pip install 'tinybert_tf\[hub\]'"):
        load_split("hub:owner/name:train")


@pytest.mark.parametrize("task", ["token_classification", "question_answering"])
def test_tasks_of_files_alone(task: str) -> None:
    with pytest.raises(InputError, match="hub:owner/name:train: this task reads files"):
        find_task(task).read("hub:owner/name:train")
