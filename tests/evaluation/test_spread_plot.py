"""The plot of means and spreads: what is drawn, the files, and what is said without matplotlib."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from statistics import stdev

import pytest

from tinybert_tf import InputError
from tinybert_tf.evaluation import spread_plot
from tinybert_tf.evaluation.spread_plot import check_can_plot, plot_spread, spread_figure

PANELS = {
    "dev accuracy": {"base": [0.8, 0.9], "top": [0.7]},
    "test accuracy": {"base": [0.6, 0.7], "top": []},
}
MARKS = {"dev accuracy": {"teacher": 0.95}}


def test_values_means_and_spreads_are_drawn() -> None:
    figure = spread_figure(PANELS, "base", MARKS)
    dev, test = figure.axes
    dots = [(list(line.get_xdata()), list(line.get_ydata())) for line in dev.lines if line.get_marker() == "o"]
    assert dots == [([0.8, 0.9], [0, 0]), ([0.7], [1])]
    (bar,) = [each for each in dev.containers if each.has_xerr]
    (segment,) = bar.lines[2][0].get_segments()
    assert segment[:, 0].tolist() == pytest.approx([0.85 - stdev([0.8, 0.9]), 0.85 + stdev([0.8, 0.9])])
    means = [float(each.lines[0].get_xdata()[0]) for each in dev.containers]
    assert means == pytest.approx([0.85, 0.7])
    upright = [float(line.get_xdata()[0]) for line in dev.lines if list(line.get_ydata()) == [0, 1]]
    assert upright == pytest.approx([0.85, 0.95])  # the base's mean, and the teacher
    assert [text.get_text() for text in dev.get_yticklabels()] == ["base", "top"]
    assert (dev.get_xlabel(), test.get_xlabel()) == ("dev accuracy", "test accuracy")
    assert dev.get_legend().get_texts()[0].get_text() == "teacher"
    assert test.get_legend() is None


def test_the_files_are_the_same_for_the_same_numbers(tmp_path: Path) -> None:
    for name in ("one", "two"):
        plot_spread(tmp_path / name, PANELS, "base", MARKS)
    assert {path.name for path in tmp_path.iterdir()} == {"one.png", "one.svg", "two.png", "two.svg"}
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert "<svg" in (tmp_path / "one.svg").read_text(encoding="utf-8")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    check_can_plot("--no-plot")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        spread_plot.importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else find(name, *more)
    )
    with pytest.raises(InputError, match=r"needs matplotlib: pip install 'tinybert_tf\[report\]', or --no-plot\."):
        check_can_plot("--no-plot")
