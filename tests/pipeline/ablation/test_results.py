"""An ablation's tables: means, spreads and differences by hand, the paper's numbers, every run as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf.config.ablation import PAPER_TASKS
from tinybert_tf.config.schema import Data, DistillConfig, TeacherSection
from tinybert_tf.pipeline.ablation.csv_tables import csv_table, means_table
from tinybert_tf.pipeline.ablation.markdown import markdown
from tinybert_tf.pipeline.ablation.published import MEASURED, PUBLISHED
from tinybert_tf.pipeline.ablation.results import AblationResults, Outcome
from tinybert_tf.pipeline.ablation.variants import CHANGES, PlannedVariant

# Values with a standard deviation of 1 (n - 1).
WAVE = np.array([-1.0, 0.0, 1.0])
METRICS = ("accuracy", "f1_macro", "matthews_correlation")
DATA = Data("train.tsv", "dev.tsv", ("text",), "label")
CONFIG = DistillConfig(teacher=TeacherSection("bert"), data=DATA, out="runs/one")


def model(dev: float, test: float | None = None, parameters: int = 1_000_000) -> dict[str, Any]:
    """What `metrics.json` has of a model."""
    values = {"accuracy": dev, "f1_macro": dev / 2, "matthews_correlation": dev - 0.5}
    errors = {"standard_error": dict.fromkeys(values, 0.012)}
    measured = {} if test is None else {"test": {name: value + test - dev for name, value in values.items()} | errors}
    cost = {"parameters": parameters, "size_bytes": 4_000, "latency_ms": 1.5, "seconds": 9.0}
    return {**values, **errors, **measured, **cost}


def outcome(variant: str, seed: int, dev: float, test: float | None = None, **more: Any) -> Outcome:
    """A run whose scores vary over rows: standard deviations of 1 point, of 3 for variants, of 2 without a teacher."""
    metrics = {"teacher": model(0.95, None if test is None else 0.97), "student": model(dev, test), **more}
    resamples = {
        f"{name}/{split}/{metric}": value + WAVE * (0.02 if name == "baseline" else 0.01 if variant == "base" else 0.03)
        for name, measured in metrics.items()
        for split, scores in (("dev", measured), ("test", measured.get("test", {})))
        for metric, value in scores.items()
        if metric in METRICS
    }
    return Outcome(variant, seed, f"out/runs/{variant}/seed-{seed}", metrics, resamples=resamples)


def results(outcomes: list[Outcome], num_runs: int | None = None, **more: Any) -> AblationResults:
    names = dict.fromkeys(each.variant for each in outcomes)
    variants = [PlannedVariant(name, CONFIG, name) for name in names]
    more = {"task": "sequence_classification", "metric": "accuracy", **more}
    return AblationResults(variants, outcomes, num_runs or len(outcomes), **more)


def table(text: str) -> list[list[str]]:
    """The cells of a Markdown table, without the rule."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]


def test_f1_of_one_class_is_named() -> None:
    of_student = {"f1": 0.5, "positive_label": "equivalent", "parameters": 1}
    found = results([Outcome("base", 1, "out", {"student": of_student})], metric="f1")
    assert table(markdown(found))[0] == ["variant", "seeds", "dev f1 (equivalent)", "difference"]


def test_the_table() -> None:
    """On dev top has 0.81 and 0.83: variance 0.0002 over seeds, 0.03^2 over rows; to the base +0.01 and -0.01.

    Its score is 0.82, with an error of sqrt(0.03^2 + 0.0002 / 2) = 0.032; its difference is 0, with an error of
    sqrt(0.02^2 + 0.0002 / 2) = 0.022.
    """
    found = results(
        [
            outcome("base", 1, 0.80, 0.70),
            outcome("top", 1, 0.81, 0.72),
            outcome("base", 2, 0.84, 0.74),
            outcome("top", 2, 0.83, 0.78),
        ]
    )
    assert table(markdown(found)) == [
        ["variant", "seeds", "dev accuracy", "over seeds", "difference", "test accuracy", "over seeds", "difference"],
        ["base", "2", "82.0% ± 2.2", "2.8%", "", "72.0% ± 2.2", "2.8%", ""],
        ["top", "2", "82.0% ± 3.2", "1.4%", "0.0 ± 2.2", "75.0% ± 4.2", "4.2%", "+3.0 ± 2.2"],
        ["teacher", "", "95.0% ± 1.2", "", "", "97.0% ± 1.2", "", ""],
    ]
    assert "difference: to the base, in points, over the seeds of both; *: beyond noise" in markdown(found)
    assert "Without ±" not in markdown(found)


