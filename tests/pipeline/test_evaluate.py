"""`evaluate`: the metrics of a saved model on a file, as scikit-learn computes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tinybert_tf.data.dataset import TextDataset
from tinybert_tf.data.tokenizer import load_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.models.heads import SequenceClassifier
from tinybert_tf.pipeline.evaluate import run_evaluate


@pytest.fixture(scope="module")
def half_right(opinions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`opinions`' test file with every third label turned round, 1 and 0 for names."""
    _, *lines = (opinions / "test.tsv").read_text(encoding="utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines):
        text, label = line.split("\t")
        rows.append(f"{int((label == 'positive') ^ (number % 3 == 0))}\t{text}")
    path = tmp_path_factory.mktemp("half") / "half_right.tsv"
    path.write_text("\n".join(["class\ttext", *rows]) + "\n", encoding="utf-8")
    return path


def by_hand(directory: Path, file: Path, max_length: int = 24) -> dict[str, float]:
    dataset = TextDataset.from_file(file, text="text", label="class")
    labels = dataset.label_ids(["negative", "positive"])
    model = SequenceClassifier.from_pretrained(directory, dtype="float32")
    tokens = load_tokenizer(directory).encode(dataset.texts, max_length)
    answers = np.asarray(model(tokens.padded(range(len(tokens)), 0))["logits"]).argmax(axis=-1)
    return {
        "accuracy": accuracy_score(labels, answers),
        "f1": f1_score(labels, answers, average="macro"),
        "matthews_correlation": matthews_corrcoef(labels, answers),
    }


def test_a_run_directory_against_scikit_learn(
    tinybert: Callable[..., Any], distilled_run: Path, half_right: Path
) -> None:
    command = tinybert("evaluate", distilled_run, "--data", half_right, "--text", "text", "--label", "class")
    assert command.status == 0, command.err
    assert json.loads(command.out) == pytest.approx(by_hand(distilled_run / "student", half_right), abs=1e-12)
    assert len(command.out.splitlines()) == 1
    assert "40 texts" in command.err
    assert "cut at 24 tokens" in command.err  # the model's limit, which is below 128


def test_a_length_of_ones_own(teacher_run: Path, half_right: Path) -> None:
    metrics = run_evaluate(teacher_run, str(half_right), "text", "class", max_length=4)  # the word that counts is cut
    assert metrics == pytest.approx(by_hand(teacher_run / "model", half_right, 4), abs=1e-12)
    assert metrics != pytest.approx(by_hand(teacher_run / "model", half_right), abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length": 25}, "max_length=25: .* has max_position_embeddings=24"),
        ({"max_length": 2}, "max_length=2 leaves no room for text; at least 3 is accepted"),
        ({"task": "masked_lm"}, "task 'masked_lm' is not known; one of sequence_classification is"),
        ({"text": "text,class"}, "names two columns; this release classifies single texts"),
        ({"label": "text"}, r"half_right\.tsv:2: label 'the film looks good to me'; 'negative', 'positive', or 0 to 1"),
    ],
)
def test_refusals(teacher_run: Path, half_right: Path, changes: dict[str, Any], message: str) -> None:
    arguments = {"data": str(half_right), "text": "text", "label": "class", **changes}
    with pytest.raises(InputError, match=message):
        run_evaluate(teacher_run, **arguments)
