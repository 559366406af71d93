"""Measuring the costs of an export, of its original and of its teacher."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tinybert_tf.compression.quantization import set_quantization
from tinybert_tf.errors import InputError
from tinybert_tf.evaluation.cost import (
    count_nonzero,
    count_parameters,
    flops_per_token,
    full_inputs,
    measure_calls,
    size_on_disk,
)
from tinybert_tf.export.formats import Format, Wish
from tinybert_tf.export.litert_runner import available_cores
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.pipeline.runs.table import format_table

logger = logging.getLogger(__name__)

# The measured lengths, if a file has no fixed ones.
LENGTHS = (16, 64, 128)
# A length is measured for at most so many seconds or turns: a large teacher takes a second for a text.
SECONDS, TURNS = 5.0, 50


@dataclass(frozen=True)
class Measured:
    """The cost of one model in one format.

    `flops_per_token` is by length. `latency_ms` is by threads (`1`, `all`) and length, each with `p50` and `p95` in
    milliseconds for one text without padding.
    """

    parameters: int
    nonzero_parameters: int
    size_bytes: int
    gzip_bytes: int
    flops_per_token: dict[str, int]
    latency_ms: dict[str, dict[str, dict[str, float]]]
    operations: dict[str, int] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the content of `metrics.json`."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


def measure_costs(
    model: TaskModel, teacher: TaskModel | None, format: Format, wish: Wish, path: Path
) -> dict[str, Measured]:
    """Measure the costs of the export, of the same model in float if it is quantized, and of its teacher.

    All have the same format and take turns in one run. A model that cannot be written in it is left out; a log line
    tells why.
    """
    with tempfile.TemporaryDirectory() as directory:
        models, paths = {"export": model}, {"export": path}
        float32 = dataclasses.replace(wish, quantize=None, calibration={})
        if wish.quantize is not None or model.is_quantized:
            models["float32"] = as_floats(model)
        longest = max(wish.lengths) if format.has_lengths else 1
        if teacher is not None and teacher.config.max_tokens >= longest:
            models["teacher"] = as_floats(teacher)
        for name in list(models)[1:]:
            path = Path(directory) / name / (format.file if format.file != "." else "model")
            path.parent.mkdir()
            try:
                format.write(models[name], path, float32)
            except InputError as error:
                logger.info(f"export: costs are shown without the {name}: {error}")
                del models[name]
            else:
                paths[name] = path
        limit = min(each.config.max_tokens for each in models.values())
        lengths = wish.lengths if format.has_lengths else [length for length in LENGTHS if length <= limit]
        latency = _latency(paths, format, list(lengths))
        return {
            name: Measured(
                count_parameters(models[name]),
                count_nonzero(models[name]),
                *_model_size(paths[name]),
                {str(length): _flops(models[name], length) for length in lengths},
                latency[name],
                _operations(paths[name]),
            )
            for name in models
        }


def as_floats(model: TaskModel) -> TaskModel:
    """Return the model, or a copy of it that rounds nothing."""
    return set_quantization(model.copy(), None) if model.is_quantized else model


def cost_table(costs: Mapping[str, Measured]) -> str:
    """Make a table of the models side by side."""
    first = next(iter(costs.values()))
    columns = [(length, threads) for length, by_threads in first.latency_ms.items() for threads in by_threads]
    header = ["model", "parameters", "not 0", "size", "gzipped", "MFLOP a token"]
    header += [f"ms, {length} tokens, {_words(threads)}" for length, threads in columns]
    rows = []
    for name, cost in costs.items():
        latency = [cost.latency_ms[length][threads] for length, threads in columns]
        rows.append(
            [
                name,
                f"{cost.parameters / 1e6:.2f} M",
                f"{cost.nonzero_parameters / 1e6:.2f} M",
                f"{cost.size_bytes / 1e6:.2f} MB",
                f"{cost.gzip_bytes / 1e6:.2f} MB",
                f"{list(cost.flops_per_token.values())[-1] / 1e6:.2f}",
                *(f"{times['p50']:.2f} (p95 {times['p95']:.2f})" for times in latency),
            ]
        )
    return format_table(header, rows)


def _words(threads: str) -> str:
    return "1 thread" if threads == "1" else f"{available_cores()} threads"


def _latency(
    paths: Mapping[str, Path], format: Format, lengths: list[int]
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Measure the latency by model, length and threads."""
    threads = {"1": 1, "all": available_cores()} if format.has_threads else {"all": None}
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {
        name: {str(length): {} for length in lengths} for name in paths
    }
    for written, number in threads.items():
        runners = {name: format.open(path, number) for name, path in paths.items()}
        for length in lengths:
            calls = {name: partial(runner, full_inputs(1, length)) for name, runner in runners.items()}
            for name, times in measure_calls(calls, TURNS, SECONDS).items():
                found[name][str(length)][written] = times
    return found


def _flops(model: TaskModel, length: int) -> int:
    config = model.config
    return flops_per_token(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        intermediate_size=config.intermediate_size,
        seq_len=length,
        attention_size=config.num_attention_heads * config.head_size,
    )


def _model_size(path: Path) -> tuple[int, int]:
    """Return the bytes of the model without its tokenizer; of a Hugging Face directory only those of the weights."""
    weights = path / "model.safetensors"
    return size_on_disk(weights if weights.is_file() else path)


def _operations(path: Path) -> dict[str, int] | None:
    if path.suffix != ".tflite":
        return None
    from tinybert_tf.export.litert import operations

    return operations(path.read_bytes())
