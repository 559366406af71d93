"""The kinds of labels of a text: a class, a score, or several classes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinybert_tf.data.batches.encoded import EncodedTexts, Prediction, write_classes, write_labels, write_scores
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.errors import InputError

# Hugging Face's name for a score among a model's labels.
SCORE = "LABEL_0"


@dataclass(frozen=True)
class TextLabels:
    """How a task reads the labels of a `TextDataset` and writes a model's answers.

    `targets(dataset, label_names)` gives the targets that a model learns, a row for each text; `names(dataset)` the
    labels of a new model; `written(logits, label_names)` its answers. `may_be_empty`: whether a label may be empty;
    `has_classes`: whether it names a class.
    """

    targets: Callable[[Any, Sequence[str]], np.ndarray]
    names: Callable[[Any], list[str]]
    written: Callable[[np.ndarray, Sequence[str]], list[Prediction]]
    may_be_empty: bool = False
    has_classes: bool = True

    def strata(self, dataset: Any) -> list[Any]:
        """The stratum of each row: its label or labels, or the tenth that its score falls into."""
        if self.has_classes:
            return [",".join(sorted(label.split(","))) for label in dataset.labels]
        ranks = np.argsort(np.argsort(dataset.scores(), kind="stable"), kind="stable")
        return (10 * ranks // len(dataset)).tolist()

    def encode(self, dataset: Any, tokenizer: Tokenizer, label_names: Sequence[str], max_length: int) -> EncodedTexts:
        """A row for each text, cut at `max_length` tokens.

        Raises:
            InputError: a label is not one of `label_names`, or `max_length` leaves no room for text.
        """
        labels = self.targets(dataset, label_names) if dataset.has_labels else None
        tokens = tokenizer.encode(dataset.texts, max_length)
        return EncodedTexts(tokens, labels, tokenizer.pad_token_id, label_names, self.written)


def _one_score(dataset: Any, names: Sequence[str]) -> np.ndarray:
    """Each row's score.

    Raises:
        InputError: the model does not give exactly one score; see also `TextDataset.scores`.
    """
    if len(names) != 1:
        raise InputError(f"{dataset.source}: a label is one score, and the model gives {len(names)}; expected one")
    return dataset.scores()


TEXT_LABELS = {
    "sequence_classification": TextLabels(
        lambda dataset, names: dataset.label_ids(names), lambda dataset: dataset.label_names(), write_classes
    ),
    "regression": TextLabels(_one_score, lambda dataset: [SCORE], write_scores, has_classes=False),
    "multi_label": TextLabels(
        lambda dataset, names: dataset.label_matrix(names),
        lambda dataset: dataset.names_in_cells(),
        write_labels,
        may_be_empty=True,
    ),
}


def find_text_labels(task: str) -> TextLabels:
    """The labels of a task of texts.

    Raises:
        InputError: the task has no texts with labels in columns.
    """
    if task not in TEXT_LABELS:
        raise InputError(f"task {task!r} does not label whole texts; expected one of {', '.join(TEXT_LABELS)}.")
    return TEXT_LABELS[task]
