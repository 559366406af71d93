"""Files to tokenized data sets: what is read, counted and refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tinybert_tf import InputError, TextDataset, train_wordpiece
from tinybert_tf.config.schema import Data, Train
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.pipeline.parts.splits import read_datasets, tokenize

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
    train = TextDataset.from_file(write("train", ["a b c d e", "a b", "a b c", "e d c b a"]), "text", "label")
    dev = TextDataset.from_file(write("dev", ["a", "b"]), "text", "label")
    with caplog.at_level(logging.INFO, "tinybert_tf"):
        splits = tokenize({"train": train, "dev": dev}, tokenizer, ["no", "yes"], max_length=5)
    assert splits["train"].summary() == {"rows": 4, "truncated": 2}
    assert splits["dev"].summary() == {"rows": 2, "truncated": 0}
    assert caplog.messages == [
        "train: 4 rows, 4.8 tokens on average; 2 cut at 5 tokens",
        "dev: 2 rows, 3.0 tokens on average; 0 cut at 5 tokens",
    ]
    assert splits["train"].labels.tolist() == [0, 1, 0, 1]


def test_batches(write: Write, tokenizer: Tokenizer) -> None:
    dataset = TextDataset.from_file(write("train", ["a", "a b c", "a b", "b"]), "text", "label")
    split = tokenize({"train": dataset}, tokenizer, ["no", "yes"], max_length=8)["train"]
    training = split.training_batches(Train(batch_size=3))
    assert (training.batch_size, training.seed, len(training)) == (3, 1, 2)
    (evaluation,) = (split.evaluation_batches()[step] for step in range(len(split.evaluation_batches())))
    inputs, labels = evaluation
    assert inputs["attention_mask"].sum(axis=1).tolist() == [5, 4, 3, 3]  # longest first
    assert labels.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(("num_texts", "max_tokens", "rows"), [(2, 99, 2), (9, 99, 4), (9, 12, 3), (9, 1, 1)])
def test_a_sample(write: Write, tokenizer: Tokenizer, num_texts: int, max_tokens: int, rows: int) -> None:
    """Four texts of four tokens each: as many as both limits allow, and always one."""
    dataset = TextDataset.from_file(write("train", ["a b", "b a", "a a", "b b"]), "text", "label")
    split = tokenize({"train": dataset}, tokenizer, ["no", "yes"], max_length=8)["train"]
    (inputs,) = split.sample(num_texts, max_tokens, seed=1)
    assert inputs["input_ids"].shape == (rows, 4)
    assert len({tuple(row) for row in inputs["input_ids"].tolist()}) == rows


def test_two_samples_share_no_row(write: Write, tokenizer: Tokenizer) -> None:
    dataset = TextDataset.from_file(write("train", ["a b", "b a", "a a", "b b"]), "text", "label")
    split = tokenize({"train": dataset}, tokenizer, ["no", "yes"], max_length=8)["train"]
    samples = [split.sample(num_texts, 99, seed=1, after=after) for num_texts, after in ((3, 0), (3, 3))]
    rows = [tuple(row) for sample in samples for inputs in sample for row in inputs["input_ids"].tolist()]
    assert len(rows) == len(set(rows)) == 4
    assert split.sample(3, 99, seed=1, after=4) == []


def test_pairs_are_tokenized_as_pairs(write: Write, tokenizer: Tokenizer) -> None:
    data = Data(train=write("train", ["a b"]), dev=write("dev", ["c"]), text=("text", "pair"), label="label")
    datasets = read_datasets(data)
    assert datasets["train"].texts == [("a b", "other")]
    split = tokenize(datasets, tokenizer, ["no", "yes"], max_length=8)["dev"]
    assert split.tokens.token_type_ids.tolist() == [0, 0, 0, 1, 1]  # [CLS] c [SEP] [UNK] [SEP]


@pytest.mark.parametrize("has_labels", [True, False])
def test_files_of_the_stages(write: Write, tokenizer: Tokenizer, has_labels: bool) -> None:
    path = write("more", ["a", "b", "c"])
    data = Data(train=write("train", ["a"]), dev=write("dev", ["c"]), text=("text",), label="label")
    datasets = read_datasets(data, {path: has_labels})
    assert list(datasets) == ["train", "dev", path]
    split = tokenize(datasets, tokenizer, ["no", "yes"], max_length=8)[path]
    batch = split.training_batches(Train(batch_size=4))[0]
    assert len(batch) == (2 if has_labels else 1)
    assert split.labels is None or split.labels.tolist() == [0, 1, 0]


def test_a_file_without_labels_is_read_where_none_are_wanted(tmp_path: Path, write: Write) -> None:
    (tmp_path / "bare.tsv").write_text("text\na\n")
    data = Data(train=write("train", ["a"]), dev=write("dev", ["c"]), text=("text",), label="label")
    assert read_datasets(data, {str(tmp_path / "bare.tsv"): False})[str(tmp_path / "bare.tsv")].texts == ["a"]
    with pytest.raises(InputError, match=r"bare\.tsv: no column 'label'; it has 'text'"):
        read_datasets(data, {str(tmp_path / "bare.tsv"): True})


def test_scores(tokenizer: Tokenizer) -> None:
    dataset = TextDataset.from_lists(["a", "b"], ["3.5", "-1"])
    labels = tokenize({"train": dataset}, tokenizer, ["LABEL_0"], max_length=8, task="regression")["train"].labels
    assert labels is not None
    assert (labels.tolist(), labels.dtype) == ([3.5, -1.0], "float32")
    with pytest.raises(InputError, match=r"^texts\[1\]: label 'high'; expected a number"):
        tokenize({"train": TextDataset.from_lists(["a", "b"], ["1", "high"])}, tokenizer, ["LABEL_0"], 8, "regression")


def test_an_unknown_label_names_its_row(write: Write, tokenizer: Tokenizer) -> None:
    dataset = TextDataset.from_file(write("train", ["a", "b"]), "text", "pair")
    with pytest.raises(InputError, match=r"train\.tsv:2: label 'other'; expected 'no', 'yes', or 0 to 1"):
        tokenize({"train": dataset}, tokenizer, ["no", "yes"], max_length=8)
