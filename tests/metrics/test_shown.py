"""Metrics, errors and differences in words."""

from __future__ import annotations

from tinybert_tf.metrics import (
    Comparison,
    describe_comparison,
    error_of,
    format_difference,
    format_metric,
    format_score,
    format_size,
)


def test_how_metrics_are_shown() -> None:
    assert [format_metric(metric, 0.91234) for metric in ("accuracy", "f1", "f1_macro")] == ["91.2%"] * 3
    assert [format_metric(metric, 0.5) for metric in ("pearson", "spearman", "matthews_correlation")] == ["0.500"] * 3


def test_a_difference_of_nothing_has_no_sign() -> None:
    assert [format_difference("accuracy", value) for value in (0.0, 0.0004, -0.0004, -0.0006)] == ["0.0"] * 3 + ["-0.1"]
    assert format_difference("pearson", 0.0004, 0.0012) == "0.000 ± 0.001"


def test_a_score_without_an_error() -> None:
    """An earlier version measured it."""
    assert error_of({"accuracy": 0.5}, "accuracy") is None
    assert error_of({"accuracy": 0.5, "standard_error": {"accuracy": 0.01}}, "accuracy") == 0.01
    assert format_score("accuracy", 0.5, None) == "50.0%"


def test_a_correlation_has_no_points() -> None:
    comparison: Comparison = {"difference": -0.05, "standard_error": 0.01, "interval": [-0.07, -0.03]}
    assert describe_comparison("spearman", comparison) == "-0.050 ± 0.010; the 95% interval, -0.070 to -0.030,"
    assert (format_size("spearman", 0.05), format_size("f1", 0.05)) == ("0.050", "5.0 points")
