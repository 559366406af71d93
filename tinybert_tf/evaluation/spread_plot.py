"""Plotting repeated measurements: a row for each measured quantity, with every value, their mean and spread."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tinybert_tf.checkpoints.replace_file import replace_file
from tinybert_tf.errors import InputError

SUFFIXES = (".png", ".svg")
ROW_INCHES, PANEL_INCHES = 0.32, 4.2


def check_can_plot(otherwise: str) -> None:
    """Refuse to go on if matplotlib is not installed.

    Args:
        otherwise: the way to do without a plot, for the message.

    Raises:
        InputError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(f"the plot needs matplotlib: pip install 'tinybert_tf[report]', or {otherwise}.")


def plot_spread(
    path: Path,
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    reference: str,
    marks: Mapping[str, Mapping[str, float]],
) -> None:
    """Write the plot to `path` with the suffixes `.png` and `.svg`.

    Args:
        path: the path without a suffix.
        panels: the panels by title, side by side; each maps row names, from top to bottom, to values. All panels have
            the same rows.
        reference: the row whose mean gets a line.
        marks: for panels by title, values that get a dashed line, by the line's name.
    """
    figure = spread_figure(panels, reference, marks)
    for suffix in SUFFIXES:
        # Without a date, equal numbers give equal files.
        metadata = {"Date": None} if suffix == ".svg" else None
        replace_file(
            path.with_suffix(suffix),
            lambda temporary, suffix=suffix, metadata=metadata: figure.savefig(  # type: ignore[misc]
                temporary, format=suffix[1:], dpi=150, metadata=metadata
            ),
        )


def spread_figure(
    panels: Mapping[str, Mapping[str, Sequence[float]]], reference: str, marks: Mapping[str, Mapping[str, float]]
) -> Any:
    """Make the matplotlib figure of `plot_spread`: dots are values, a bar is mean ± sample standard deviation."""
    from matplotlib.figure import Figure

    labels = list(next(iter(panels.values())))
    size = (1.5 + PANEL_INCHES * len(panels), 1.2 + ROW_INCHES * len(labels))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, rows, reference)
        for name, value in marks.get(title, {}).items():
            axis.axvline(value, color="tab:gray", linestyle="--", linewidth=1, label=name)
            axis.legend(fontsize="small", frameon=False)
        axis.set_xlabel(title)
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].invert_yaxis()
    return figure


def _draw_panel(axis: Any, rows: Mapping[str, Sequence[float]], reference: str) -> None:
    """Draw the rows of one panel, and a line at the mean of the reference."""
    for place, (label, values) in enumerate(rows.items()):
        if not values:
            continue
        axis.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.4, markersize=4)
        half_width = stdev(values) if len(values) > 1 else None
        axis.errorbar(mean(values), place, xerr=half_width, fmt="|", color="black", markersize=10, capsize=3)
        if label == reference:
            axis.axvline(mean(values), color="tab:blue", linewidth=1, alpha=0.5)
    axis.grid(axis="x", alpha=0.3)
