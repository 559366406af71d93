"""Fixtures: pairs of opinions with a score, and a tiny teacher of such scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ADJECTIVES = {"good": 2.5, "lovely": 2.5, "bad": 0.0, "awful": 0.0}
SUBJECTS = {"train": ["the film", "this story", "the plot"], "dev": ["her acting"]}


@pytest.fixture(scope="session")
def scored_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train.tsv` (144 rows) and `dev.tsv` (16): `first`, `second`, and a `score` of 2.5 for each that is praised."""
    directory = tmp_path_factory.mktemp("pairs")
    for split, subjects in SUBJECTS.items():
        rows = [
            f"{one} is {adjective}\t{other} was {another}\t{score + more:g}"
            for one in subjects
            for other in subjects
            for adjective, score in ADJECTIVES.items()
            for another, more in ADJECTIVES.items()
        ]
        (directory / f"{split}.tsv").write_text("\n".join(["first\tsecond\tscore", *rows]) + "\n", encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def score_flags(scored_pairs: Path) -> list[str]:
    """`--train`, `--dev`, `--text`, `--label`, `--max-length` and `--task` for `scored_pairs`."""
    files = ["--train", str(scored_pairs / "train.tsv"), "--dev", str(scored_pairs / "dev.tsv")]
    return [*files, "--text", "first,second", "--label", "score", "--max-length", "24", "--task", "regression"]


@pytest.fixture(scope="session")
def score_teacher(
    tinybert: Callable[..., Any],
    encoder_dir: Path,
    score_flags: list[str],
    training_flags: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Any]:
    """A run directory of `finetune --task regression`, and what the command said."""
    out = tmp_path_factory.mktemp("runs") / "score_teacher"
    command = tinybert("finetune", "--model", encoder_dir, *score_flags, *training_flags, "--epochs", 10, "--out", out)
    assert command.status == 0, command.err
    return out, command
