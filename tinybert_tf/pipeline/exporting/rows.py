"""The rows with which an exported model is verified and calibrated."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.text.hub_datasets import is_hub_split
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels
from tinybert_tf.pipeline.parts.labels import labels_for

logger = logging.getLogger(__name__)

GENERATED_ROWS = 128
# The number of texts, drawn from the file, on which the ranges of activations are measured.
CALIBRATION_ROWS = 128


@dataclass(frozen=True)
class Labelled:
    """A file of texts, its columns, and the meaning of integers in it.

    `held_out`: the fraction of the file to read, and the seed it was drawn with; None for the whole file.
    """

    path: str
    text: str | Sequence[str] | None = None
    label: str | None = None
    labels: Sequence[str] | None = None
    held_out: tuple[float, int] | None = None


@dataclass(frozen=True)
class Reader:
    """Turns texts into rows for one model."""

    task: str
    tokenizer: Tokenizer
    label_names: Sequence[str]
    max_length: int

    def read(self, file: Labelled, has_labels: bool = True) -> EncodedDataset:
        """Read the rows of a file.

        Raises:
            InputError: as the task's `read` and `encode`; or all labels are equal, so that answers show nothing.
        """
        task = find_task(self.task)
        dataset = task.read(file.path, file.text, file.label if has_labels else None, file.labels, has_labels)
        if has_labels:
            task.check_training(dataset)
        if file.held_out is not None:
            _, dataset = task.split(dataset, *file.held_out)
        labels = labels_for(Labels.of(self.label_names), [dataset], self.task)
        return task.encode(dataset, self.tokenizer, labels, self.max_length)

    def generated(self, seed: int = 1) -> EncodedDataset:
        """Make rows of random words of the vocabulary, from one word to more than fit into a row."""
        generator = np.random.default_rng(seed)
        words = sorted({token.removeprefix("Ġ") for token in self.tokenizer.vocabulary() if token.isalpha()})
        if not words:
            raise InputError("the tokenizer has no token that is a word; give real texts with --verify")

        def text() -> str:
            return " ".join(generator.choice(words, generator.integers(1, self.max_length)))

        is_pair = self.task == "question_answering"
        texts = [(text(), text()) if is_pair else text() for _ in range(GENERATED_ROWS)]
        task = find_task(self.task)
        return task.encode(task.of_texts(texts, self.tokenizer), self.tokenizer, self.label_names, self.max_length)

    def calibration(self, file: Labelled, lengths: Sequence[int]) -> dict[int, list[dict[str, np.ndarray]]]:
        """Draw texts from a file and return the inputs of each for each length; longer texts are cut.

        Raises:
            InputError: as `read`.
        """
        found = {}
        for length in lengths:
            rows = Reader(self.task, self.tokenizer, self.label_names, length).read(file, has_labels=False)
            order = np.random.default_rng(1).permutation(len(rows.tokens))[:CALIBRATION_ROWS]
            found[length] = [rows.tokens.padded([row], rows.pad_token_id, length) for row in order]
        return found


def dev_file(settings: dict[str, Any]) -> Labelled | None:
    """Return the file that chose the run's best epoch; None if the run had none or it does not exist any more."""
    data = settings.get("data") or {}
    path, held_out = data.get("dev"), None
    if isinstance(path, float):
        held_out = path, data.get("dev_seed", 1)
        path = data.get("train")
    if not isinstance(path, str):
        return None
    if not (is_hub_split(path) or Path(path).is_file()):
        logger.info(f"export: the run's dev file is not there: {path}")
        return None
    return Labelled(path, data.get("text"), data.get("label"), data.get("labels"), held_out)
