"""Every notebook runs from top to bottom, and the story it tells is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
# In a process of its own: a kernel's event loop warns of things that are none of ours.
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": "."}}).execute()
nbformat.write(notebook, "executed.ipynb")
"""


def test_there_is_a_notebook() -> None:
    assert [path.name for path in NOTEBOOKS] == ["01_quickstart.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)


@pytest.mark.slow
def test_quickstart_notebook_runs_and_the_student_beats_itself_alone(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", EXECUTE, str(NOTEBOOKS[0])], cwd=tmp_path, check=True)
    cells = json.loads((tmp_path / "executed.ipynb").read_text(encoding="utf-8"))["cells"]
    printed = "".join(
        "".join(output.get("text", "")) for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]
    )
    accuracy = {name: float(value) for name, value in re.findall(r"^(teacher|student|alone) +([\d.]+)%", printed, re.M)}
    regression = float(re.search(r"word counts: ([\d.]+)%", printed)[1])  # type: ignore[index]
    assert regression < 75 < accuracy["student"]
    assert accuracy["alone"] < accuracy["student"] <= accuracy["teacher"] + 2
    assert accuracy["teacher"] > 95
    assert (tmp_path / "quickstart_student" / "model.safetensors").exists()
