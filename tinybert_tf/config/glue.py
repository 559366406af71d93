"""GLUE's tasks (arXiv 1804.07461) as shorthands: the values that a task's name stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GlueTask:
    """A task of GLUE: the columns of its files, the names of its integer labels, and its metric.

    `labels` are in the order of the classes in GLUE's own data sets; None if labels are scores. `positive` is the label
    whose F1 GLUE measures. On the Hub the label's column is `label`, and the texts are in `hub_text`, or in `text` if
    that is None.
    """

    text: tuple[str, ...]
    label: str
    labels: tuple[str, ...] | None
    metric: str = "accuracy"
    task: str = "sequence_classification"
    hub_text: tuple[str, ...] | None = None
    positive: str | None = None


_PAIR = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
GLUE: dict[str, GlueTask] = {
    "cola": GlueTask(("sentence",), "label", ("unacceptable", "acceptable"), "matthews_correlation"),
    "sst2": GlueTask(("sentence",), "label", ("negative", "positive")),
    "mrpc": GlueTask(
        ("#1 String", "#2 String"),
        "Quality",
        ("not_equivalent", "equivalent"),
        "f1",
        hub_text=_PAIR,
        positive="equivalent",
    ),
    "stsb": GlueTask(_PAIR, "score", None, "pearson", "regression"),
    "qqp": GlueTask(
        ("question1", "question2"), "is_duplicate", ("not_duplicate", "duplicate"), "f1", positive="duplicate"
    ),
    "mnli": GlueTask(
        _PAIR, "gold_label", ("entailment", "neutral", "contradiction"), hub_text=("premise", "hypothesis")
    ),
    "qnli": GlueTask(("question", "sentence"), "label", _ENTAILMENT),
    "rte": GlueTask(_PAIR, "label", _ENTAILMENT),
    "wnli": GlueTask(_PAIR, "label", ("not_entailment", "entailment")),
}


def with_glue(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the values that the name of a GLUE task stands for, where a plain configuration has none of its own.

    Example:
        >>> with_glue({"task": "stsb", "data": {"label": "similarity"}, "metric": None}) == {
        ...     "task": "regression",
        ...     "data": {"text": ("sentence1", "sentence2"), "label": "similarity"},
        ...     "metric": "pearson",
        ... }
        True
    """
    found = GLUE.get(str(plain.get("task")))
    data = plain.get("data") or {}
    if found is None or not isinstance(data, Mapping):
        return dict(plain)
    columns = {"text": found.text, "label": found.label, "labels": found.labels}
    if data.get("labels") is None:  # other labels have another positive label
        columns["positive"] = found.positive
    if str(data.get("train")).startswith("hub:"):
        columns |= {"text": found.hub_text or found.text, "label": "label"}
    return {
        **plain,
        "task": found.task,
        "data": _with_defaults(data, columns),
        "metric": plain.get("metric") or found.metric,
    }


def _with_defaults(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    missing = {key: value for key, value in defaults.items() if value is not None and given.get(key) is None}
    return {**given, **missing}
