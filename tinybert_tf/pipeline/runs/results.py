"""What a run measured of its models, as `metrics.json` and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinybert_tf.checkpoints.formats import weights_size
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.evaluation.cost import count_parameters, measure_latency
from tinybert_tf.metrics import format_metric, metric_title
from tinybert_tf.models.teaching.teacher import in_precision
from tinybert_tf.pipeline.runs.measure import measure_fully
from tinybert_tf.pipeline.runs.table import format_table

LATENCY_SEQ_LEN = 32
# What `metrics.json` calls the models, as the table has them from top to bottom; its other keys are not models.
MODELS = ("model", "teacher", "original", "student", "baseline")

# What is also told of compressed models, in millions, and its title.
COMPRESSED = {"nonzero_parameters": "not zero", "gzip_bytes": "gzipped bytes"}


def measure_models(
    models: Mapping[str, Any],
    directories: Mapping[str, Sequence[Path]],
    splits: Mapping[str, EncodedDataset],
    task: str,
) -> dict[str, dict[str, Any]]:
    """Metrics and cost of each model, in float32, as its saved files give them.

    The task's metrics on dev at the top, those on test under `test`; `parameters`; `size_bytes` of the weights file(s);
    `latency_ms`: median of a forward pass, one text of 32 tokens (or the models' limit, if lower), the models taking
    turns.
    """
    as_saved = {name: in_precision(model, "float32") for name, model in models.items()}
    limits = (model.config.max_tokens for model in as_saved.values())
    latency = measure_latency(as_saved, seq_len=min(LATENCY_SEQ_LEN, *limits))
    results: dict[str, dict[str, Any]] = {}
    for name, model in as_saved.items():
        read = {key: split.for_teacher if name == "teacher" else split for key, split in splits.items()}
        result: dict[str, Any] = measure_fully(model, read["dev"], task)
        if "test" in splits:
            result["test"] = measure_fully(model, read["test"], task)
        result["parameters"] = count_parameters(model)
        result["size_bytes"] = sum(map(weights_size, directories[name]))
        result["latency_ms"] = latency[name]
        results[name] = result
    return results


def results_table(results: Mapping[str, Mapping[str, Any]], metric: str, reference: str) -> str:
    """The models side by side; parameters, size and latency also as a multiple of the `reference` model's."""
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
        quality = [format_metric(metric, values[metric]) for values in measured]
        cost = [
            f"{result['parameters'] / 1e6:.2f} M{_times(base['parameters'], result['parameters'])}",
            f"{result['size_bytes'] / 1e6:.1f} MB{_times(base['size_bytes'], result['size_bytes'])}",
            f"{result['latency_ms']:.2f} ms{_times(base['latency_ms'], result['latency_ms'])}",
        ]
        cost += [f"{result[key] / 1e6:.2f} M{_times(base[key], result[key])}" for key in more]
        rows.append([name, *quality, *cost])
    return format_table(header, rows)


def _times(reference: float, value: float) -> str:
    return "" if reference == value else f" ({reference / value:.1f}x less)"
