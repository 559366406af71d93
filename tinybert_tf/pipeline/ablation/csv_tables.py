"""The results of an ablation as CSV: every run, and the means of every variant."""

from __future__ import annotations

import csv
import io
from statistics import mean, stdev
from typing import Any

from tinybert_tf.pipeline.ablation.results import BASELINE, STUDENT, AblationResults

COST = ("parameters", "size_bytes", "latency_ms", "seconds")
# The columns of each metric in the table of means.
MEANS = ("mean", "std", "se", "difference", "difference_se", "beyond_noise")


def csv_table(results: AblationResults) -> str:
    """Make a CSV table with a line for each trained model and each failure.

    A model's line has its metrics on dev and test, the standard error of each over rows (`_se`), and its costs.
    """
    measured = results.measured
    names = [f"{split}_{metric}{of}" for split in results.splits for metric in measured for of in ("", "_se")]
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
                f"{split}_{metric}{of}": get(model, split, metric)
                for split in results.splits
                for metric in measured
                for of, get in (("", outcome.value), ("_se", outcome.error_of))
            }
            cost = {name: of_model[name] for name in COST}
            writer.writerow({**run, "model": model, **values, **cost})
    return table.getvalue()


def means_table(results: AblationResults) -> str:
    """Make a CSV table like the Markdown table, with every metric.

    For each split and metric: mean and sample standard deviation over the seeds, the mean's standard error, and its
    difference to the base with that one's standard error, and whether it is beyond noise (`yes` or `no`).
    """
    names = [f"{split}_{metric}" for split in results.splits for metric in results.measured]
    table = io.StringIO(newline="")
    columns = [f"{name}_{of}" for name in names for of in MEANS]
    writer = csv.DictWriter(table, ["variant", "model", "seeds", *columns], restval="")
    writer.writeheader()
    for _, variant, model in results.rows():
        line: dict[str, Any] = {"variant": variant, "model": model}
        for split in results.splits:
            for metric in results.measured:
                line["seeds"] = len(results.values(variant, model, split, metric))
                found = _means(results, variant, model, split, metric)
                line |= {f"{split}_{metric}_{of}": value for of, value in found.items()}
        writer.writerow(line)
    return table.getvalue()


def _means(results: AblationResults, variant: str, model: str, split: str, metric: str) -> dict[str, Any]:
    """The cells of a metric in the table of means, by the names in `MEANS`."""
    values = list(results.values(variant, model, split, metric).values())
    score = results.score(variant, model, split, metric)
    difference = results.difference(variant, model, split, metric)
    return {
        **({"mean": mean(values)} if values else {}),
        **({"std": stdev(values)} if len(values) > 1 else {}),
        **({"se": score.standard_error} if score else {}),
        **(
            {
                "difference": difference.mean,
                "difference_se": difference.standard_error,
                "beyond_noise": "yes" if difference.is_beyond_noise else "no",
            }
            if difference
            else {}
        ),
    }
