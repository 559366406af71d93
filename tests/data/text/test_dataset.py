import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tinybert_tf import InputError, TextDataset, train_wordpiece


class Columns(dict):
    """What `TextDataset` asks of a `datasets.Dataset`."""

    column_names = property(lambda self: list(self))

    def __init__(self, features=None, **columns):
        super().__init__(columns)
        self.features = features


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("a\tb\ta,b\tlabel\nx\ty\tz\tyes\np\tq\tr\tno\n")
    return path


def test_from_file(pairs_file):
    single = TextDataset.from_file(pairs_file, text="a", label="label")
    assert single.texts == ["x", "p"]
    assert single.labels == ["yes", "no"]
    assert single.row_numbers == [2, 3]
    assert single.source == str(pairs_file)
    assert len(single) == 2
    assert TextDataset.from_file(pairs_file, text="a").labels is None


def test_two_columns_are_pairs_unless_a_column_is_called_so(pairs_file):
    assert TextDataset.from_file(pairs_file, text=("a", "b")).texts == [("x", "y"), ("p", "q")]
    assert TextDataset.from_file(pairs_file, text="b, a").texts == [("y", "x"), ("q", "p")]
    assert TextDataset.from_file(pairs_file, text="a,b").texts == ["z", "r"]
    with pytest.raises(InputError, match="names 3 columns; expected one, or two different"):
        TextDataset.from_file(pairs_file, text="a,b,label")


def test_from_lists():
    dataset = TextDataset.from_lists(["x", "y"], [np.int64(1), 0])
    assert dataset.labels == ["1", "0"]
    assert TextDataset.from_lists([["x", "y"]]).texts == [("x", "y")]


def test_booleans_are_two_classes(tmp_path):
    lists = TextDataset.from_lists(["x", "y", "z"], [True, False, np.True_])
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "spam": true}\n{"text": "y", "spam": false}\n{"text": "z", "spam": true}\n')
    for dataset in (lists, TextDataset.from_file(path, "text", "spam")):
        assert dataset.label_names() == ["false", "true"]
        assert dataset.label_ids(["false", "true"]).tolist() == [1, 0, 1]
        with pytest.raises(InputError, match="label 'true'; expected a number"):
            dataset.scores()


def test_no_number_in_json_is_no_label(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "label": "a"}\n{"text": "y", "label": NaN}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:2: "):
        TextDataset.from_file(path, "text", "label")


@pytest.mark.parametrize(
    ("texts", "labels", "expected"),
    [
        ([], None, "texts: expected at least one text, got none"),
        (["x"], ["1", "2"], "2 labels for 1 texts"),
        (["x", ("a", "b")], None, r"texts\[1\] is not like texts\[0\]; expected texts or pairs"),
        ([("a", "b", "c")], None, r"texts\[0\] is .*; expected a text or a pair of texts"),
        (["x", " "], None, r"texts\[1\] is ' '; expected a text or a pair of texts, not empty"),
        (["x", 3], None, r"texts\[1\] is 3; expected a text or a pair"),
        ([("x", 3)], None, r"texts\[0\] is \('x', 3\); expected a text or a pair of texts"),
        ([3], None, r"texts\[0\] is 3; expected a text or a pair of texts"),
        ("abc", None, "texts is a str; expected a list of texts"),
        (["x"], [None], r"texts\[0\]: label None; expected a text, a finite number, true or false"),
        (["x"], [float("nan")], r"texts\[0\]: label nan; expected a text, a finite number"),
        (["x"], [np.float32("inf")], r"texts\[0\]: label .*inf.*; expected a text, a finite number"),
        (["x"], [""], r"texts\[0\]: the label is empty; expected a label in every row"),
    ],
)
def test_lists_that_cannot_be_used(texts, labels, expected):
    with pytest.raises(InputError, match=expected):
        TextDataset.from_lists(texts, labels)


def test_from_huggingface_keeps_the_names_of_a_class_label():
    features = {"label": SimpleNamespace(names=["positive", "negative"])}
    dataset = TextDataset.from_huggingface(Columns(features, sentence=["x", "y"], label=[1, 0]), "sentence", "label")
    assert dataset.labels == ["negative", "positive"]
    assert dataset.label_names() == ["positive", "negative"]
    plain = TextDataset.from_huggingface(Columns({"label": object()}, a=["x"], b=["y"], label=["no"]), "a,b", "label")
    assert plain.texts == [("x", "y")]
    assert plain.label_names() == ["no"]


def test_from_huggingface_says_what_is_wrong():
    with pytest.raises(InputError, match="no column 'text'; it has 'sentence'"):
        TextDataset.from_huggingface(Columns(sentence=["x"]), "text")
    features = {"label": SimpleNamespace(names=["a", "b"])}
    with pytest.raises(InputError, match=r"dataset\[0\]: label -1; expected 0 to 1"):
        TextDataset.from_huggingface(Columns(features, sentence=["x"], label=[-1]), "sentence", "label")


