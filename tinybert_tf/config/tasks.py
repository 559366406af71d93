"""The tasks of a configuration, the keys of `data` that each needs, and its main metric."""

from __future__ import annotations

DEFAULT_TASK = "sequence_classification"
_COLUMNS = ("data.text", "data.label")
TASK_KEYS: dict[str, tuple[str, ...]] = {
    "sequence_classification": _COLUMNS,
    "regression": _COLUMNS,
    "multi_label": _COLUMNS,
    "token_classification": (),
    "question_answering": (),
}
# The metric that chooses the best epoch if the config names none.
MAIN_METRIC = {
    "sequence_classification": "accuracy",
    "regression": "pearson",
    "multi_label": "f1_micro",
    "token_classification": "f1",
    "question_answering": "f1",
}
