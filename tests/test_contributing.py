"""The loss that CONTRIBUTING.md adds: its class, its golden test and its line in a config work as written."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.distillation.losses import LOSSES, EmbeddingLoss
from tinybert_tf.pipeline.stages import Stage

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
LOSS, TEST = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
(CONFIG,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def cosine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the first block is the file of."""
    module = ModuleType("tinybert_tf.distillation.losses.cosine")
    exec(compile(LOSS, module.__name__, "exec"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_the_class_is_small() -> None:
    (loss,) = (node for node in ast.parse(LOSS).body if isinstance(node, ast.ClassDef))
    assert loss.end_lineno is not None
    assert loss.end_lineno - loss.lineno + 1 <= 12


def test_its_own_test_passes(cosine: ModuleType) -> None:
    defined: dict[str, Any] = {}
    exec(compile(TEST, "test_cosine", "exec"), defined)
    tests = [value for name, value in defined.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


def test_a_config_can_name_it(cosine: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name, class_name = re.findall(r'`"(\w+)": (\w+),`', TEXT)[0]
    loss_class = getattr(cosine, class_name)
    monkeypatch.setitem(LOSSES, name, loss_class)
    path = tmp_path / "run.yaml"
    path.write_text(
        "teacher: {dir: t}\ndata: {train: a.tsv, dev: b.tsv, text: sentence, label: label}\nout: run\n" + CONFIG
    )
    config = load_config(DistillConfig, path)
    embedding, added = Stage.from_config(config.stages[0], config.train).losses
    assert isinstance(embedding, EmbeddingLoss)
    assert isinstance(added, loss_class)
    assert (added.name, added.weight) == ("cosine_loss", 0.5)
