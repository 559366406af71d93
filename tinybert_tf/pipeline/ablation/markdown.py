"""The results of an ablation as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

from tinybert_tf.config.ablation import BASE
from tinybert_tf.metrics import CORRELATIONS, format_difference, format_metric, format_score
from tinybert_tf.pipeline.ablation.published import MEASURED, PUBLISHED
from tinybert_tf.pipeline.ablation.results import STUDENT, TEACHER, AblationResults
from tinybert_tf.pipeline.runs.table import format_table

# The mark of a difference beyond noise.
BEYOND_NOISE = "*"


def markdown(results: AblationResults) -> str:
    """Make the table: each mean over the seeds and its standard error, difference to the base, the paper's number."""
    header = ["variant", "seeds"]
    for split in results.splits:
        header += [f"{split} {results.title}", *(["over seeds"] if results.has_spread else []), "difference"]
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
            cells += _cells(results, name, model, split)
        lines.append([*cells, *(of.get(name, "") if model == STUDENT else "" for of in columns.values())])
    lines += [_teacher_cells(results, len(header) + len(columns))] if results.rows() else []
    return "\n".join([format_table([*header, *columns], lines), "", *_notes(results, columns)])


def _cells(results: AblationResults, name: str, model: str, split: str) -> list[str]:
    """The cells of a row for a split: score, spread where a variant has several seeds, difference."""
    metric, values = results.metric, list(results.values(name, model, split).values())
    score = results.score(name, model, split, metric)
    shown = format_score(metric, mean(values), None if score is None else score.standard_error) if values else ""
    spread = [format_metric(metric, stdev(values)) if len(values) > 1 else ""] if results.has_spread else []
    return [shown, *spread, _difference(results, name, model, split)]


def _teacher_cells(results: AblationResults, width: int) -> list[str]:
    """The teacher's row, of this many cells."""
    cells = [TEACHER, ""]
    for split in results.splits:
        found = results.teacher(split)
        shown = "" if found is None else format_score(results.metric, *found)
        cells += [shown, *([""] if results.has_spread else []), ""]
    return cells + [""] * (width - len(cells))


def _difference(results: AblationResults, name: str, model: str, split: str) -> str:
    """Format the mean difference to the base with its standard error, marked where it is beyond noise."""
    both = list(results.differences(name, model, split, results.metric).values())
    if (name, model) == (BASE, STUDENT) or not both:
        return ""
    found = results.difference(name, model, split, results.metric)
    if found is None:
        return format_difference(results.metric, mean(both))
    shown = format_difference(results.metric, found.mean, found.standard_error)
    return f"{shown} {BEYOND_NOISE}" if found.is_beyond_noise else shown


def _parameters(results: AblationResults, name: str, model: str) -> str:
    of_variant = (outcome.metrics for outcome in results.outcomes if outcome.variant == name and outcome.metrics)
    return f"{next(of_variant)[model]['parameters'] / 1e6:.2f} M"


def _published(results: AblationResults) -> dict[str, str]:
    """Return the paper's numbers by variant."""
    numbers = PUBLISHED.get(results.paper or "", {})
    return {each.name: numbers[each.change] for each in results.variants if each.change in numbers}


def _notes(results: AblationResults, columns: Mapping[str, Any]) -> list[str]:
    """Explain the columns, and list missing and failed runs."""
    lines = [_of_the_columns(results)]
    if any(each.metrics and not each.resamples for each in results.outcomes):
        lines.append("Without ±: runs that an earlier version measured; --overwrite trains them again.")
    if "paper" in columns:
        lines.append(f"paper: TinyBERT4 in arXiv 1909.10351, tables 2 to 4; {MEASURED[str(results.paper)]}.")
    waiting = results.num_runs - len(results.outcomes)
    if waiting:
        lines.append(f"{waiting} of {results.num_runs} runs are still to come.")
    lines += [f"Failed: {each.variant}, seed {each.seed}: {each.error}" for each in results.failures]
    return lines


def _of_the_columns(results: AblationResults) -> str:
    """Explain scores, differences and their errors."""
    points = "" if results.metric in CORRELATIONS else ", in points"
    to_base = f"difference: to the base{points}, over the seeds of both"
    mark = f"{BEYOND_NOISE}: beyond noise, the 95% interval excludes 0"
    if results.has_spread:
        return (
            f"Mean over the seeds ± standard error, of rows and seeds together (of one seed, of the rows alone); over "
            f"seeds: sample standard deviation; {to_base}; {mark}."
        )
    return (
        f"Score ± standard error of the rows alone: with one seed the spread over seeds is unknown; {to_base}; {mark}."
    )
