"""What a run's numbers mean, on numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tinybert_tf.pipeline.runs.verdict import advice, verdict


def results(rows: int = 400, error: float | None = 0.02, **models: float) -> dict[str, Any]:
    """The content of `metrics.json`; every score has this standard error."""
    errors = {} if error is None else {"standard_error": {"accuracy": error}}
    measured = {name: {"accuracy": accuracy, **errors} for name, accuracy in models.items()}
    return {**measured, "data": {"dev": {"rows": rows}}}


def compared(found: dict[str, Any], name: str, difference: float, split: str = "dev") -> dict[str, Any]:
    """`results` with a comparison of the student, whose interval is 0.02 to each side."""
    interval = [difference - 0.02, difference + 0.02]
    by_metric = {"accuracy": {"difference": difference, "standard_error": 0.01, "interval": interval}}
    return {**found, "comparisons": {split: {f"student_{name}": by_metric}}}


def log(stage: str, losses: list[float], **columns: list[float]) -> list[dict[str, str]]:
    """Rows as `log.csv` has them."""
    return [
        {
            "stage": stage,
            "loss": str(loss),
            "other": "",
            **{name: str(values[epoch]) for name, values in columns.items()},
        }
        for epoch, loss in enumerate(losses)
    ]


@pytest.mark.parametrize(
    ("baseline", "line"),
    [
        (
            0.79,
            "the baseline may be as good: dev accuracy 80.0% against 79.0% without its teacher, +1.0 ± 1.0 points; the "
            "95% interval, -1.0 to +3.0, includes 0; on these rows no gain can be told from noise",
        ),
        (
            0.75,
            "the teacher helps: dev accuracy 80.0% against 75.0% without its teacher, +5.0 ± 1.0 points; the 95% "
            "interval, +3.0 to +7.0, excludes 0",
        ),
        (
            0.85,
            "the baseline is better: dev accuracy 80.0% against 85.0% without its teacher, -5.0 ± 1.0 points; the 95% "
            "interval, -7.0 to -3.0, excludes 0; use it, or give the student more epochs or a higher learning rate",
        ),
    ],
)
def test_against_the_baseline(baseline: float, line: str) -> None:
    found = compared(results(teacher=0.9, student=0.8, baseline=baseline), "baseline", 0.8 - baseline)
    assert verdict(found, [], "accuracy") == [line]


@pytest.mark.parametrize(
    ("teacher", "beginning", "end"),
    [
        (0.81, "the student is within noise of its teacher: dev accuracy 80.0% against 81.0% of", "includes 0"),
        (
            0.84,
            "the student is behind its teacher: dev accuracy 80.0% against 84.0% of its teach",
            "excludes 0",
        ),
        (0.76, "the student is ahead of its teacher: dev accuracy 80.0% against 76.0% of its teach", "excludes 0"),
    ],
)
def test_against_the_teacher(teacher: float, beginning: str, end: str) -> None:
    found = compared(results(teacher=teacher, student=0.8), "teacher", 0.8 - teacher)
    (line,) = verdict(found, [], "accuracy")
    assert line.startswith(beginning)
    assert line.endswith(end)


def test_the_test_set_decides() -> None:
    """On dev, which chose the epoch, the student is ahead; on test it is behind."""
    found = results(student=0.9, baseline=0.8)
    found["student"]["test"], found["baseline"]["test"] = {"accuracy": 0.7}, {"accuracy": 0.75}
    found = compared(found, "baseline", -0.05, "test")
    (line,) = verdict(found, [], "accuracy")
    assert line.startswith("the baseline is better: test accuracy 70.0% against 75.0% without its teacher, -5.0 ± 1.0")


def test_a_run_of_an_earlier_version_has_no_errors() -> None:
    assert verdict(results(error=None, teacher=0.9, student=0.8, baseline=0.7), [], "accuracy") == [
        "student and baseline: dev accuracy 80.0% against 70.0% without its teacher"
    ]


@pytest.mark.parametrize(
    ("scores", "lines"),
    [
        (
            [0.875, 0.85, 0.9],
            [
                "dev has 40 rows, too few to tell the epochs apart: its accuracy has a standard error of 6.0 points, "
                "and the epochs differ by 5.0 points"
            ],
        ),
        ([0.80, 0.875, 0.87], []),  # the first epoch was worse by more than an error
        ([0.9], []),
    ],
)
def test_a_dev_set_too_small_to_choose_by(scores: list[float], lines: list[str]) -> None:
    epochs = log("finetune", [0.5, 0.3, 0.2][: len(scores)], dev_accuracy=scores)
    assert verdict(results(40, 0.06, model=max(scores)), epochs, "accuracy") == lines


def test_nothing_to_say() -> None:
    assert verdict(results(model=0.9), [], "accuracy") == []
    # Falls well, and the last epoch is not better than the one before by more than the standard error.
    steady = log("finetune", [0.5, 0.3, 0.2], dev_accuracy=[0.8, 0.85, 0.86])
    assert verdict(results(model=0.86), steady, "accuracy") == []


def test_classes() -> None:
    def values(f1: float, support: int, predicted: int = 1) -> dict[str, float]:
        return {"f1": f1, "support": support, "predicted": predicted}

    per_class = {"ABBR": values(0.0, 9, 0), "DESC": values(0.9, 138), "LOC": values(0.6, 81), "unseen": values(0.0, 0)}
    measured = results(student=0.8)
    measured["student"]["per_class"] = per_class
    assert verdict(measured, [], "accuracy") == [
        "student: dev F1 by class (and how many): ABBR 0.0% (9), DESC 90.0% (138), LOC 60.0% (81); mean 50.0%",
        "student: dev: never predicted: 'ABBR' (0 of 9)",
    ]
    many = {f"c{number}": values(number / 10, 5) for number in range(10)}
    measured["student"]["per_class"] = many
    (line,) = verdict(measured, [], "accuracy")
    assert ": the 8 lowest of 10: c0 0.0% (5), c1 10.0% (5), " in line
    assert line.endswith("c7 70.0% (5); mean 45.0%")


# === What to try: runs of MiniLM, on sentences of 77 articles (learning rates 5e-5, 5e-4) and on 7 intents (5e-5) ===

SLOW = log("finetune", [4.0902, 3.8013, 3.6141], dev_accuracy=[0.4698, 0.4794, 0.5063])


def test_a_learning_rate_that_is_too_small() -> None:
    (line,) = verdict(results(630, model=0.5063), SLOW, "accuracy")
    assert line == (
        "[finetune] the learning rate may be too small: the training loss fell by only 12% in 3 epochs, 4.09 to 3.614; "
        "try --learning-rate ten times as high"
    )
    intents = log("finetune", [1.648, 0.7971, 0.489], dev_accuracy=[0.8986, 0.9714, 0.97])
    assert verdict(results(700, model=0.97), intents, "accuracy") == []


def test_a_student_as_good_as_its_teacher_has_learned() -> None:
    """The loss of soft labels has a floor."""
    flat = log("compress", [0.4846, 0.4839], dev_accuracy=[0.79, 0.78])
    assert verdict(results(error=0.005, teacher=0.8, student=0.78), flat, "accuracy") == []
    (line,) = verdict(results(error=0.005, teacher=0.95, student=0.78), flat, "accuracy")
    assert "the learning rate may be too small" in line
    begun = results(error=0.005, teacher=0.95, student=0.78)
    begun["student"]["before_training"] = {"dev": {"accuracy": 0.6}}  # it rose far above where it began
    assert verdict(begun, flat, "accuracy") == []
    begun["student"]["before_training"] = {"dev": {"accuracy": 0.775}}
    assert len(verdict(begun, flat, "accuracy")) == 1


def test_a_dev_score_that_still_rises() -> None:
    fast = log("finetune", [3.4477, 1.9879, 1.2311], dev_accuracy=[0.5, 0.6524, 0.7032])
    assert verdict(results(630, model=0.7032), fast, "accuracy") == [
        "[finetune] dev accuracy still rose in the last epoch, 65.2% to 70.3%; try --epochs 6"
    ]


def test_a_stage_without_predictions() -> None:
    falls = log("intermediate", [2.0, 1.5], val_loss=[1.8, 1.2])
    baseline = log("baseline-intermediate", [2.0, 1.9], dev_accuracy=[0.5, 0.6])
    assert verdict(results(student=0.8), falls + baseline, "accuracy") == [
        "[intermediate] the dev loss still fell at the end, 1.8 to 1.2; try to train longer"
    ]
    flat = log("intermediate", [2.0, 1.5], val_loss=[1.22, 1.2])
    assert verdict(results(student=0.8), flat, "accuracy") == []


def test_a_pretraining() -> None:
    rows = log("pretrain", [6.0, 5.0], dev_masked_tokens_loss=[5.5, 4.4])
    assert advice(rows) == ["[pretrain] the dev loss still fell at the end, 5.5 to 4.4; try to train longer"]
    assert advice(log("pretrain", [6.0, 5.0], dev_masked_tokens_loss=[4.5, 4.4])) == []
    assert advice(log("pretrain", [6.0, 5.0])) == []
