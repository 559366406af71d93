"""The metrics of each task, their standard errors, and the words in which tables show them."""

from __future__ import annotations

from tinybert_tf.metrics.by_class import (
    ByClass,
    class_results,
    label_results,
    never_predicted,
    type_results,
)
from tinybert_tf.metrics.scores import (
    Metrics,
    answer_metrics,
    classification_metrics,
    multi_label_metrics,
    regression_metrics,
    tag_metrics,
)
from tinybert_tf.metrics.shown import format_metric, metric_title
from tinybert_tf.metrics.tasks import TASK_METRICS, TaskMetrics, choose_metric, constant_score

__all__ = [
    "TASK_METRICS",
    "ByClass",
    "Metrics",
    "TaskMetrics",
    "answer_metrics",
    "choose_metric",
    "class_results",
    "classification_metrics",
    "constant_score",
    "format_metric",
    "label_results",
    "metric_title",
    "multi_label_metrics",
    "never_predicted",
    "regression_metrics",
    "tag_metrics",
    "type_results",
]
