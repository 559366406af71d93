"""The loss that CONTRIBUTING.md shows is there as written: its class, its test, its line in a config."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tinybert_tf import EmbeddingLoss, Stage
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.distillation.losses import LOSSES

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
LOSS, TEST = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
(CONFIG,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_it_is_the_loss_that_is_there() -> None:
    assert (ROOT / "tinybert_tf/distillation/losses/cosine.py").read_text(encoding="utf-8") == LOSS
    assert (ROOT / "tests/distillation/losses/test_cosine.py").read_text(encoding="utf-8") == TEST


def test_the_class_is_small() -> None:
    (loss,) = (node for node in ast.parse(LOSS).body if isinstance(node, ast.ClassDef))
    assert loss.end_lineno is not None
    assert loss.end_lineno - loss.lineno + 1 <= 12


def test_a_config_can_name_it(tmp_path: Path) -> None:
    name, class_name = re.findall(r'`"(\w+)": (\w+),`', TEXT)[0]
    assert LOSSES[name].__name__ == class_name
    path = tmp_path / "run.yaml"
    path.write_text(
        "teacher: {dir: t}\ndata: {train: a.tsv, dev: b.tsv, text: sentence, label: label}\nout: run\n" + CONFIG
    )
    config = load_config(DistillConfig, path)
    embedding, added = Stage.from_config(config.stages[0], config.train).losses
    assert isinstance(embedding, EmbeddingLoss)
    assert type(added) is LOSSES[name]
    assert (added.name, added.weight) == ("cosine_loss", 0.5)
