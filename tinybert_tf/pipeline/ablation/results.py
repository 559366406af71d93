"""The results of an ablation: mean and spread of each variant as Markdown, every run as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from tinybert_tf.config.ablation import BASE
from tinybert_tf.metrics import TASK_METRICS, format_metric, metric_title
from tinybert_tf.pipeline.ablation.published import MEASURED, PUBLISHED
from tinybert_tf.pipeline.ablation.variants import PlannedVariant
from tinybert_tf.pipeline.runs.table import format_table

STUDENT, BASELINE, TEACHER = "student", "baseline", "teacher"
COST = ("parameters", "size_bytes", "latency_ms", "seconds")


@dataclass(frozen=True)
class Outcome:
    """The end of a run: its `metrics.json`, or the error that ended it."""

    variant: str
    seed: int
    directory: str
    metrics: Mapping[str, Any] | None = None
    error: str | None = None

    def value(self, model: str, split: str, metric: str) -> float | None:
        """Return a metric of one of the run's models on `dev` or `test`; None if it was not measured."""
        measured = (self.metrics or {}).get(model, {})
        return (measured if split == "dev" else measured.get("test", {})).get(metric)


@dataclass
class AblationResults:
    """The outcomes so far of an ablation's runs, and the settings of its tables.

    `metric` is shown in the Markdown table; `paper` is the task whose published numbers it shows too.
    """

    variants: Sequence[PlannedVariant]
    outcomes: list[Outcome]
    num_runs: int
    task: str
    metric: str
    paper: str | None = None

    @property
    def failures(self) -> list[Outcome]:
        """The runs that ended with an error."""
        return [outcome for outcome in self.outcomes if outcome.error is not None]

    @property
    def splits(self) -> list[str]:
        """The measured splits: `dev`, and `test` if there is one."""
        has_test = any(outcome.value(STUDENT, "test", self.metric) is not None for outcome in self.outcomes)
        return ["dev", "test"] if has_test else ["dev"]

    @property
    def title(self) -> str:
        """The metric's name in a table; F1 of one class is named with its class."""
        measured: Mapping[str, Any] = next((each.metrics[STUDENT] for each in self.outcomes if each.metrics), {})
        return metric_title(self.metric, measured)

    @property
    def measured(self) -> list[str]:
        """The metrics of the task that were measured on these models."""
        names = TASK_METRICS[self.task].names(2)
        return [name for name in names if any(each.value(STUDENT, "dev", name) is not None for each in self.outcomes)]

    def values(self, variant: str, model: str, split: str, metric: str | None = None) -> dict[int, float]:
        """Return the metric, or another one, by seed, of a variant's finished runs."""
        found = {
            outcome.seed: outcome.value(model, split, metric or self.metric)
            for outcome in self.outcomes
            if outcome.variant == variant
        }
        return {seed: value for seed, value in found.items() if value is not None}

    def rows(self) -> list[tuple[str, str, str]]:
        """Label, variant and model of each row with a result; models without their teacher are called `alone`."""
        pairs = [(variant.name, model) for variant in self.variants for model in (STUDENT, BASELINE)]
        found = [(name, model) for name, model in pairs if self.values(name, model, "dev")]
        return [(name if model == STUDENT else f"{name}, alone", name, model) for name, model in found]

    def teacher(self, split: str) -> float | None:
        """Return the teacher's metric."""
        found = (outcome.value(TEACHER, split, self.metric) for outcome in self.outcomes)
        return next((value for value in found if value is not None), None)


def markdown(results: AblationResults) -> str:
    """Make the table: mean and sample standard deviation over the seeds, difference to the base, the paper's number."""
    shown = results.metric
    header = [
        "variant",
        "seeds",
        *(name for split in results.splits for name in (f"{split} {results.title}", "difference")),
    ]
    sizes = {name: _parameters(results, name, model) for _, name, model in results.rows()}
    columns = {
        "parameters": sizes if len(set(sizes.values())) > 1 else {},
        "paper": _published(results),
    }
    columns = {name: cells for name, cells in columns.items() if cells}
    lines = []
    for label, name, model in results.rows():
        cells: list[str] = [label, str(len(results.values(name, model, "dev")))]
        for split in results.splits:
            values = results.values(name, model, split)
            cells += [spread(shown, list(values.values())), _difference(results, name, model, split)]
        lines.append([*cells, *(of.get(name, "") if model == STUDENT else "" for of in columns.values())])
    taught = [value for split in results.splits for value in (_shown(shown, results.teacher(split)), "")]
    lines += [[TEACHER, "", *taught, *("" for _ in columns)]] if results.rows() else []
    return "\n".join([format_table([*header, *columns], lines), "", *_notes(results, columns)])


