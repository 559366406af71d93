"""The text at the end of a run: its models in a table, and an explanation of the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinybert_tf.metrics import error_of, format_score, metric_title
from tinybert_tf.pipeline.runs.became import became
from tinybert_tf.pipeline.runs.directory import RunDirectory
from tinybert_tf.pipeline.runs.table import format_table
from tinybert_tf.pipeline.runs.verdict import Log, advice, verdict

# The models' keys in `metrics.json`, in the order of the table; its other keys are not models.
MODELS = ("model", "teacher", "original", "student", "baseline")

# More columns for compressed models, in millions, with their titles.
COMPRESSED = {"nonzero_parameters": "not zero", "gzip_bytes": "gzipped bytes"}


def end_of_run(results: Mapping[str, Mapping[str, Any]], run: RunDirectory, metric: str, reference: str) -> str:
    """Return the text at the end of a run: `results_table`, an explanation of the numbers, and what became of it."""
    lines = [*verdict(results, run.read_log(), metric), *became(results, run, metric)]
    return "\n".join([results_table(results, metric, reference), *([""] if lines else []), *lines])


def results_table(results: Mapping[str, Mapping[str, Any]], metric: str, reference: str) -> str:
    """Make a table of the models: scores with their standard errors, costs also as multiples of the `reference`'s."""
    base = results[reference]
    has_test = "test" in base
    more = {name: title for name, title in COMPRESSED.items() if name in base}
    title = metric_title(metric, base)
    header = ["model", f"dev {title}", *([f"test {title}"] if has_test else []), "parameters", "size", "latency"]
    header += more.values()
    rows = []
    for name in MODELS:
        if name not in results:
            continue
        result = results[name]
        measured = [result, result["test"]] if has_test else [result]
        quality = [format_score(metric, values[metric], error_of(values, metric)) for values in measured]
        cost = [
            f"{result['parameters'] / 1e6:.2f} M{_times(base['parameters'], result['parameters'])}",
            f"{result['size_bytes'] / 1e6:.1f} MB{_times(base['size_bytes'], result['size_bytes'])}",
            f"{result['latency_ms']:.2f} ms{_times(base['latency_ms'], result['latency_ms'])}",
        ]
        cost += [f"{result[key] / 1e6:.2f} M{_times(base[key], result[key])}" for key in more]
        rows.append([name, *quality, *cost])
    return format_table(header, rows)


def pretrain_summary(out: str, results: Mapping[str, Mapping[str, Any]], log: Log) -> str:
    """Describe the model of a pretraining in a line, and give the advice from its log."""
    model = results["model"]
    line = f"{out}/model: {model['parameters'] / 1e6:.2f} M parameters, {model['steps']:,} steps"
    names = [name for name in ("perplexity", "next_sentence_accuracy", "loss") if name in model]
    changes = (f"dev {name} {model['before'][name]:.4g} before, {model[name]:.4g} after" for name in names)
    return "\n".join(["; ".join([line, *changes]), *advice(log)])


def _times(reference: float, value: float) -> str:
    return "" if reference == value else f" ({reference / value:.1f}x less)"
