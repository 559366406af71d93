"""Explaining a run's numbers in lines for its end: a pure function of its metrics and its log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinybert_tf.metrics import (
    Comparison,
    describe_comparison,
    error_of,
    format_metric,
    format_size,
    is_beyond_noise,
    never_predicted,
)

# The most classes in a line; of more classes, it shows those with the lowest F1.
CLASSES_SHOWN = 8
# A loss that falls in every epoch, and by a smaller fraction than this in all, falls too slowly. Measured on 77
# classes: 12 % at a learning rate of 5e-5 (dev accuracy 51 %), 64 % at 5e-4 (70 %); 70 % on 7 classes, at 5e-5 (97 %).
SMALL_FALL = 0.2
# A student whose dev score is this fraction of the teacher's (or of 1) has learned, even if its loss hardly fell: a
# loss from soft labels cannot fall to 0, and neither can that of a model that knew the task before fall far.
LEARNED = 0.9
# Without a dev score: a dev loss that fell by more than this fraction in the last epoch still falls.
STILL_FALLS = 0.05

# The names under which verbs log the dev set's loss.
DEV_LOSSES = ("val_loss", "dev_loss", "dev_masked_tokens_loss")

Results = Mapping[str, Mapping[str, Any]]
Log = Sequence[Mapping[str, Any]]


def verdict(results: Results, log: Log, metric: str) -> list[str]:
    """Explain a run's results in a few lines.

    Args:
        results: the content of `metrics.json`.
        log: the rows of `log.csv`, one for each epoch.
        metric: the metric that chose the best epoch; higher is better.
    """
    trained = "student" if "student" in results else "model"
    error = error_of(results[trained], metric)
    return [
        *_against_the_baseline(results, metric),
        *_against_the_teacher(results, metric),
        *_classes(trained, results[trained]),
        *_too_small(log, metric, error, results.get("data", {}).get("dev", {}).get("rows", 0)),
        *advice(log, metric, error, _has_learned_at(results, metric, error or 0.0)),
    ]


def _has_learned_at(results: Results, metric: str, error: float) -> float:
    """Return the dev score of a model that has learned: close to its teacher's, or clearly above where it began."""
    close = LEARNED * results.get("teacher", {}).get(metric, 1.0)
    began = results.get("student", {}).get("before_training", {}).get("dev", {}).get(metric)
    return float(close if began is None else min(close, began + 2 * error))


def advice(log: Log, metric: str | None = None, error: float | None = None, learned: float = LEARNED) -> list[str]:
    """Advise on a higher learning rate or more training, from the curves of each stage.

    Args:
        log: the rows of `log.csv`.
        metric: as in `verdict`; None if there is only a loss.
        error: the standard error of the dev score; None if it is unknown, so that any rise counts.
        learned: the dev score from which a model has learned, whatever its loss.
    """
    return [
        line for stage, epochs in _stages(log) for line in _what_to_try(stage, epochs, metric, error or 0.0, learned)
    ]


def _against_the_baseline(results: Results, metric: str) -> Iterator[str]:
    """Compare the student with its baseline, on the test set if there is one."""
    if "baseline" not in results:
        return
    shown, comparison = _compared(results, metric, "baseline", "without its teacher")
    if comparison is None:
        yield f"student and baseline: {shown}"
    elif not is_beyond_noise(comparison):
        yield f"the baseline may be as good: {shown} includes 0; on these rows no gain can be told from noise"
    elif comparison["difference"] < 0:
        yield (
            f"the baseline is better: {shown} excludes 0; use it, or give the student more epochs or a higher learning "
            f"rate"
        )
    else:
        yield f"the teacher helps: {shown} excludes 0"


def _against_the_teacher(results: Results, metric: str) -> Iterator[str]:
    """Compare the student with its teacher, on the test set if there is one."""
    if "student" not in results or "teacher" not in results:
        return
    shown, comparison = _compared(results, metric, "teacher", "of its teacher")
    if comparison is None:
        return
    if not is_beyond_noise(comparison):
        yield f"the student is within noise of its teacher: {shown} includes 0"
    else:
        place = "behind" if comparison["difference"] < 0 else "ahead of"
        yield f"the student is {place} its teacher: {shown} excludes 0"


