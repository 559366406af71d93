"""Two replicas log the same losses and learn the same weights as one device, however uneven their shares are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent / "distributed_script.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data_set", "steps", "numbers"),
    [
        # Batches of four rows: one an epoch of 3 rows, two of 7, three of 9, and two epochs of each. Numbers are
        # the sum, the accuracy, and four losses in both reductions.
        ("batches", 2 * (1 + 2 + 3), 2 + 8),
        ("dataset", 2 * (1 + 2 + 3), 2 + 8),
        ("parts", 2 * (1 + 2 + 3), 2 + 8),
        # Three batches an epoch always; the sum, and three losses of either task.
        ("tasks", 2 * (3 + 3 + 3), 1 + 6),
    ],
)
def test_two_replicas_equal_one_device(data_set: str, steps: int, numbers: int) -> None:
    finished = subprocess.run([sys.executable, SCRIPT, data_set], capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr[-2000:]
    results = json.loads(finished.stdout)
    one, two = results["one"], results["two"]
    assert one["steps"] == two["steps"] == steps
    assert set(one["logged"]) == set(two["logged"])
    for name, values in one["logged"].items():
        assert len(values) == numbers
        assert two["logged"][name] == pytest.approx(values, rel=1e-5), name
    assert one["logged"]["9 rows, evaluated"]["loss"] < one["logged"]["9 rows, epoch 0"]["loss"]
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=0, atol=1e-6)
