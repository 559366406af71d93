"""An ablation's tables: means, spreads and differences by hand, the paper's numbers, every run as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf.config.ablation import PAPER_TASKS
from tinybert_tf.config.schema import Data, DistillConfig, TeacherSection
from tinybert_tf.pipeline.ablation.published import MEASURED, PUBLISHED
from tinybert_tf.pipeline.ablation.results import AblationResults, Outcome, csv_table, markdown, means_table, spread
from tinybert_tf.pipeline.ablation.variants import CHANGES, PlannedVariant

DATA = Data("train.tsv", "dev.tsv", ("text",), "label")
CONFIG = DistillConfig(teacher=TeacherSection("bert"), data=DATA, out="runs/one")


def model(dev: float, test: float | None = None, parameters: int = 1_000_000) -> dict[str, Any]:
    """What `metrics.json` has of a model."""
    values = {"accuracy": dev, "f1_macro": dev / 2, "matthews_correlation": dev - 0.5}
    measured = {} if test is None else {"test": {name: value + test - dev for name, value in values.items()}}
    return {**values, **measured, "parameters": parameters, "size_bytes": 4_000, "latency_ms": 1.5, "seconds": 9.0}


def outcome(variant: str, seed: int, dev: float, test: float | None = None, **more: Any) -> Outcome:
    metrics = {"teacher": model(0.95, None if test is None else 0.97), "student": model(dev, test), **more}
    return Outcome(variant, seed, f"out/runs/{variant}/seed-{seed}", metrics)


def results(outcomes: list[Outcome], num_runs: int | None = None, **more: Any) -> AblationResults:
    names = dict.fromkeys(each.variant for each in outcomes)
    variants = [PlannedVariant(name, CONFIG, name) for name in names]
    more = {"task": "sequence_classification", "metric": "accuracy", **more}
    return AblationResults(variants, outcomes, num_runs or len(outcomes), **more)


def table(text: str) -> list[list[str]]:
    """The cells of a Markdown table, without the rule."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]


def test_mean_and_sample_standard_deviation() -> None:
    """0.80, 0.84, 0.85: mean 0.83, deviations -0.03, 0.01, 0.02, sum of squares 0.0014, / 2 = 0.0007, root 0.02646."""
    assert spread("accuracy", [0.80, 0.84, 0.85]) == "83.0% ± 2.6%"
    assert spread("pearson", [0.80, 0.84, 0.85]) == "0.830 ± 0.026"
    assert spread("accuracy", [0.8]) == "80.0%"
    assert spread("accuracy", []) == ""


def test_f1_of_one_class_is_named() -> None:
    of_student = {"f1": 0.5, "positive_label": "equivalent", "parameters": 1}
    found = results([Outcome("base", 1, "out", {"student": of_student})], metric="f1")
    assert table(markdown(found))[0] == ["variant", "seeds", "dev f1 (equivalent)", "difference"]


def test_the_table() -> None:
    """top: 0.81 and 0.83, so 0.82 ± 0.01414; to the base's 0.80 and 0.84 by seed +0.01 and -0.01."""
    found = results(
        [
            outcome("base", 1, 0.80, 0.70),
            outcome("top", 1, 0.81, 0.72),
            outcome("base", 2, 0.84, 0.74),
            outcome("top", 2, 0.83, 0.78),
        ]
    )
    assert table(markdown(found)) == [
        ["variant", "seeds", "dev accuracy", "difference", "test accuracy", "difference"],
        ["base", "2", "82.0% ± 2.8%", "", "72.0% ± 2.8%", ""],
        ["top", "2", "82.0% ± 1.4%", "0.0%", "75.0% ± 4.2%", "+3.0%"],
        ["teacher", "", "95.0%", "", "97.0%", ""],
    ]


def test_differences_are_to_the_base_with_the_same_seed() -> None:
    """As long as the base has run with one seed more, its mean is over other seeds than the variant's."""
    found = results([outcome("base", 1, 0.80), outcome("top", 1, 0.78), outcome("base", 2, 0.90)], num_runs=4)
    text = markdown(found)
    assert table(text)[2] == ["top", "1", "78.0%", "-2.0%"]
    assert "1 of 4 runs are still to come." in text


def test_another_metric() -> None:
    found = results([outcome("base", 1, 0.80), outcome("top", 1, 0.78)], metric="matthews_correlation")
    assert table(markdown(found))[2] == ["top", "1", "0.280", "-0.020"]


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
        ["base", "1", "80.0%", "", "1.00 M"],
        ["base, alone", "1", "70.0%", "-10.0%", ""],
        ["small", "1", "50.0%", "-30.0%", "2.34 M"],
        ["teacher", "", "95.0%", "", ""],
    ]


def test_a_failed_run_is_named_and_not_counted() -> None:
    failed = Outcome("top", 2, "out/runs/top/seed-2", error="stage 'one': the loss is nan")
    found = results([outcome("base", 1, 0.8), outcome("top", 1, 0.7), outcome("base", 2, 0.9), failed])
    text = markdown(found)
    assert table(text)[2] == ["top", "1", "70.0%", "-10.0%"]
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
