"""Commands, configs, names and links in README and the guide work as shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import tinybert_tf as tb
from tinybert_tf.cli import main
from tinybert_tf.config.ablation import AblationConfig
from tinybert_tf.config.compression import STEP_SECTIONS, CompressConfig
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.pipeline.ablation.variants import CHANGES, plan_variants
from tinybert_tf.pipeline.parts.losses import make_loss

ROOT = Path(__file__).parents[1]
PATHS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PATHS}
MAX_README_LINES = 250


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, on all pages."""
    return [block for page in PAGES.values() for block in re.findall(rf"```{language}\n(.*?)```", page, re.S)]


def block_that_begins(first_line: str) -> str:
    """The YAML block with this first line."""
    (block,) = (block for block in blocks("yaml") if block.startswith(first_line))
    return block


def test_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= MAX_README_LINES


def test_every_config_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configs = [block for block in blocks("yaml") if yaml.safe_load(block).keys() & {"teacher", "base"}]
    Path("sst2.yaml").write_text(block_that_begins("# tinybert distill sst2.yaml"), encoding="utf-8")
    for block in configs:
        keys = yaml.safe_load(block).keys()
        cls: Any = AblationConfig if "base" in keys else CompressConfig if keys & set(STEP_SECTIONS) else DistillConfig
        Path("config.yaml").write_text(block, encoding="utf-8")
        config = load_config(cls, "config.yaml")
        assert config.teacher.dir == "runs/teacher"
    assert len(configs) >= 4


def test_weights_that_change(tmp_path: Path) -> None:
    plain = yaml.safe_load(block_that_begins("# tinybert distill sst2.yaml"))
    changing = yaml.safe_load(block_that_begins("# a stage's losses"))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**plain, "stages": [{"name": "one", **changing}]}))
    (stage,) = load_config(DistillConfig, tmp_path / "config.yaml").stages
    assert [make_loss("one", loss).weight for loss in stage.losses] == [
        tb.WeightSchedule(1.0, 0.0, 2000),
        tb.WeightSchedule(0.0, 1.0, 2000),
    ]


def test_the_ablation_has_its_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sst2.yaml").write_text(block_that_begins("# tinybert distill sst2.yaml"), encoding="utf-8")
    Path("ablation.yaml").write_text(block_that_begins("# tinybert ablate"), encoding="utf-8")
    planned = plan_variants(load_config(AblationConfig, "ablation.yaml"))
    assert [each.name for each in planned[:5]] == ["base", "no_embedding", "hot", "bare", "cold"]
    assert len(planned) == 5 + 6


def test_every_change_is_shown() -> None:
    table = PAGES["docs/ablation.md"].partition("| by name | the change |")[2].partition("\n\n")[0]
    assert [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])] == list(
        CHANGES
    )


def test_python_names_exist() -> None:
    names = {name for block in blocks("python") for name in re.findall(r"\btb\.(\w+)", block)}
    names |= {name for page in PAGES.values() for name in re.findall(r"`tb\.(\w+)", page)}
    assert len(names) > 10
    assert not [name for name in names if not hasattr(tb, name)]


def test_own_loss_runs() -> None:
    import numpy as np

    for block in (block for block in blocks("python") if "class ValueLoss" in block):
        scope: dict[str, type[tb.DistillationLoss]] = {}
        exec(block, scope)
        student, teacher = np.zeros((2, 4, 3, 5)), np.full((2, 4, 3, 5), 2.0)
        teacher[:, :, 2] = 9.0  # padding, which must not count
        mask = np.array([[1, 1, 0], [1, 1, 0]])
        assert float(scope["ValueLoss"]()(student=student, teacher=teacher, mask=mask)) == 4.0


def test_verbs_and_flags_exist(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [command for page in PAGES.values() for command in re.findall(r"^tinybert ([\w-]+)(.*)$", page, re.M)]
    helps: dict[str, str] = {}
    for verb, rest in commands:
        if verb not in helps:
            assert main([verb, "--help"]) == 0, verb
            helps[verb] = capsys.readouterr().out
        assert all(flag in helps[verb] for flag in re.findall(r"(?<=\s)--[a-z-]+", rest)), rest
    assert {"finetune", "distill", "pretrain", "augment", "ablate", "export", "serve"} <= helps.keys()


def test_links_lead_somewhere() -> None:
    for path in PATHS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_nothing_is_left_to_fill_in() -> None:
    assert not [name for name, page in PAGES.items() if re.search(r"@[A-Z]+@|TBD|TODO", page)]
