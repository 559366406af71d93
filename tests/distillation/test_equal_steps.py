"""A step is the same from a batch whole and in parts, on one replica and on two, with and without a cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "equal_steps_script.py"


@pytest.mark.parametrize(
    ("arguments", "num_distilled"), [((), 2), pytest.param(("all",), 7, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_every_way_to_a_step_takes_the_same_one(arguments: tuple[str, ...], num_distilled: int) -> None:
    """Compare steps of every task and of every loss that is a sum: float32, no dropout, few labels in some parts.

    `gradient` is the distance of all weights' gradients over their length; float32 alone makes 1e-6.
    """
    finished = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr[-2000:]
    results = json.loads(finished.stdout.splitlines()[-1])
    assert len(results) == 7 + num_distilled + 2
    for kind, ways in results.items():
        for way, apart in ways.items():
            assert apart["gradient"] <= 1e-5, (kind, way, apart)
            assert apart["logs"] <= 1e-5, (kind, way, apart)
