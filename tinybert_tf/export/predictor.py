"""`Predictor`: texts in, answers out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinybert_tf.data.encoded import Prediction
from tinybert_tf.data.tasks import TASKS
from tinybert_tf.data.tokenizer import load_tokenizer
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.tasks import load_teaching, task_of

Text = str | tuple[str, str]


class Predictor:
    """Answers texts, or pairs of texts, with a saved model.

    Args:
        directory: a model directory, a run directory or a Hub id, with tokenizer files and a task's head.
        batch_size: texts computed together.
        max_length: tokens a text is cut at, special tokens included; the model's own limit by default.

    Raises:
        InputError: no such directory, no tokenizer, no head, a `max_length` above the model's limit; when called,
            something that is neither a text nor a pair.

    Example:
        >>> predictor = Predictor("student/")  # doctest: +SKIP
        >>> predictor("a film that earns its tears")  # doctest: +SKIP
        {'label': 'positive', 'scores': {'negative': 0.02, 'positive': 0.98}}
        >>> Predictor("stsb-student/")([("a plane takes off", "an air plane takes off")])  # doctest: +SKIP
        [{'score': 4.7}]
    """

    def __init__(self, directory: str | Path, batch_size: int = 32, max_length: int | None = None) -> None:
        task = task_of(directory)
        self.task = TASKS[task]
        self.model = load_teaching(directory, task)
        self.tokenizer = load_tokenizer(directory)
        self.batch_size = batch_size
        self.max_length = self.model.config.max_tokens if max_length is None else max_length
        check_limits(self.model.config, self.tokenizer.vocab_size, self.max_length, directory)

    def __call__(self, texts: str | Sequence[Text]) -> Any:
        """The answer to a text, or the list of them to a list of texts or pairs; what it is, the model's task says.

        - one of several labels: `{"label": ..., "scores": {label: fraction, ...}}`;
        - any number of labels: `{"labels": [...], "scores": {label: fraction, ...}}`;
        - regression: `{"score": ...}`;
        - tags: `{"tokens": [...], "tags": [...], "scores": [...], "entities": [{"type", "text", "start", "end"}]}`;
        - an answer, to a pair of a question and a text: `{"answer", "score", "start", "end", "n_best": [...]}`, empty,
          without a place, where there is none; `start` and `end` count characters.
        """
        if isinstance(texts, str):
            return self.answer([texts])[0]
        return self.answer(texts)

    def answer(self, texts: Sequence[Text]) -> list[Prediction]:
        """The answer to each text or pair."""
        dataset = self.task.of_texts(texts, self.tokenizer)
        if not texts:
            return []
        encoded = self.task.encode(dataset, self.tokenizer, self.model.label_names, self.max_length)
        batches = encoded.evaluation_batches(batch_size=self.batch_size)
        return encoded.predictions(batches.in_file_order(self.model.predict(batches, verbose=0)["logits"]))
