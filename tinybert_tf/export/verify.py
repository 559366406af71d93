"""Whether an exported model computes what the model that it was made from does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.errors import VerificationError
from tinybert_tf.metrics import TASK_METRICS, Metrics, tag_metrics

# What float32 arithmetic in another order may differ by; scores in thousands by a fraction of the largest.
LARGEST_DIFFERENCE = 1e-4
LARGEST_RELATIVE = 1e-5
# The root mean square of the difference of a quantized model's logits, as a fraction of that of the logits themselves.
LARGEST_SHARE = 0.25
# Scores that differ by less than this fraction of the spread of all scores are the same answer.
SAME_SCORE = 0.05


@dataclass(frozen=True)
class Verification:
    """What was seen on rows of tokens, beside the model that was exported.

    `max_difference`, `mean_difference`, `rms_difference` (root mean square): of logits, absolute, padding left out.
    `largest`: of the reference's logits, absolute; `spread`: their root mean square around their mean, or around 0
    where all are the same. `agreement`: the fraction of answers that are the same, or what `compared` names. It says
    nothing where the reference has `one_answer` for all rows. `metrics`, `reference_metrics`: the task's, of the
    exported model and of the other one, where the rows have labels.
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
    found, wanted = data.answers(logits), data.answers(reference)
    if logits.ndim == 3:
        is_token = np.arange(logits.shape[1]) < data.tokens.lengths[:, None]
        logits, reference = logits[is_token], reference[is_token]
    difference = np.abs(logits.astype(np.float64) - reference)
    answers, measure = ANSWERS[task], TASK_METRICS[task].measure
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
        metrics=measure(found, data.expected, data.classes) if has_labels else None,
        reference_metrics=measure(wanted, data.expected, data.classes) if has_labels else None,
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _spread(logits: np.ndarray) -> float:
    """The root mean square around the mean; around 0 where that is no more than float32 is exact to."""
    around_mean, around_0 = float(logits.std(dtype=np.float64)), _rms(logits)
    return around_mean if around_mean > LARGEST_DIFFERENCE * around_0 else around_0


def worst(seen: Sequence[Verification]) -> Verification:
    """Of the same rows, computed in several ways: the largest differences, and the way that agrees least."""

    def largest(differences: Iterable[float]) -> float:
        return float(np.max(list(differences)))  # NaN where one is; `max` would pass over it

    return dataclasses.replace(
        min(seen, key=lambda each: each.agreement),
        max_difference=largest(each.max_difference for each in seen),
        mean_difference=largest(each.mean_difference for each in seen),
        rms_difference=largest(each.rms_difference for each in seen),
    )


def check(verification: Verification, is_exact: bool, min_agreement: float) -> None:
    """Refuse an exported model that is not the one that it was made from.

    Args:
        verification: what was seen.
        is_exact: whether it is float32; its largest difference is then held to what float32 may differ by.
        min_agreement: fraction of answers of any other that are the same; its logits are held to `LARGEST_SHARE` of
            the reference's spread, and alone decide where the reference has one answer for all rows.

    Raises:
        VerificationError: it is not.
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
            f"{seen}, logits differ by up to {verification.max_difference:.2g} from the model's; "
            f"{accepted:g} is what float32 may differ by"
        )


def _check_answers(verification: Verification, seen: str, min_agreement: float) -> None:
    if not verification.one_answer and verification.agreement < min_agreement:
        raise VerificationError(
            f"{seen}, {verification.agreement:.1%} of the {verification.compared} are the model's; --min-agreement is "
            f"{min_agreement:.1%}. Another --quantize loses less, or quantization-aware training"
        )


def _check_logits(verification: Verification, seen: str) -> None:
    accepted = LARGEST_SHARE * verification.spread
    if verification.rms_difference > accepted:
        raise VerificationError(
            f"{seen}, logits differ by {verification.rms_difference:.2g} (root mean square) from the model's; at most "
            f"{accepted:.2g} is accepted, a quarter of the model's own. Another --quantize loses less, or "
            "quantization-aware training"
        )


@dataclass(frozen=True)
class Answers:
    """How a task's answers are compared, in the form that `EncodedDataset.answers` has them.

    `agreement(found, wanted)`: the fraction that are the same. `are_one(wanted)`: whether all are the same one.
    `compared`: what the fraction is of, in a message's words.
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