def test_label_names():
    assert TextDataset.from_lists(["x", "y"], [2, 0]).label_names() == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert TextDataset.from_lists(["x", "y", "z"], ["b", "a", "b"]).label_names() == ["a", "b"]
    assert TextDataset.from_lists(["x", "y"], ["1", "-1"]).label_names() == ["-1", "1"]
    assert TextDataset.from_lists(["x", "y"], ["01", "1"]).label_names() == ["01", "1"]
    with pytest.raises(InputError, match=r"texts\[1\]: label 20240131 is not a class"):
        TextDataset.from_lists(["x", "y"], [0, 20240131]).label_names()
    with pytest.raises(InputError, match="read without labels"):
        TextDataset.from_lists(["x"]).label_names()


def test_label_ids_by_name_and_by_number():
    dataset = TextDataset.from_lists(["x", "y", "z"], ["negative", "1", "LABEL_0"])
    ids = dataset.label_ids(["LABEL_0", "negative"])
    assert ids.tolist() == [1, 1, 0]
    assert ids.dtype == np.int32
    # A name that is a number is that name, not the class of that number.
    assert TextDataset.from_lists(["x", "y"], ["1", "2"]).label_ids(["2", "1"]).tolist() == [1, 0]


def test_a_label_the_model_does_not_know(pairs_file):
    dataset = TextDataset.from_file(pairs_file, text="a", label="label")
    with pytest.raises(InputError, match=r"pairs.tsv:3: label 'no'; expected 'yes', 'maybe', or 0 to 1"):
        dataset.label_ids(["yes", "maybe"])
    with pytest.raises(InputError, match=r"texts\[0\]: label '2'"):
        TextDataset.from_lists(["x"], [2]).label_ids(["a", "b"])


def test_scores(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "x", "score": 3.8}\n{"a": "y", "score": "-1e1"}\n{"a": "z", "score": 5}\n')
    scores = TextDataset.from_file(path, text="a", label="score").scores()
    assert scores.tolist() == np.array([3.8, -10, 5], np.float32).tolist()
    assert scores.dtype == np.float32
    assert TextDataset.from_lists(["x", "y"], [np.float32(0.5), 1]).scores().tolist() == [0.5, 1.0]
    with pytest.raises(InputError, match="read without labels"):
        TextDataset.from_lists(["x"]).scores()


@pytest.mark.parametrize("label", ["high", "nan", "inf", "1,5", "1e39", "-1e300"])
def test_what_is_no_score(tmp_path, label):
    path = tmp_path / "a.tsv"
    path.write_text(f"a\tscore\nx\t1.5\ny\t{label}\n")
    with pytest.raises(InputError, match=rf"a\.tsv:3: label '{label}'; expected a number"):
        TextDataset.from_file(path, text="a", label="score").scores()


def test_labels_of_a_task():
    dataset = TextDataset.from_lists(["x", "y"], ["2", "1"])
    tokenizer = train_wordpiece(["x y"], 60, min_frequency=1)
    scores = dataset.batches(tokenizer, task="regression")[0][1]
    assert (scores.tolist(), scores.dtype) == ([2.0, 1.0], np.float32)
    assert dataset.batches(tokenizer)[0][1].tolist() == [2, 1]  # of LABEL_0, LABEL_1, LABEL_2
    assert dataset.batches(tokenizer, task="multi_label")[0][1].tolist() == [[0, 0, 1], [0, 1, 0]]
    with pytest.raises(InputError, match="task 'chess' does not label whole texts; expected one of sequence_"):
        dataset.batches(tokenizer, task="chess")


# === Cells that hold any number of labels ===


def test_cells_of_labels(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabels\nx\tred, round\ny\t\nz\tround\n")
    dataset = TextDataset.from_file(path, "text", "labels", may_be_empty=True)
    assert dataset.names_in_cells() == ["red", "round"]
    matrix = dataset.label_matrix(["round", "green", "red"])
    assert matrix.tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert matrix.dtype == np.float32
    with pytest.raises(InputError, match=r"a\.tsv:2: label 'red'; expected 'round', or 0 to 0"):
        dataset.label_matrix(["round"])
    with pytest.raises(InputError, match=r"a\.tsv:3: the label is empty; expected a label in every row"):
        TextDataset.from_file(path, "text", "labels")


def test_integers_in_cells():
    dataset = TextDataset.from_lists(["x", "y"], ["2", "0,1"])
    assert dataset.names_in_cells() == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert dataset.label_matrix(["a", "b", "c"]).tolist() == [[0, 0, 1], [1, 1, 0]]
    with pytest.raises(InputError, match=r"texts\[1\]: label 20240131 is not a class"):
        TextDataset.from_lists(["x", "y"], ["0", "1,20240131"]).names_in_cells()


@pytest.mark.parametrize("cell", ["a,,b", "a,", ",", "a,b,a", " , a", "['a', 'b']", " (a,b)"])
def test_a_cell_that_cannot_be_split(cell):
    dataset = TextDataset.from_lists(["x", "y"], ["a,b", cell])
    for read in (dataset.names_in_cells, lambda: dataset.label_matrix(["a", "b"])):
        with pytest.raises(
            InputError, match=rf"^texts\[1\]: labels {re.escape(repr(cell))}; expected different ones with one comma"
        ):
            read()


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ([[1, 0], [0, 1], [1, 1]], r"labels '1,0' look multi-hot, .* 2 entries of 0 and 1; expected .* such as '0'"),
        (["0,1", "1,0"], r"labels '0,1' look multi-hot"),
        (["0, 1, 1", "0,0,0"], r"labels '0, 1, 1' look multi-hot, .* 3 entries .* such as '1,2'"),
    ],
)
def test_multi_hot_cells(cells, shown):
    dataset = TextDataset.from_lists(["x", "y", "z"][: len(cells)], cells)
    for read in (dataset.names_in_cells, lambda: dataset.label_matrix(["a", "b", "c"])):
        with pytest.raises(InputError, match=rf"^texts\[0\]: {shown}"):
            read()