def spread(metric: str, values: Sequence[float]) -> str:
    """Format mean and sample standard deviation (n - 1); a single value has no deviation.

    Example:
        >>> spread("accuracy", [0.9, 0.92, 0.94])
        '92.0% ± 2.0%'
    """
    if not values:
        return ""
    middle = format_metric(metric, mean(values))
    return middle if len(values) == 1 else f"{middle} ± {format_metric(metric, stdev(values))}"


def csv_table(results: AblationResults) -> str:
    """Make a CSV table with a line for each trained model (metrics on dev and test, costs) and for each failure."""
    measured = results.measured
    names = [f"{split}_{metric}" for split in results.splits for metric in measured]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["variant", "model", "seed", *names, *COST, "run", "error"], restval="")
    writer.writeheader()
    for outcome in results.outcomes:
        run = {"variant": outcome.variant, "seed": outcome.seed, "run": outcome.directory}
        if outcome.metrics is None:
            writer.writerow({**run, "model": STUDENT, "error": outcome.error})
        for model in (STUDENT, BASELINE):
            of_model = (outcome.metrics or {}).get(model)
            if of_model is None:
                continue
            values = {
                f"{split}_{metric}": outcome.value(model, split, metric)
                for split in results.splits
                for metric in measured
            }
            cost = {name: of_model[name] for name in COST}
            writer.writerow({**run, "model": model, **values, **cost})
    return table.getvalue()


def means_table(results: AblationResults) -> str:
    """Make a CSV table like the Markdown table, with every metric's mean and sample standard deviation."""
    names = [f"{split}_{metric}" for split in results.splits for metric in results.measured]
    columns = [f"{name}_{of}" for name in names for of in ("mean", "std")]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["variant", "model", "seeds", *columns], restval="")
    writer.writeheader()
    for _, variant, model in results.rows():
        line: dict[str, Any] = {"variant": variant, "model": model}
        for split in results.splits:
            for metric in results.measured:
                values = list(results.values(variant, model, split, metric).values())
                line["seeds"] = len(values)
                line[f"{split}_{metric}_mean"] = mean(values) if values else ""
                line[f"{split}_{metric}_std"] = stdev(values) if len(values) > 1 else ""
        writer.writerow(line)
    return table.getvalue()


def _difference(results: AblationResults, name: str, model: str, split: str) -> str:
    """Format the mean difference to the base, over the seeds that the base has too."""
    if (name, model) == (BASE, STUDENT):
        return ""
    of_base, values = results.values(BASE, STUDENT, split), results.values(name, model, split)
    both = [values[seed] - of_base[seed] for seed in values if seed in of_base]
    if not both:
        return ""
    size = format_metric(results.metric, abs(mean(both)))
    is_zero = not size.strip("0.%")
    return size if is_zero else f"{'+' if mean(both) > 0 else '-'}{size}"


def _parameters(results: AblationResults, name: str, model: str) -> str:
    of_variant = (outcome.metrics for outcome in results.outcomes if outcome.variant == name and outcome.metrics)
    return f"{next(of_variant)[model]['parameters'] / 1e6:.2f} M"


def _published(results: AblationResults) -> dict[str, str]:
    """Return the paper's numbers by variant."""
    numbers = PUBLISHED.get(results.paper or "", {})
    return {each.name: numbers[each.change] for each in results.variants if each.change in numbers}


def _shown(metric: str, value: float | None) -> str:
    return "" if value is None else format_metric(metric, value)


def _notes(results: AblationResults, columns: Mapping[str, Any]) -> list[str]:
    """Explain the columns, and list missing and failed runs."""
    lines = ["Mean ± sample standard deviation over the seeds; difference: to the base, over the seeds of both."]
    if "paper" in columns:
        lines.append(f"paper: TinyBERT4 in arXiv 1909.10351, tables 2 to 4; {MEASURED[str(results.paper)]}.")
    waiting = results.num_runs - len(results.outcomes)
    if waiting:
        lines.append(f"{waiting} of {results.num_runs} runs are still to come.")
    lines += [f"Failed: {each.variant}, seed {each.seed}: {each.error}" for each in results.failures]
    return lines
