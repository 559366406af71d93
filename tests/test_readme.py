"""What README shows is what the library does."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import tinybert_tf as tb
from tinybert_tf.cli import main
from tinybert_tf.config.compression import CompressConfig, QuantizationSection
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.pipeline.losses import make_loss

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_config_loads(tmp_path: Path) -> None:
    block, compression, changing_weights = blocks("yaml")
    path = tmp_path / "sst2.yaml"
    path.write_text(block, encoding="utf-8")
    config = load_config(DistillConfig, path)
    plain = yaml.safe_load(block)
    assert [stage.name for stage in config.stages] == [stage["name"] for stage in plain["stages"]]
    path.write_text(yaml.safe_dump({**plain, "stages": [{"name": "one", **yaml.safe_load(changing_weights)}]}))
    (stage,) = load_config(DistillConfig, path).stages
    assert [make_loss("one", loss).weight for loss in stage.losses] == [
        tb.WeightSchedule(1.0, 0.0, 2000),
        tb.WeightSchedule(0.0, 1.0, 2000),
    ]

    path.write_text(compression, encoding="utf-8")
    assert load_config(CompressConfig, path).quantization == QuantizationSection(calibration_texts=256)


def test_python_names_exist() -> None:
    names = {name for block in blocks("python") for name in re.findall(r"\btb\.(\w+)", block)}
    names |= set(re.findall(r"`tb\.(\w+)", README))
    assert len(names) > 10
    assert not [name for name in names if not hasattr(tb, name)]


def test_own_loss_runs() -> None:
    import numpy as np

    block = next(block for block in blocks("python") if "class ValueLoss" in block)
    scope: dict[str, type[tb.DistillationLoss]] = {}
    exec(block, scope)
    student, teacher = np.zeros((2, 4, 3, 5)), np.full((2, 4, 3, 5), 2.0)
    teacher[:, :, 2] = 9.0  # padding, which must not count
    mask = np.array([[1, 1, 0], [1, 1, 0]])
    assert float(scope["ValueLoss"]()(student=student, teacher=teacher, mask=mask)) == 4.0


def test_verbs_and_flags_exist(capsys) -> None:
    commands = re.findall(r"^tinybert ([\w-]+)(.*)$", README, re.M)
    shown = {verb for verb, _ in commands}
    assert shown == {"finetune", "distill", "cache-teacher", "evaluate", "predict", "vocab", "pretrain", "augment"}
    for verb, rest in commands:
        try:
            main([verb, "--help"])
        except SystemExit:
            help_text = capsys.readouterr().out
        assert all(flag in help_text for flag in re.findall(r"--[a-z-]+", rest)), rest


def test_nothing_is_left_to_fill_in() -> None:
    assert not re.findall(r"@[A-Z]+@|TBD|TODO", README)