def test_a_difference_beyond_noise_is_marked() -> None:
    """Over two seeds -0.10 and -0.11: an error of 0.02 over rows, 0.005 over seeds, so that 0 is 5 errors away."""
    found = results(
        [outcome("base", 1, 0.80), outcome("top", 1, 0.70), outcome("base", 2, 0.81), outcome("top", 2, 0.70)]
    )
    assert table(markdown(found))[2] == ["top", "2", "70.0% ± 3.0", "0.0%", "-10.5 ± 2.1 *"]


def test_runs_of_an_earlier_version_have_no_errors() -> None:
    measured = [outcome("base", 1, 0.8), outcome("top", 1, 0.7)]
    outcomes = [dataclasses.replace(each, resamples={}) for each in measured]
    text = markdown(results(outcomes))
    assert table(text)[1:3] == [["base", "1", "80.0%", ""], ["top", "1", "70.0%", "-10.0"]]
    assert "Without ±: runs that an earlier version measured; --overwrite trains them again." in text
    _, other = csv.DictReader(io.StringIO(means_table(results(outcomes))))
    assert (other["dev_accuracy_mean"], other["dev_accuracy_se"], other["dev_accuracy_beyond_noise"]) == ("0.7", "", "")


def test_differences_are_to_the_base_with_the_same_seed() -> None:
    """As long as the base has run with one seed more, its mean is over other seeds than the variant's."""
    found = results([outcome("base", 1, 0.80), outcome("top", 1, 0.78), outcome("base", 2, 0.90)], num_runs=4)
    text = markdown(found)
    # 95 % of -0.04, -0.02 and 0, the differences of the resamples, are between -0.039 and -0.001.
    assert table(text)[2] == ["top", "1", "78.0% ± 3.0", "", "-2.0 ± 2.0 *"]
    assert "1 of 4 runs are still to come." in text


def test_another_metric() -> None:
    found = results([outcome("base", 1, 0.80), outcome("top", 1, 0.78)], metric="matthews_correlation")
    assert table(markdown(found))[2] == ["top", "1", "0.280 ± 0.030", "-0.020 ± 0.020 *"]
    assert "difference: to the base, over the seeds" in markdown(found)
    assert "Score ± standard error of the rows alone: with one seed" in markdown(found)


def test_students_alone_and_sizes_where_they_differ() -> None:
    small = model(0.5, parameters=2_340_000)
    found = results(
        [
            outcome("base", 1, 0.8, baseline=model(0.7)),
            Outcome("small", 1, "out", {"teacher": model(0.9), "student": small}),
        ]
    )
    assert table(markdown(found)) == [
        ["variant", "seeds", "dev accuracy", "difference", "parameters"],
        ["base", "1", "80.0% ± 1.0", "", "1.00 M"],
        ["base, alone", "1", "70.0% ± 2.0", "-10.0 ± 1.0 *", ""],
        ["small", "1", "50.0%", "-30.0", "2.34 M"],
        ["teacher", "", "95.0% ± 1.2", "", ""],
    ]


def test_a_failed_run_is_named_and_not_counted() -> None:
    failed = Outcome("top", 2, "out/runs/top/seed-2", error="stage 'one': the loss is nan")
    found = results([outcome("base", 1, 0.8), outcome("top", 1, 0.7), outcome("base", 2, 0.9), failed])
    text = markdown(found)
    assert table(text)[2] == ["top", "1", "70.0% ± 3.0", "", "-10.0 ± 2.0 *"]
    assert text.splitlines()[-1] == "Failed: top, seed 2: stage 'one': the loss is nan"
    assert found.failures == [failed]


def test_nothing_but_failures() -> None:
    text = markdown(results([Outcome("base", 1, "out", error="the loss is nan")]))
    assert "Failed: base, seed 1: the loss is nan" in text


# === The paper's numbers ===


