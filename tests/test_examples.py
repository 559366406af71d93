"""The examples of tasks and teachers of one's own, and of several, as somebody outside of the library runs them."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

from tinybert_tf import SequenceClassifier, TransformerEncoder, load_tokenizer

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def test_a_task_of_ones_own(encoder_dir: Path, opinions: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    lines = (opinions / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    texts.write_text("\n".join(line.split("\t")[0] for line in lines), encoding="utf-8")
    main = runpy.run_path(str(EXAMPLES / "custom_task.py"))["main"]
    few = main(str(encoder_dir), texts, str(tmp_path / "few"), epochs=1)
    more = main(str(encoder_dir), texts, str(tmp_path / "more"), epochs=8)
    assert few < more
    assert more > 0.9
    encoder, student = (TransformerEncoder.from_pretrained(path) for path in (encoder_dir, tmp_path / "more"))
    assert student.num_hidden_layers == encoder.num_hidden_layers // 2


def test_teachers_of_ones_own(encoder_dir: Path, opinions: Path, tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "custom_teacher.py"))["main"]
    agreement = main(str(encoder_dir), opinions / "train.tsv", str(tmp_path), epochs=20, learning_rate=1e-2)
    assert agreement.keys() == {"model", "file"}
    for name, share in agreement.items():
        assert share > 0.9, name
        assert SequenceClassifier.from_pretrained(tmp_path / name).label_names == ["negative", "positive"]


def test_several_tasks(encoder_dir: Path, opinions: Path, tmp_path: Path) -> None:
    rows = [line.split("\t") for line in (opinions / "train.tsv").read_text(encoding="utf-8").splitlines()]
    lengths = [[text, label if label == "label" else ("long" if len(text) > 30 else "short")] for text, label in rows]
    (tmp_path / "lengths.tsv").write_text("\n".join("\t".join(row) for row in lengths) + "\n", encoding="utf-8")
    names = {"mood": ["negative", "positive"], "length": ["long", "short"]}
    for task, labels in names.items():
        teacher = SequenceClassifier(TransformerEncoder.from_pretrained(encoder_dir), 2, labels)
        teacher.save_pretrained(tmp_path / f"teacher-{task}", tokenizer=load_tokenizer(str(encoder_dir)))
    files = {"mood": opinions / "train.tsv", "length": tmp_path / "lengths.tsv"}
    main = runpy.run_path(str(EXAMPLES / "several_tasks.py"))["main"]
    tasks = {task: (str(tmp_path / f"teacher-{task}"), file) for task, file in files.items()}
    history = main(str(tmp_path), tasks, epochs=10, learning_rate=1e-2)
    assert history["loss"][-1] < history["loss"][0]
    students = {task: SequenceClassifier.from_pretrained(tmp_path / task) for task in files}
    assert {task: student.label_names for task, student in students.items()} == names
    mood, length = (student.encoder.get_weights() for student in students.values())
    assert all((one == other).all() for one, other in zip(mood, length, strict=True))


@pytest.mark.parametrize(
    ("example", "name"),
    [
        ("custom_task.py", "SentenceEmbedder"),
        ("custom_task.py", "SentenceEmbeddingLoss"),
        ("custom_teacher.py", "FileOfLogits"),
    ],
)
def test_the_guide_shows_the_examples(example: str, name: str) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    shown = "\n".join(re.findall(r"```python\n(.*?)```", page, re.S))
    assert without_docstrings(shown, name) == without_docstrings((EXAMPLES / example).read_text(), name)


def without_docstrings(source: str, name: str) -> str:
    """A class as Python reads it, its docstrings apart."""
    tree = ast.parse(source)
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    for node in ast.walk(found):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.unparse(found)