def test_cells_that_are_not_multi_hot():
    for cells in (["0,1", "2"], ["0,1", ""], ["0,1", "0,2"], ["1", "0"]):
        TextDataset.from_lists(["x", "y"], cells, may_be_empty=True).names_in_cells()


def test_cells_without_a_label(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabels\nx\t\ny\t\n")
    with pytest.raises(InputError, match=r"a\.tsv: no row has a label; expected at least one label"):
        TextDataset.from_file(tmp_path / "a.tsv", "text", "labels", may_be_empty=True).names_in_cells()


# === Names that are known beforehand ===


def test_integers_stand_for_declared_names(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\nx\t0\ny\t1\nz\tyes\n")
    dataset = TextDataset.from_file(path, "text", "label", label_names=["yes", "no"])
    assert dataset.label_names() == ["yes", "no"]
    assert dataset.label_ids(["yes", "no"]).tolist() == [0, 1, 0]
    assert dataset.label_ids(["no", "yes"]).tolist() == [1, 0, 1]  # a model with another order
    assert dataset.label_ids(["LABEL_0", "LABEL_1"]).tolist() == [0, 1, 0]  # one that has no names
    assert dataset.label_ids(["No", "YES"]).tolist() == [1, 0, 1]
    message = r"a\.tsv:2: label '0' is one of 'yes', 'no', and the model's labels are 'a', 'b'; expected the same"
    with pytest.raises(InputError, match=message):
        dataset.label_ids(["a", "b"])
    words = replace(dataset, labels=["no", "yes", "no"])
    assert words.label_ids(["no", "yes", "perhaps"]).tolist() == [0, 1, 0]  # names need nobody's declaration


def test_lists_of_labels(tmp_path):
    lists = TextDataset.from_lists(["x", "y", "z"], [["b", "a"], [], ("a",)])
    assert lists.names_in_cells() == ["a", "b"]
    assert lists.label_matrix(["a", "b"]).tolist() == [[1, 1], [0, 0], [1, 0]]
    with pytest.raises(InputError, match=r"texts\[1\]: the label is empty; expected a label in every row"):
        lists.label_names()
    cells = TextDataset.from_lists(["x", "y"], ["b,a", ""], may_be_empty=True)
    assert cells.label_matrix(["a", "b"]).tolist() == [[1, 1], [0, 0]]
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "labels": ["b", "a"]}\n{"text": "y", "labels": []}\n')
    assert TextDataset.from_file(path, "text", "labels", may_be_empty=True).labels == ["b,a", ""]
    with pytest.raises(InputError, match=r"a\.jsonl:1: label \['b', 'a'\]; expected a text, a finite number"):
        TextDataset.from_file(path, "text", "labels")
    with pytest.raises(InputError, match=r"texts\[0\]: label 'a,b' in a list; expected integers or texts without"):
        TextDataset.from_lists(["x"], [["a,b"]])


def test_batches_carry_inputs_and_labels():
    tokenizer = train_wordpiece(["good bad film"], 60, min_frequency=1)
    dataset = TextDataset.from_lists(["good film", "bad", "film film"], ["yes", "no", "yes"])
    batches = dataset.batches(tokenizer, batch_size=2, max_length=3)
    inputs, labels = batches[0]
    assert labels.tolist() == [1, 0]
    assert inputs["input_ids"].shape == (2, 3)
    assert batches.num_truncated == 2
    assert dataset.batches(tokenizer, label_names=["yes", "no"])[0][1].tolist() == [0, 1, 0]
    assert len(TextDataset.from_lists(["good"]).batches(tokenizer)[0]) == 1


def test_real_files_are_read_whole(data_dir: Path):
    directory = data_dir / "sst2"
    for name, rows in (("dev.tsv", 872), ("test.tsv", 1821), ("train_sentences.tsv", 6917)):
        dataset = TextDataset.from_file(directory / name, text="sentence", label="label")
        assert len(dataset) == rows
        assert dataset.label_names() == ["LABEL_0", "LABEL_1"]
