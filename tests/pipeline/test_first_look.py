"""What needs no model to be seen is refused before TensorFlow is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tinybert_tf import InputError
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.text.readers import BEGINNING, check_columns, column_names

# Runs command lines, one a line of stdin; for each its status, what it wrote to stderr, and the slow imports so far.
PROGRAM = """
import contextlib, io, json, sys
from tinybert_tf.cli import main
for line in sys.stdin:
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            status = main(json.loads(line))
        except SystemExit as exit:
            status = exit.code
    imported = [name for name in ("tensorflow", "keras") if name in sys.modules]
    print(json.dumps([status, err.getvalue(), imported]))
"""


def test_no_verb_imports_tensorflow_for_what_is_not_there(tmp_path: Path) -> None:
    good, missing, model = tmp_path / "good.tsv", tmp_path / "missing.tsv", tmp_path / "model"
    good.write_text("text\tlabel\na film\t0\n")
    model.mkdir()
    (empty := tmp_path / "empty").mkdir()
    (model / "config.json").write_text("{}")
    columns = ["--text", "text", "--label", "label"]
    wrong = ["--text", "txt", "--label", "label"]
    train, out = ["--train", good, "--dev", good], ["--out", tmp_path / "out"]
    no_file, no_column = f"{missing}: no such file", f"{good}: no column 'txt'; it has 'text', 'label'; did you mean"
    distilling = ("distill", "compress", "cache-teacher", "explain", "ablate")
    commands: list[tuple[list[object], str]] = [
        *((["--teacher", model, *train, *wrong, *out], no_column) for _ in distilling),
        *((["--teacher", model, "--train", good, "--dev", missing, *columns, *out], no_file) for _ in distilling),
        *((["--teacher", missing, *train, *columns, *out], f"'{missing}': no such directory") for _ in distilling),
    ]
    own = {"compress": ["--set", "pruning.sparsity=0.5"], "ablate": ["--variants", "top"]}
    verbs = [[verb, *own.get(verb, [])] for verb in distilling] * 3
    commands = [([*verb, *rest], said) for verb, (rest, said) in zip(verbs, commands, strict=True)]
    stage = f"stages=[{{name: one, losses: [prediction], train: {missing}}}]"
    commands += [
        (["distill", "--teacher", model, *train, *columns, *out, "--set", stage], no_file),
        (["finetune", "--model", model, *train, *wrong, *out], no_column),
        (["finetune", "--model", good, *train, *columns, *out], f"{good}: expected a model directory"),
        (["finetune", "--model", empty, *train, *columns, *out], f"{empty}: expected a Hugging Face model"),
        (["evaluate", model, "--data", good, "--task", "regression"], f"{good}: which columns?"),
        (["finetune", "--model", model, "--task", "question_answering", *train, *columns, *out], f"{good}: SQuAD's"),
        (["pretrain", "--model", model, "--corpus", good, missing, *out], no_file),
        (["pretrain", "--model", missing, "--corpus", good, *out], f"'{missing}': no such directory"),
        (["evaluate", model, "--data", missing, *columns], no_file),
        (["evaluate", model, "--data", good, *wrong], no_column),
        (["export", model, "--format", "litert", "--verify", missing, *columns, *out], no_file),
        (["export", model, "--format", "litert", "--calibrate", good, *wrong, *out], no_column),
        (["augment", "--masked-lm", model, "--input", good, "--text", "txt", "--output", tmp_path / "o"], no_column),
        (["predict", missing, "a film"], f"'{missing}': no such directory"),
        (["serve", empty], f"{empty}: expected a Hugging Face model directory, found no config.json"),
    ]
    lines = "\n".join(json.dumps([str(part) for part in command]) for command, _ in commands)
    process = subprocess.run([sys.executable, "-c", PROGRAM], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    for (command, said), (status, err, imported) in zip(commands, answers, strict=True):
        assert (status, imported) == (2, []), (command, err)
        assert err.startswith(f"tinybert: {said}"), (command, err)
        assert err.count("\n") == 1, (command, err)
    assert not (tmp_path / "out").exists()


def test_names_are_read_from_the_beginning_alone(tmp_path: Path) -> None:
    """What follows the first rows is not looked at: here, a byte that is not UTF-8."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbf"te\r\nxt",label\r\nx,1\r\n' + b"y,2\r\n" * BEGINNING + b"\xff")
    assert column_names(path) == ["te\r\nxt", "label"]
    check_columns(path, "te\r\nxt", "label")


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_names_that_are_longer_than_the_beginning(tmp_path: Path, suffix: str) -> None:
    name, path = "x" * BEGINNING, tmp_path / f"a{suffix}"
    path.write_text(json.dumps({name: "1"}) if suffix == ".jsonl" else f"{name}\n1\n")
    assert column_names(path) == [name]


def test_what_is_wrong_at_the_beginning_is_said_as_reading_says_it(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.tsv", b"", "the file is empty"),
        ("b.csv", b"\n\n", "the file is empty"),
        ("c.tsv", b"text\n", "a header line and no rows"),
        ("d.tsv", b"te\xffxt\na\n", "byte 0xff is not UTF-8"),
        ("e.csv", b'"text\na\n', "not valid CSV"),
        ("f.jsonl", b"[1]\n", r"expected a JSON object, got \[1\]"),
        ("g.txt", b"a", "unknown suffix '.txt'"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}.*: {message}"):
            find_task("sequence_classification").look(tmp_path / name, "text", "label")
