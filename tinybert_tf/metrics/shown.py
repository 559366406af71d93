"""Metrics as tables and messages show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def metric_title(metric: str, measured: Mapping[str, Any]) -> str:
    """A metric's name in a table; `f1` of two classes has the name of the positive class with it."""
    positive = measured.get("positive_label")
    return f"{metric} ({positive})" if metric == "f1" and positive is not None else metric


def format_metric(metric: str, value: float) -> str:
    """A metric as tables and messages show it: correlations as a number, the others in percent."""
    is_correlation = metric in ("matthews_correlation", "pearson", "spearman")
    return f"{value:.3f}" if is_correlation else f"{value:.1%}"
