"""TinyBERT's published ablations (arXiv 1909.10351, tables 2 to 4): its 4-layer student on the dev sets, in points."""

from __future__ import annotations

# The metric of each task's numbers; the tables do not name the one of MRPC's two metrics.
MEASURED = {
    "mnli": "accuracy on MNLI's matched / mismatched dev set",
    "mrpc": "on MRPC's dev set (accuracy or F1, the tables do not say)",
    "cola": "100 x Matthews correlation on CoLA's dev set",
}

# By the change's name, for each task. "w/o Trm" and "w/o TD" are left out: they also have other general students or
# other files, so no change of a config is the same.
_ROWS = {
    "base": ("82.8 / 82.9", "85.8", "50.8"),
    "no_general": ("82.5 / 82.6", "84.1", "40.8"),
    "no_augmentation": ("80.5 / 81.0", "82.4", "29.8"),
    "no_embedding": ("82.3 / 82.3", "85.0", "46.7"),
    "no_prediction": ("80.5 / 81.0", "84.3", "48.2"),
    "no_attention": ("79.9 / 80.7", "82.3", "41.1"),
    "no_hidden_state": ("81.7 / 82.1", "84.1", "43.7"),
    "uniform": ("82.8 / 82.9", "85.8", "50.8"),
    "top": ("81.7 / 82.3", "83.6", "35.9"),
    "bottom": ("80.6 / 81.3", "84.6", "38.5"),
}
PUBLISHED: dict[str, dict[str, str]] = {
    task: {change: numbers[place] for change, numbers in _ROWS.items()} for place, task in enumerate(MEASURED)
}
