"""Verifying that an exported model computes the same as its original."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.errors import VerificationError
from tinybert_tf.metrics import TASK_METRICS, Comparison, Metrics, tag_metrics

# The largest difference that float32 arithmetic in another order may make, and as a fraction of the largest logit.
LARGEST_DIFFERENCE = 1e-4
LARGEST_RELATIVE = 1e-5
# The largest root mean square of differences of a quantized model's logits, as a fraction of the logits' own.
LARGEST_SHARE = 0.25
# Scores that differ by at most this fraction of the range of all scores count as the same answer.
SAME_SCORE = 0.05


@dataclass(frozen=True)
class Verification:
    """The comparison of an exported model with its original (the reference) on rows of tokens.

    `max_difference`, `mean_difference`, `rms_difference` (root mean square): absolute differences of logits without
    padding. `largest`: the reference's largest absolute logit. `spread`: the root mean square of its logits around
    their mean, or around 0 if all are equal. `agreement`: the fraction of equal answers, or of what `compared` names;
    it has no meaning if the reference has `one_answer` for all rows. If the rows have labels: `metrics` and
    `reference_metrics`, the task's metrics of the exported model and of the reference; `standard_error` of the exported
    model's; and `comparison` by metric, exported model minus reference, from the same resamples of the rows.
    """

    rows: int
    source: str
    max_difference: float
    mean_difference: float
    rms_difference: float
    largest: float
    spread: float
    agreement: float
    compared: str = "answers"
    one_answer: bool = False
    metrics: Metrics | None = None
    reference_metrics: Metrics | None = None
    standard_error: Metrics | None = None
    comparison: dict[str, Comparison] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the content of `metrics.json`."""
        return dataclasses.asdict(self)


def compare(
    logits: np.ndarray, reference: np.ndarray, data: EncodedDataset, task: str, source: str, has_labels: bool
) -> Verification:
    """Compare an exported model's logits with the reference's on the same rows.

    Args:
        logits: the exported model's, as from `logits_of_rows`.
        reference: the original model's, of the same shape.
        data: the rows.
        task: the task's name.
        source: the origin of the rows, for messages.
        has_labels: whether the rows have labels, so that metrics are measured.
    """
    found, wanted = data.answers(logits), data.answers(reference)
    if logits.ndim == 3:
        is_token = np.arange(logits.shape[1]) < data.tokens.lengths[:, None]
        logits, reference = logits[is_token], reference[is_token]
    difference = np.abs(logits.astype(np.float64) - reference)
    answers = ANSWERS[task]
    return Verification(
        rows=len(data.tokens),
        source=source,
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        rms_difference=_rms(difference),
        largest=float(np.abs(reference).max()),
        spread=_spread(reference),
        agreement=answers.agreement(found, wanted),
        compared=answers.compared,
        one_answer=answers.are_one(wanted),
        **(_measured(found, wanted, data, task) if has_labels else {}),
    )