def test_the_papers_numbers_stand_beside() -> None:
    outcomes = [outcome(name, 1, 0.8, baseline=model(0.7)) for name in ("base", "no_general", "cut")]
    assert [row[-1] for row in table(markdown(results(outcomes, paper="cola")))] == [
        "paper", "50.8", "", "40.8", "", "", "", "",
    ]  # fmt: skip
    assert "100 x Matthews correlation on CoLA's dev set." in markdown(results(outcomes, paper="cola"))
    assert "paper" not in markdown(results(outcomes))


def test_every_published_number_is_a_change_that_there_is() -> None:
    assert tuple(PUBLISHED) == tuple(MEASURED) == PAPER_TASKS
    for numbers in PUBLISHED.values():
        assert numbers.keys() <= {"base", *CHANGES}
        assert numbers["base"] == numbers["uniform"]


def test_the_papers_averages() -> None:
    """Its last column, the mean of the four, as its tables have it."""
    averages = {
        "base": 75.6, "no_general": 72.5, "no_augmentation": 68.4, "no_embedding": 74.1, "no_prediction": 73.5,
        "no_attention": 71.0, "no_hidden_state": 72.9, "top": 70.9, "bottom": 71.3,
    }  # fmt: skip
    for change, average in averages.items():
        numbers = " / ".join(PUBLISHED[task][change] for task in PUBLISHED).split(" / ")
        assert sum(map(float, numbers)) / 4 == pytest.approx(average, abs=0.08), change


# === CSV ===


def test_csv() -> None:
    failed = Outcome("top", 1, "out/runs/top/seed-1", error="the loss is nan")
    found = results([outcome("base", 1, 0.8, 0.75, baseline=model(0.7, 0.7)), failed])
    rows = list(csv.DictReader(io.StringIO(csv_table(found))))
    assert [(row["variant"], row["model"], row["seed"]) for row in rows] == [
        ("base", "student", "1"), ("base", "baseline", "1"), ("top", "student", "1"),
    ]  # fmt: skip
    assert rows[0] == {
        **{f"{split}_{metric}_se": "0.012" for split in ("dev", "test") for metric in METRICS},
        "variant": "base", "model": "student", "seed": "1", "dev_accuracy": "0.8", "dev_f1_macro": "0.4",
        "dev_matthews_correlation": "0.30000000000000004", "test_accuracy": "0.75",
        "test_f1_macro": str(0.4 + 0.75 - 0.8), "test_matthews_correlation": str(0.8 - 0.5 + 0.75 - 0.8),
        "parameters": "1000000", "size_bytes": "4000", "latency_ms": "1.5", "seconds": "9.0",
        "run": str(Path("out/runs/base/seed-1")), "error": "",
    }  # fmt: skip
    assert (rows[1]["dev_accuracy"], rows[1]["test_accuracy"]) == ("0.7", "0.7")
    assert (rows[2]["dev_accuracy"], rows[2]["error"]) == ("", "the loss is nan")


def test_means_as_csv() -> None:
    found = results([outcome("base", 1, 0.8, 0.75), outcome("base", 2, 0.9, 0.85), outcome("top", 1, 0.7, 0.65)])
    rows = list(csv.DictReader(io.StringIO(means_table(found))))
    assert [(row["variant"], row["model"], row["seeds"]) for row in rows] == [
        ("base", "student", "2"), ("top", "student", "1"),
    ]  # fmt: skip
    assert float(rows[0]["dev_accuracy_mean"]) == pytest.approx(0.85)
    assert float(rows[0]["test_accuracy_std"]) == pytest.approx(0.1 / 2**0.5)
    assert (float(rows[1]["dev_accuracy_mean"]), rows[1]["dev_accuracy_std"]) == (0.7, "")
    assert float(rows[0]["dev_accuracy_se"]) == pytest.approx((0.01**2 + 0.1**2 / 2 / 2) ** 0.5)
    assert float(rows[1]["dev_accuracy_se"]) == pytest.approx(0.03)
    assert (rows[0]["dev_accuracy_difference"], rows[0]["dev_accuracy_beyond_noise"]) == ("", "")
    assert float(rows[1]["dev_accuracy_difference"]) == pytest.approx(-0.1)
    assert float(rows[1]["dev_accuracy_difference_se"]) == pytest.approx(0.02)
    assert rows[1]["dev_accuracy_beyond_noise"] == "yes"
