"""Metrics as tables and messages show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinybert_tf.metrics.bootstrap import Comparison

CORRELATIONS = ("matthews_correlation", "pearson", "spearman")


def metric_title(metric: str, measured: Mapping[str, Any]) -> str:
    """A metric's name in a table; `f1` of two classes has the name of the positive class with it."""
    positive = measured.get("positive_label")
    return f"{metric} ({positive})" if metric == "f1" and positive is not None else metric


def error_of(measured: Mapping[str, Any], metric: str) -> float | None:
    """A metric's standard error in `metrics.json`, from the entries of a model on a split.

    None if an earlier version measured it.
    """
    found: float | None = measured.get("standard_error", {}).get(metric)
    return found


def format_metric(metric: str, value: float) -> str:
    """A metric as tables and messages show it: correlations as a number, the others in percent."""
    return f"{value:.3f}" if metric in CORRELATIONS else f"{value:.1%}"


def format_score(metric: str, value: float, error: float | None) -> str:
    """A metric with its standard error; without one if that was not measured.

    Example:
        >>> format_score("accuracy", 0.8912, 0.0068), format_score("pearson", 0.8912, 0.0068)
        ('89.1% ± 0.7', '0.891 ± 0.007')
    """
    return format_metric(metric, value) + ("" if error is None else f" ± {_number(metric, error)}")


def format_difference(metric: str, difference: float, error: float | None = None) -> str:
    """A difference of two models' metrics, in points of a hundred or as a number, with its standard error.

    Example:
        >>> format_difference("accuracy", 0.0123, 0.0051), format_difference("pearson", -0.0123)
        ('+1.2 ± 0.5', '-0.012')
    """
    size = _number(metric, abs(difference))
    sign = "" if not size.strip("0.") else "+" if difference > 0 else "-"
    return f"{sign}{size}" + ("" if error is None else f" ± {_number(metric, error)}")


def describe_comparison(metric: str, comparison: Comparison) -> str:
    """A difference with the interval that tells whether it is beyond noise; "includes 0" or "excludes 0" may follow.

    Example:
        >>> describe_comparison("accuracy", {"difference": 0.012, "standard_error": 0.005, "interval": [0.002, 0.022]})
        '+1.2 ± 0.5 points; the 95% interval, +0.2 to +2.2,'
    """
    ends = " to ".join(format_difference(metric, end) for end in comparison["interval"])
    shown = format_difference(metric, comparison["difference"], comparison["standard_error"])
    return f"{shown}{_unit(metric)}; the 95% interval, {ends},"


def format_size(metric: str, size: float) -> str:
    """The size of a difference or of an error, with its unit.

    Example:
        >>> format_size("accuracy", 0.0123), format_size("pearson", 0.0123)
        ('1.2 points', '0.012')
    """
    return f"{_number(metric, size)}{_unit(metric)}"


def _unit(metric: str) -> str:
    return "" if metric in CORRELATIONS else " points"


def _number(metric: str, value: float) -> str:
    """A value without its unit: a correlation, or points of a hundred."""
    return f"{value:.3f}" if metric in CORRELATIONS else f"{100 * value:.1f}"
