"""A config asks for a learned layer map; what is learned is printed and written after every epoch."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.usefixtures("eager")
def test_what_is_learned_is_logged(
    tinybert: Callable[..., Any], data_flags: list[str], training_flags: list[str], teacher_run: Path, tmp_path: Path
) -> None:
    stages = (
        "stages=[{name: one, losses: [hidden_state], layer_map: emd, epochs: 2}, {name: two, losses: [prediction]}]"
    )
    training = [*data_flags, *training_flags, "--batch-size", 40]
    given = ["--teacher", teacher_run, *training, "--set", stages, "--out", tmp_path / "run"]
    command = tinybert("distill", *given)
    assert command.status == 0, command.err
    with (tmp_path / "run" / "layer_maps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["stage"], row["loss"]) for row in rows} == {("one", "hidden_state_loss")}
    epochs = sorted({int(row["epoch"]) for row in rows})
    for epoch in epochs:
        of_epoch = [row for row in rows if int(row["epoch"]) == epoch]
        pairs = [(int(row["student"]), int(row["teacher"])) for row in of_epoch]
        assert len(set(pairs)) == len(pairs) == max(ours for ours, _ in pairs) * max(theirs for _, theirs in pairs)
        assert abs(sum(float(row["weight"]) for row in of_epoch) - 1.0) < 1e-3
    assert "learned: emd" in command.err
    assert command.err.count("layer map of hidden_state_loss\nstudent  teacher") == len(epochs)
