"""`Predictor`: texts in, labels and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.data.batches import Batches
from tinybert_tf.data.tokenizer import load_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.teacher import Teacher

Prediction = dict[str, Any]
Text = str | tuple[str, str]


class Predictor:
    """Answers texts, or pairs of texts, with a saved model for classes or for a score.

    Args:
        directory: a model directory, a run directory or a Hub id, with tokenizer files and a classification head.
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
        self.model = Teacher.from_pretrained(directory, precision="float32").model
        self.tokenizer = load_tokenizer(directory)
        self.batch_size = batch_size
        self.max_length = self.model.config.max_tokens if max_length is None else max_length
        check_limits(self.model.config, self.tokenizer.vocab_size, self.max_length, directory)

    def __call__(self, texts: str | Sequence[Text]) -> Any:
        """`{"label": ..., "scores": {label: fraction, ...}}` of a text, or a list of them for a list of texts or pairs.

        `{"score": ...}` where the model was fine-tuned for regression.
        """
        if isinstance(texts, str):
            return self.answer([texts])[0]
        return self.answer(texts)

    def answer(self, texts: Sequence[Text]) -> list[Prediction]:
        """The answer to each text or pair."""
        for number, text in enumerate(texts):
            _check(text, number + 1)
        if not texts:
            return []
        tokens = self.tokenizer.encode(texts, self.max_length)
        batches = Batches(tokens, None, self.batch_size, None, self.tokenizer.pad_token_id, group_by_length=True)
        logits = batches.in_file_order(self.model.predict(batches, verbose=0)["logits"])
        if self.model.num_labels == 1:
            return [{"score": float(score)} for score in logits[:, 0]]
        return [self._answer(scores) for scores in _softmax(logits)]

    def _answer(self, scores: np.ndarray) -> Prediction:
        names = self.model.id2label
        return {
            "label": names[int(scores.argmax())],
            "scores": {names[number]: float(score) for number, score in enumerate(scores)},
        }


def _check(text: Any, number: int) -> None:
    """Refuse what is neither a text nor a pair of texts."""
    is_pair = isinstance(text, list | tuple) and len(text) == 2
    if not all(isinstance(part, str) and part.strip() for part in (text if is_pair else [text])):
        raise InputError(f"text {number} is {text!r}; a text that is not empty, or a pair of them, is wanted.")


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