def _compared(results: Results, metric: str, name: str, of: str) -> tuple[str, Comparison | None]:
    """Describe the scores of the student and another model, and give their comparison if the run has it."""
    split = "test" if "test" in results["student"] else "dev"
    scores = (
        format_metric(metric, (results[each]["test"] if split == "test" else results[each])[metric])
        for each in ("student", name)
    )
    shown = f"{split} {metric} " + " against ".join(scores) + f" {of}"
    comparison = results.get("comparisons", {}).get(split, {}).get(f"student_{name}", {}).get(metric)
    return shown if comparison is None else f"{shown}, {describe_comparison(metric, comparison)}", comparison


def _classes(name: str, result: Mapping[str, Any]) -> Iterator[str]:
    """Give macro-F1, F1 of each class or type, and the classes that are never predicted."""
    by_class = result.get("per_class", {})
    there = {each: values for each, values in by_class.items() if values["support"]}
    if not there:
        return
    macro = sum(values["f1"] for values in there.values()) / len(there)
    weakest = sorted(there, key=lambda each: there[each]["f1"])[:CLASSES_SHOWN]
    kept = [each for each in there if each in weakest] if len(there) <= CLASSES_SHOWN else weakest
    which = "" if len(there) <= CLASSES_SHOWN else f" the {CLASSES_SHOWN} lowest of {len(there)}:"
    shown = ", ".join(f"{each} {there[each]['f1']:.1%} ({there[each]['support']})" for each in kept)
    yield f"{name}: dev F1 by class (and how many):{which} {shown}; mean {macro:.1%}"
    never = never_predicted(result)
    if never is not None:
        yield f"{name}: dev: {never}"


def _stages(log: Log) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield the epochs of each stage with its name, without the baseline's stages, which are like the student's."""
    for stage, epochs in itertools.groupby(log, key=lambda row: str(row.get("stage", ""))):
        if not stage.startswith("baseline-"):
            yield stage, list(epochs)


def _too_small(log: Log, metric: str, error: float | None, rows: int) -> Iterator[str]:
    """Report a dev set on which the epochs of the stage that chose the best one differ by less than noise."""
    scores = [found for _, epochs in _stages(log) if (found := _column(epochs, f"dev_{metric}"))]
    if error is None or not scores or len(scores[-1]) < 2:
        return
    apart = max(scores[-1]) - min(scores[-1])
    if apart < error:
        yield (
            f"dev has {rows:,} rows, too few to tell the epochs apart: its {metric} has a standard error of "
            f"{format_size(metric, error)}, and the epochs differ by {format_size(metric, apart)}"
        )


def _what_to_try(stage: str, epochs: Log, metric: str | None, error: float, learned: float) -> Iterator[str]:
    scores, losses = _column(epochs, f"dev_{metric}"), _column(epochs, "loss")
    dev_losses = next(filter(None, (_column(epochs, name) for name in DEV_LOSSES)), [])
    if scores and scores[-1] < learned and _hardly_fell(losses):
        fall = f"{1 - losses[-1] / losses[0]:.0%} in {len(losses)} epochs, {losses[0]:.4g} to {losses[-1]:.4g}"
        yield (
            f"[{stage}] the learning rate may be too small: the training loss fell by only {fall}; try "
            f"--learning-rate ten times as high"
        )
    elif metric is not None and len(scores) >= 2 and scores[-1] - max(scores[:-1]) > error:
        before, last = (format_metric(metric, score) for score in (max(scores[:-1]), scores[-1]))
        yield f"[{stage}] dev {metric} still rose in the last epoch, {before} to {last}; try --epochs {2 * len(scores)}"
    elif not scores and len(dev_losses) >= 2 and dev_losses[-1] < (1 - STILL_FALLS) * min(dev_losses[:-1]):
        yield (
            f"[{stage}] the dev loss still fell at the end, {dev_losses[-2]:.4g} to {dev_losses[-1]:.4g}; "
            f"try to train longer"
        )


def _hardly_fell(losses: Sequence[float]) -> bool:
    """Return whether a loss fell in every epoch, but little in all, so that the steps are too small."""
    falls = len(losses) >= 2 and all(after < before for before, after in itertools.pairwise(losses))
    return falls and losses[-1] > (1 - SMALL_FALL) * losses[0]


def _column(epochs: Log, name: str) -> list[float]:
    """Return a column of the log, without the epochs that do not have it."""
    return [float(row[name]) for row in epochs if row.get(name) not in (None, "")]