def _measured(found: Any, wanted: Any, data: EncodedDataset, task: str) -> dict[str, Any]:
    """Return the entries of a `Verification` that need labels."""
    measure = TASK_METRICS[task].measure_fully
    exported, reference = (measure(answers, data.expected, data.classes) for answers in (found, wanted))
    return {
        "metrics": exported.metrics,
        "reference_metrics": reference.metrics,
        "standard_error": exported.standard_errors,
        "comparison": exported.less(reference),
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _spread(logits: np.ndarray) -> float:
    """Return the root mean square around the mean, or around 0 if that is only float32's rounding error."""
    around_mean, around_0 = float(logits.std(dtype=np.float64)), _rms(logits)
    return around_mean if around_mean > LARGEST_DIFFERENCE * around_0 else around_0


def worst(seen: Sequence[Verification]) -> Verification:
    """Combine verifications of the same rows: the largest differences, and the rest of the one that agrees least."""

    def largest(differences: Iterable[float]) -> float:
        return float(np.max(list(differences)))  # keeps NaN, which `max` would ignore

    return dataclasses.replace(
        min(seen, key=lambda each: each.agreement),
        max_difference=largest(each.max_difference for each in seen),
        mean_difference=largest(each.mean_difference for each in seen),
        rms_difference=largest(each.rms_difference for each in seen),
    )


def check(verification: Verification, is_exact: bool, min_agreement: float) -> None:
    """Refuse an exported model that differs from its original.

    Args:
        verification: the comparison.
        is_exact: whether the export is float32; then only rounding errors of float32 are accepted.
        min_agreement: the smallest fraction of equal answers of a quantized export. The root mean square of its
            differences must also be at most `LARGEST_SHARE` of the reference's spread. Only this second limit counts
            if the reference has one answer for all rows.

    Raises:
        VerificationError: the model differs too much.
    """
    seen = f"not exported: on {verification.rows} rows of {verification.source}"
    if not np.isfinite(verification.max_difference):
        raise VerificationError(f"{seen}, logits are not finite numbers")
    if is_exact:
        _check_exact(verification, seen)
    else:
        _check_answers(verification, seen, min_agreement)
        _check_logits(verification, seen)


def _check_exact(verification: Verification, seen: str) -> None:
    accepted = max(LARGEST_DIFFERENCE, LARGEST_RELATIVE * verification.largest)
    if verification.max_difference > accepted:
        raise VerificationError(
            f"{seen}, logits differ by up to {verification.max_difference:.2g} from the model's; expected at most "
            f"{accepted:g} in float32"
        )


def _check_answers(verification: Verification, seen: str, min_agreement: float) -> None:
    if not verification.one_answer and verification.agreement < min_agreement:
        raise VerificationError(
            f"{seen}, {verification.agreement:.1%} of the {verification.compared} are the model's; --min-agreement is "
            f"{min_agreement:.1%}. Try another --quantize, or quantization-aware training"
        )


def _check_logits(verification: Verification, seen: str) -> None:
    accepted = LARGEST_SHARE * verification.spread
    if verification.rms_difference > accepted:
        raise VerificationError(
            f"{seen}, logits differ by {verification.rms_difference:.2g} (root mean square) from the model's; expected "
            f"at most {accepted:.2g}, a quarter of their own. Try another --quantize, or quantization-aware training"
        )


@dataclass(frozen=True)
class Answers:
    """The comparison of a task's answers, in the form of `EncodedDataset.answers`.

    `agreement(found, wanted)`: the fraction of equal answers. `are_one(wanted)`: whether all answers are equal.
    `compared`: the name of the compared answers, for messages.
    """

    agreement: Callable[[Any, Any], float]
    are_one: Callable[[Any], bool]
    compared: str = "answers"


def _same_class(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.mean(found.argmax(axis=-1) == wanted.argmax(axis=-1)))


def _same_labels(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.mean(((found > 0) == (wanted > 0)).all(axis=-1)))


def _same_scores(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.mean(np.abs(found - wanted) <= SAME_SCORE * np.ptp(wanted)))


def _same_entities(found: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    return tag_metrics(found, wanted)["f1"]


def _same_texts(found: Sequence[str], wanted: Sequence[str]) -> float:
    return float(np.mean([one == other for one, other in zip(found, wanted, strict=True)]))


def _are_one_score(wanted: np.ndarray) -> bool:
    return bool(np.ptp(wanted) <= LARGEST_DIFFERENCE * np.abs(wanted).max())


ANSWERS = {
    "sequence_classification": Answers(_same_class, lambda wanted: bool(np.ptp(wanted.argmax(axis=-1)) == 0)),
    "multi_label": Answers(_same_labels, lambda wanted: len(np.unique(wanted > 0, axis=0)) == 1),
    "regression": Answers(_same_scores, _are_one_score),
    "token_classification": Answers(
        _same_entities, lambda wanted: len({tag for row in wanted for tag in row}) == 1, "entities (F1)"
    ),
    "question_answering": Answers(_same_texts, lambda wanted: len(set(wanted)) == 1),
}
