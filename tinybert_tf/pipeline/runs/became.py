"""The last lines of a distillation: what its student became, what a smaller one would save, how to export it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.checkpoints.hf_directory import CONFIG_FILE, config_path, read_config
from tinybert_tf.errors import InputError
from tinybert_tf.evaluation.config_cost import arithmetic_of, parameters_of
from tinybert_tf.metrics import error_of, format_score
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.sizes import distinct_sizes
from tinybert_tf.pipeline.runs.directory import RunDirectory
from tinybert_tf.pipeline.runs.settings import run_settings

# The tokens of the text whose arithmetic is compared.
SEQ_LEN = 64
EXPORT = "--format litert --quantize dynamic_int8"

Results = Mapping[str, Mapping[str, Any]]


def became(results: Results, run: RunDirectory, metric: str) -> list[str]:
    """Describe what the student of a complete run became; nothing for a run without a student.

    Args:
        results: the content of `metrics.json`.
        run: the run's directory, with its config and its student.
        metric: the metric that chose the best epoch.
    """
    if "student" not in results:
        return []
    student = EncoderConfig.from_dict(read_config(run.path / "student"), str(run.path / "student"))
    return [
        _in_numbers(results, student, metric),
        *_next_smaller(results["student"], student, run_settings(run.path)),
        _export(run),
    ]


def _in_numbers(results: Results, student: EncoderConfig, metric: str) -> str:
    """Compare size, speed and score with the teacher's."""
    ours, theirs = results["student"], results["teacher"]
    smaller = _times(theirs["parameters"] / ours["parameters"], "smaller", "larger")
    faster = _times(theirs["latency_ms"] / ours["latency_ms"], "faster", "slower")
    split, found, best = "dev", ours, theirs[metric]
    if "test" in ours and "test" in theirs:
        split, found, best = "test", ours["test"], theirs["test"][metric]
    score = format_score(metric, found[metric], error_of(found, metric))
    share = f", {found[metric] / best:.1%} of its teacher's" if best > 0 else ""
    return (
        f"student: {student.num_hidden_layers} x {student.hidden_size}, {_millions(ours['parameters'])} parameters, "
        f"{smaller} and {faster} than its teacher; {split} {metric} {score}{share}"
    )


def _next_smaller(measured: Mapping[str, Any], student: EncoderConfig, settings: Mapping[str, Any]) -> Iterator[str]:
    """Say what the largest named size that saves parameters and arithmetic would save; nothing if there is none."""
    teacher = _teacher(settings)
    if teacher is None:
        return
    for name, smaller in reversed(distinct_sizes(teacher).items()):
        saved = _parameters(student) - _parameters(smaller)
        share = 1 - arithmetic_of(smaller, SEQ_LEN) / arithmetic_of(student, SEQ_LEN)
        if saved > 0 and share > 0:
            yield (
                f"the next smaller one: --student {name}, {smaller.num_hidden_layers} x {smaller.hidden_size}, would "
                f"save {_millions(saved)} of its {_millions(measured['parameters'])} parameters and {share:.0%} of the "
                f"arithmetic of its layers"
            )
            return


def _teacher(settings: Mapping[str, Any]) -> EncoderConfig | None:
    """The sizes of a run's teacher; None if it does not exist any more."""
    try:
        directory = resolve_directory(str(settings["teacher"]["dir"]), [CONFIG_FILE])
        return EncoderConfig.from_dict(read_config(directory), str(config_path(directory)))
    except (InputError, KeyError):
        return None


def _parameters(config: EncoderConfig) -> int:
    """An encoder's weights. Differences of two sizes are those of whole models but for the last layer."""
    return parameters_of(config, num_outputs=1, has_pooler=True)


def _export(run: RunDirectory) -> str:
    """Give the command that exports the student, or name its export if there is one."""
    path, out = shlex.quote(str(run.path)), run.path / "export"
    if out.is_dir():
        return f"exported: {out}"
    return f"export it: tinybert export {path} {EXPORT} --out {shlex.quote(str(out))}"


def _times(ratio: float, more: str, less: str) -> str:
    return f"{ratio:.1f}x {more}" if ratio >= 1 else f"{1 / ratio:.1f}x {less}"


def _millions(count: float) -> str:
    return f"{count / 1e6:.2f} M" if count < 1e7 else f"{count / 1e6:.1f} M"
