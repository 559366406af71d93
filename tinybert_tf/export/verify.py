"""Whether an exported model computes what the model that it was made from does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.errors import VerificationError
from tinybert_tf.metrics import TASK_METRICS, Metrics

# What float32 arithmetic in another order may differ by.
LARGEST_DIFFERENCE = 1e-4
# Scores that differ by less than this fraction of the spread of all scores are the same answer.
SAME_SCORE = 0.05


@dataclass(frozen=True)
class Verification:
    """What was seen on rows of tokens, beside the model that was exported.

    `max_difference`, `mean_difference`: of logits, absolute, padding left out. `agreement`: the fraction of answers
    that are the same: of texts, or of words in token classification. `metrics`, `reference_metrics`: the task's, of the
    exported model and of the other one, where the rows have labels.
    """

    rows: int
    source: str
    max_difference: float
    mean_difference: float
    agreement: float
    metrics: Metrics | None = None
    reference_metrics: Metrics | None = None

    def as_json(self) -> dict[str, Any]:
        """As `metrics.json` has it."""
        return dataclasses.asdict(self)


def compare(
    logits: np.ndarray, reference: np.ndarray, data: EncodedDataset, task: str, source: str, has_labels: bool
) -> Verification:
    """Compare an exported model's logits with the reference's, of the same rows.

    Args:
        logits: of the exported model, as `logits_of_rows` gives them.
        reference: likewise, of the model that it was made from.
        data: the rows.
        task: the task's name.
        source: where the rows are from, in a message's words.
        has_labels: whether they have labels, and the metrics are measured.
    """
    difference = np.abs(logits.astype(np.float64) - reference)
    if logits.ndim == 3:
        difference = difference[np.arange(logits.shape[1]) < data.tokens.lengths[:, None]]
    found, wanted = data.answers(logits), data.answers(reference)
    measure = TASK_METRICS[task].measure
    return Verification(
        rows=len(data.tokens),
        source=source,
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        agreement=float(np.mean(SAME_ANSWERS[task](found, wanted))),
        metrics=measure(found, data.expected, data.classes) if has_labels else None,
        reference_metrics=measure(wanted, data.expected, data.classes) if has_labels else None,
    )


def worst(seen: Sequence[Verification]) -> Verification:
    """Of the same rows, computed in several ways: the largest differences, and the way that agrees least."""
    least = min(seen, key=lambda each: each.agreement)
    return dataclasses.replace(
        least,
        max_difference=max(each.max_difference for each in seen),
        mean_difference=max(each.mean_difference for each in seen),
    )


def check(verification: Verification, is_exact: bool, min_agreement: float) -> None:
    """Refuse an exported model that is not the one that it was made from.

    Args:
        verification: what was seen.
        is_exact: whether it is float32; its logits are then held to `LARGEST_DIFFERENCE`.
        min_agreement: fraction of answers of any other that are the same.

    Raises:
        VerificationError: it is not.
    """
    seen = f"on {verification.rows} rows of {verification.source}"
    if not np.isfinite(verification.max_difference):
        raise VerificationError(f"not exported: {seen}, logits are not finite numbers")
    if is_exact and verification.max_difference > LARGEST_DIFFERENCE:
        raise VerificationError(
            f"not exported: {seen}, logits differ by up to {verification.max_difference:.2g} from the model's; "
            f"{LARGEST_DIFFERENCE:g} is what float32 may differ by"
        )
    if not is_exact and verification.agreement < min_agreement:
        raise VerificationError(
            f"not exported: {seen}, {verification.agreement:.1%} of the answers are the model's; --min-agreement is "
            f"{min_agreement:.1%}. Another --quantize loses less, or quantization-aware training"
        )


def _same_class(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return found.argmax(axis=-1) == wanted.argmax(axis=-1)


def _same_labels(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return ((found > 0) == (wanted > 0)).all(axis=-1)


def _same_scores(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.abs(found - wanted) <= SAME_SCORE * np.ptp(wanted)


def _same_tags(found: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> list[bool]:
    return [
        one == other
        for ours, theirs in zip(found, wanted, strict=True)
        for one, other in zip(ours, theirs, strict=True)
    ]


def _same_texts(found: Sequence[str], wanted: Sequence[str]) -> list[bool]:
    return [one == other for one, other in zip(found, wanted, strict=True)]


SAME_ANSWERS: dict[str, Callable[[Any, Any], Any]] = {
    "sequence_classification": _same_class,
    "multi_label": _same_labels,
    "regression": _same_scores,
    "token_classification": _same_tags,
    "question_answering": _same_texts,
}
