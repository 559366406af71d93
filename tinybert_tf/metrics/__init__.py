"""The metrics of each task, their standard errors, and the words in which tables show them."""

from __future__ import annotations

from tinybert_tf.metrics.bootstrap import RESAMPLES, Comparison, compare, interval, is_beyond_noise, standard_error
from tinybert_tf.metrics.by_class import (
    ByClass,
    class_results,
    label_results,
    never_predicted,
    type_results,
)
from tinybert_tf.metrics.measured import Measured
from tinybert_tf.metrics.resampled import Resampled
from tinybert_tf.metrics.scores import (
    Metrics,
    answer_metrics,
    classification_metrics,
    multi_label_metrics,
    regression_metrics,
    tag_metrics,
)
from tinybert_tf.metrics.shown import (
    CORRELATIONS,
    describe_comparison,
    error_of,
    format_difference,
    format_metric,
    format_score,
    format_size,
    metric_title,
)
from tinybert_tf.metrics.tasks import TASK_METRICS, TaskMetrics, choose_metric, constant_score

__all__ = [
    "CORRELATIONS",
    "RESAMPLES",
    "TASK_METRICS",
    "ByClass",
    "Comparison",
    "Measured",
    "Metrics",
    "Resampled",
    "TaskMetrics",
    "answer_metrics",
    "choose_metric",
    "class_results",
    "classification_metrics",
    "compare",
    "constant_score",
    "describe_comparison",
    "error_of",
    "format_difference",
    "format_metric",
    "format_score",
    "format_size",
    "interval",
    "is_beyond_noise",
    "label_results",
    "metric_title",
    "multi_label_metrics",
    "never_predicted",
    "regression_metrics",
    "standard_error",
    "tag_metrics",
    "type_results",
]
