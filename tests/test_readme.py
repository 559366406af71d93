"""What README shows is what the library does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import tinybert_tf as tb
from tinybert_tf.cli import main
from tinybert_tf.config.ablation import AblationConfig
from tinybert_tf.config.compression import CompressConfig, QuantizationSection
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.pipeline.ablation.variants import CHANGES, plan_variants
from tinybert_tf.pipeline.parts.losses import make_loss

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_config_loads(tmp_path: Path) -> None:
    block, _, compressing, quantizing, changing_weights = blocks("yaml")
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
    path.write_text(compressing, encoding="utf-8")
    compression = load_config(CompressConfig, path)
    assert all(getattr(compression, name) is not None for name in ("structure", "pruning", "clustering"))
    path.write_text(quantizing, encoding="utf-8")
    assert load_config(CompressConfig, path).quantization == QuantizationSection(calibration_texts=256)


def test_ablation_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block, ablation, *_ = blocks("yaml")
    Path("sst2.yaml").write_text(block, encoding="utf-8")
    Path("ablation.yaml").write_text(ablation, encoding="utf-8")
    config = load_config(AblationConfig, "ablation.yaml")
    assert config.teacher.dir == "runs/teacher"
    planned = plan_variants(config)
    assert [each.name for each in planned[:5]] == ["base", "no_embedding", "hot", "bare", "cold"]
    assert len(planned) == 5 + 6


def test_every_change_is_shown() -> None:
    table = README.partition("| by name | the change |")[2].partition("\n\n")[0]
    assert [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])] == list(
        CHANGES
    )


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
    assert shown == {
        "finetune",
        "distill",
        "cache-teacher",
        "evaluate",
        "predict",
        "vocab",
        "pretrain",
        "augment",
        "ablate",
        "export",
        "serve",
    }
    for verb, rest in commands:
        try:
            main([verb, "--help"])
        except SystemExit:
            help_text = capsys.readouterr().out
        assert all(flag in help_text for flag in re.findall(r"--[a-z-]+", rest)), rest


def test_nothing_is_left_to_fill_in() -> None:
    assert not re.findall(r"@[A-Z]+@|TBD|TODO", README)
