"""What a cut student misses of its teacher on texts that the cut was not fitted on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinybert_tf import features
from tinybert_tf.data.tags.conll import OUTSIDE
from tinybert_tf.models.cut.activations import as_array
from tinybert_tf.models.cut.least_squares import Moments
from tinybert_tf.models.cut.student import Cut
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.pretrained import in_precision


@dataclass(frozen=True)
class Missed:
    """What a student misses of its teacher on `rows` texts.

    `unexplained`: the fraction, from 0 up, of the variance of the teacher's last mapped layer that the student's last
    layer misses, in all of the teacher's width: errors inside the basis of the cut, and all that is outside of it.
    `logits`: the same fraction of the logits. `disagreement`: the fraction of the teacher's answers that are not the
    student's; see `disagreement`.
    """

    rows: int
    unexplained: float
    logits: float
    disagreement: float

    def __str__(self) -> str:
        return (
            f"misses {self.unexplained:.1%} of the variance of its teacher's last layer and {self.disagreement:.1%} of "
            f"its answers, on {self.rows:,} texts held back from the cut"
        )


class HeldBack:
    """Texts that no cut was fitted on, and what the teacher makes of them.

    Args:
        teacher: the model that students are cut from.
        layer: its layer that a student's last layer stands for.
        batches: dicts of `input_ids`, `attention_mask` and optionally `token_type_ids`, each `(batch, seq_len)`.
    """

    def __init__(self, teacher: TaskModel, layer: int, batches: Sequence[Mapping[str, Any]]) -> None:
        self.teacher = teacher
        self.batches = batches
        self._hidden, self._logits = _answered(teacher, layer, batches)

    def missed(self, student: TaskModel, cut: Cut) -> Missed:
        """Measure a student in float32; `cut` is the result of `cut_student` that made it."""
        last = student.num_hidden_layers
        state = random.getstate()  # a copy draws seeds for its dropout: later draws are to stay what they are
        hidden, logits = _answered(in_precision(student, "float32"), last, self.batches)
        random.setstate(state)
        outside = np.eye(len(cut.basis)) - cut.basis @ cut.basis.T
        expanded = [values @ cut.basis.T + cut.moments[last].mean @ outside for values in hidden]
        masks = [_is_token(batch) for batch in self.batches]
        return Missed(
            sum(len(each) for each in logits),
            _unexplained(expanded, self._hidden),
            _unexplained(_rows(logits, masks), _rows(self._logits, masks)),
            disagreement(self.teacher, logits, self._logits, masks),
        )


def _answered(
    model: TaskModel, layer: int, batches: Sequence[Mapping[str, Any]]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The hidden states of a layer, `(tokens, width)` without padding, and the logits, of each batch."""
    hidden, logits = [], []
    for batch in batches:
        outputs = model(batch, training=False, output_hidden_states=(layer,))
        hidden.append(as_array(outputs[features.HIDDEN_STATES][layer])[_is_token(batch)])
        logits.append(as_array(outputs[features.LOGITS]))
    return hidden, logits


def _unexplained(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """The mean squared error of rows, `(rows, columns)` in each batch, as a fraction of the targets' variance."""
    errors = Moments.of(*(our - their for our, their in zip(ours, theirs, strict=True)))
    variance = max(float(np.trace(Moments.of(*theirs).covariance)), np.finfo(np.float64).tiny)
    return float(np.trace(errors.second_moment)) / variance


def _rows(logits: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Logits of texts, or those of tokens without padding, `(rows, columns)`."""
    return [each[mask] if each.ndim == 3 else each for each, mask in zip(logits, masks, strict=True)]


def _is_token(batch: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(batch["attention_mask"]).astype(bool)


def disagreement(
    teacher: TaskModel, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], masks: Sequence[np.ndarray]
) -> float:
    """Return the fraction of the teacher's answers that are not the student's, from 0 to 1.

    For classes, labels and positions this is the fraction of texts with another answer; for tags, the fraction of
    tokens with another tag, among those that either model gives a tag other than `O`; for scores, one minus the
    correlation, the mean over the scores.

    Args:
        teacher: the teacher, which knows the kind of its logits.
        ours: the student's logits of each batch.
        theirs: the teacher's, of the same shapes.
        masks: whether each position of a batch holds a token, `(batch, seq_len)` bool.
    """
    if teacher.predicts == features.SCORES:
        return 1 - _correlation(np.concatenate(ours), np.concatenate(theirs))
    of_tokens = theirs[0].ndim == 3 and teacher.predicts == features.CLASSES
    found, wanted = (
        np.concatenate(list(_inner_tags(each, masks) if of_tokens else _answers(teacher.predicts, each, masks)))
        for each in (ours, theirs)
    )
    differs = (found != wanted).any(axis=-1)
    if of_tokens and OUTSIDE in teacher.label_names:
        outside = teacher.label_names.index(OUTSIDE)
        differs = differs[((found != outside) | (wanted != outside)).any(axis=-1)]
    return float(differs.mean()) if differs.size else 0.0


def _answers(predicts: str, logits: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The answers to each batch, `(texts, answers)`."""
    for values, mask in zip(logits, masks, strict=True):
        if predicts == features.LABELS:
            yield values > 0
        elif predicts == features.POSITIONS:
            yield np.where(mask[..., None], values, -np.inf).argmax(axis=1)
        else:
            yield values.argmax(axis=-1)[:, None]


def _inner_tags(logits: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The tag of each token but a text's first and last, which are special, `(tokens, 1)`."""
    for values, mask in zip(logits, masks, strict=True):
        inner = mask[:, 1:-1] & mask[:, 2:]
        yield values[:, 1:-1].argmax(axis=-1)[inner][:, None]


def _correlation(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The correlation of each column, the mean over columns; 0 for a column of equal numbers."""
    ours, theirs = (each.astype(np.float64) - each.mean(axis=0, dtype=np.float64) for each in (ours, theirs))
    lengths = np.sqrt((ours**2).sum(axis=0) * (theirs**2).sum(axis=0))
    return float(np.mean((ours * theirs).sum(axis=0) / np.maximum(lengths, np.finfo(np.float64).tiny)))
