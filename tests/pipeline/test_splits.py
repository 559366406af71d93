"""Files to tokenized data sets: what is read, counted and refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tinybert_tf.config.schema import Data
from tinybert_tf.data.tokenizer import Tokenizer, train_wordpiece
from tinybert_tf.errors import InputError
from tinybert_tf.pipeline.splits import read_dataset, read_datasets, tokenize

Write = Callable[[str, list[str]], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, texts: list[str]) -> str:
        rows = [f"{text}\tother\t{number % 2}" for number, text in enumerate(texts)]
        path = tmp_path / f"{name}.tsv"
        path.write_text("\n".join(["text\tpair\tlabel", *rows]) + "\n", encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_wordpiece(["a b c d e"], vocab_size=50, min_frequency=1)


def test_train_dev_and_a_test_only_where_there_is_one(write: Write) -> None:
    train, dev, test = (write(name, ["a"]) for name in ("train", "dev", "test"))
    data = Data(train=train, dev=dev, text=("text",), label="label")
    assert {name: dataset.source for name, dataset in read_datasets(data).items()} == {"train": train, "dev": dev}
    with_test = Data(train=train, dev=dev, test=test, text=("text",), label="label")
    assert list(read_datasets(with_test)) == ["train", "dev", "test"]


def test_cut_texts_are_counted_and_said(write: Write, tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    train = read_dataset(write("train", ["a b c d e", "a b", "a b c", "e d c b a"]), "text", "label")
    dev = read_dataset(write("dev", ["a", "b"]), "text", "label")
    with caplog.at_level(logging.INFO, "tinybert_tf"):
        splits = tokenize({"train": train, "dev": dev}, tokenizer, ["no", "yes"], max_length=5)
    assert splits["train"].summary() == {"rows": 4, "truncated": 2}
    assert splits["dev"].summary() == {"rows": 2, "truncated": 0}
    assert caplog.messages == [
        "train: 4 texts, 4.8 tokens on average; 2 cut at 5 tokens",
        "dev: 2 texts, 3.0 tokens on average; 0 cut at 5 tokens",
    ]
    assert splits["train"].labels.tolist() == [0, 1, 0, 1]


def test_batches(write: Write, tokenizer: Tokenizer) -> None:
    dataset = read_dataset(write("train", ["a", "a b c", "a b", "b"]), "text", "label")
    split = tokenize({"train": dataset}, tokenizer, ["no", "yes"], max_length=8)["train"]
    training = split.training_batches(batch_size=3, seed=1)
    assert (training.batch_size, training.seed, len(training)) == (3, 1, 2)
    (evaluation,) = (split.evaluation_batches()[step] for step in range(len(split.evaluation_batches())))
    inputs, labels = evaluation
    assert inputs["attention_mask"].sum(axis=1).tolist() == [5, 4, 3, 3]  # longest first
    assert labels.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("columns", ["text,pair", ["text", "pair"]])
def test_pairs_are_refused(write: Write, columns: str | list[str]) -> None:
    with pytest.raises(InputError, match="text='text,pair' names two columns; this release classifies single texts"):
        read_dataset(write("train", ["a"]), columns, "label")


def test_an_unknown_label_names_its_row(write: Write, tokenizer: Tokenizer) -> None:
    dataset = read_dataset(write("train", ["a", "b"]), "text", "pair")
    with pytest.raises(InputError, match=r"train\.tsv:2: label 'other'; 'no', 'yes', or 0 to 1, are accepted"):
        tokenize({"train": dataset}, tokenizer, ["no", "yes"], max_length=8)
