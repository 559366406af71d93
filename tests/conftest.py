"""Fixtures for tests that compare with the golden files in tests/golden."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """Reads a golden file by name."""

    def read(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return dict(arrays)

    return read


@pytest.fixture(scope="session")
def write_saved_script() -> dict[str, Any]:
    """The functions of tests/golden/write_saved.py."""
    return runpy.run_path(str(GOLDEN / "write_saved.py"))


@pytest.fixture(scope="session")
def golden_checkpoint(
    golden: Callable[[str], dict[str, np.ndarray]],
    write_saved_script: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """Writes the weights and config of a golden file as a Hugging Face directory, and returns it."""

    def write(name: str) -> Path:
        directory = tmp_path_factory.mktemp(name)
        write_saved_script["write_checkpoint"](golden(name), directory)
        return directory

    return write
