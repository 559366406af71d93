"""A loss of the user's own, which a config names by its file: nothing of the library is edited or registered."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import CosineLoss, InputError
from tinybert_tf.config.schema import LossSection
from tinybert_tf.pipeline.parts.losses import load_loss_class, make_loss

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "custom_loss.py"


def test_the_example_runs(
    tinybert: Callable[..., Any],
    data_flags: list[str],
    training_flags: list[str],
    teacher_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    given = ["--teacher", teacher_run, *data_flags, *training_flags, "--max-steps", "2", "--out", tmp_path / "run"]
    command = tinybert("distill", ROOT / "examples" / "custom_loss.yaml", *given)
    assert command.status == 0, command.err
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(next(row for row in rows if row["stage"] == "values")["value_loss"]) > 0
    assert (tmp_path / "run" / "student" / "model.safetensors").exists()


def test_the_examples_loss_is_short() -> None:
    (loss,) = (node for node in ast.parse(EXAMPLE.read_text()).body if isinstance(node, ast.ClassDef))
    assert loss.end_lineno - loss.lineno + 1 <= 12


def test_a_class_in_a_file_or_a_module(tmp_path: Path) -> None:
    assert load_loss_class("tinybert_tf.distillation.losses:CosineLoss") is CosineLoss
    (tmp_path / "mine.py").write_text("import tinybert_tf as tb\nclass Mine(tb.CosineLoss):\n    pass\n")
    assert issubclass(load_loss_class(f"{tmp_path}/mine.py:Mine"), CosineLoss)


@pytest.mark.parametrize(
    "constructor",
    [
        "def __init__(self, margin=1.0):\n        super().__init__()",
        "def __init__(self, margin=1.0, **kwargs):\n        super().__init__(**kwargs)",
        "def __init__(self, margin, weight=1.0, name=None):\n        super().__init__(weight, name)",
    ],
)
def test_the_options_of_a_config_are_the_constructors(constructor: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        f"import tinybert_tf as tb\nclass Mine(tb.CosineLoss):\n    {constructor}\n        self.margin = margin\n"
    )
    reference = f"{tmp_path}/mine.py:Mine"
    loss: Any = make_loss("one", LossSection(reference, options={"margin": 3.0}))
    assert (loss.margin, loss.weight, loss.name) == (3.0, 1.0, "mine")
    with pytest.raises(InputError, match=r"stage 'one': loss .* has no option 'margn'; it has margin"):
        make_loss("one", LossSection(reference, options={"margn": 3.0}))
    if "weight" in constructor or "kwargs" in constructor:
        assert make_loss("one", LossSection(reference, 0.5, {"margin": 3.0})).weight == 0.5
    else:
        with pytest.raises(InputError, match="has no option 'weight'; it has margin"):
            make_loss("one", LossSection(reference, 0.5))


def test_an_option_that_has_to_be_given(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import tinybert_tf as tb\nclass Mine(tb.CosineLoss):\n    def __init__(self, margin):\n        pass\n"
    )
    with pytest.raises(InputError, match=r"stage 'one': loss .*mine\.py:Mine' with {}: .* argument: 'margin'"):
        make_loss("one", LossSection(f"{tmp_path}/mine.py:Mine"))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{folder}/none.py:Mine", "none.py cannot be imported: FileNotFoundError"),
        ("no_such_module:Mine", "no_such_module cannot be imported: ModuleNotFoundError"),
        ("{folder}/broken.py:Mine", "broken.py cannot be imported: ZeroDivisionError"),
        ("{folder}/mine.py:Other", "has no 'Other'; expected a subclass of tinybert_tf.DistillationLoss"),
        ("{folder}/mine.py:number", "number is 3; expected a subclass of tinybert_tf.DistillationLoss"),
    ],
)
def test_what_is_no_loss_is_refused(reference: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("number = 3\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(InputError, match=message):
        load_loss_class(reference.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "    feature = 'logits'\n    def call(self, *, student, teacher, mask):\n        return student",
            "call returned",
        ),
        ("    def call(self, *, student, teacher, mask):\n        return 0.0", "Mine names no `feature`"),
        (
            "    feature = 'logits'\n    def call(self, *, student, teacher, mask):\n"
            "        return ops.mean(student) * float('nan')",
            r"the loss is nan \(Mine\.call: expected a finite number, got nan\) after step 1",
        ),
    ],
)
def test_a_loss_that_does_not_keep_the_contract(
    body: str,
    message: str,
    tinybert: Callable[..., Any],
    data_flags: list[str],
    training_flags: list[str],
    teacher_run: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(
        f"from keras import ops\nimport tinybert_tf as tb\nclass Mine(tb.DistillationLoss):\n{body}\n"
    )
    stages = f"stages=[{{name: one, losses: ['{tmp_path}/mine.py:Mine']}}]"
    given = ["--teacher", teacher_run, *data_flags, *training_flags, "--set", stages, "--out", tmp_path / "run"]
    command = tinybert("distill", *given)
    assert command.status == 2, command.err
    (line,) = [line for line in command.err.splitlines() if line.startswith("tinybert")]
    assert re.search(message, line), line
