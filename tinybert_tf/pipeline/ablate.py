"""`tinybert ablate`: runs a distillation and its variants over several seeds, and writes a table of the results."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tinybert_tf.checkpoints.directory_lock import directory_lock
from tinybert_tf.checkpoints.replace_directory import sweep_partials
from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.config.ablation import BASE, AblationConfig
from tinybert_tf.config.load import dump_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.errors import InputError
from tinybert_tf.evaluation.spread_plot import check_can_plot, plot_spread
from tinybert_tf.metrics import choose_metric, format_score
from tinybert_tf.pipeline.ablation.csv_tables import csv_table, means_table
from tinybert_tf.pipeline.ablation.markdown import markdown
from tinybert_tf.pipeline.ablation.results import STUDENT, TEACHER, AblationResults, Outcome
from tinybert_tf.pipeline.ablation.variants import PlannedVariant, plan_variants, without_the_base_again
from tinybert_tf.pipeline.distill import run_distill
from tinybert_tf.pipeline.explain import explain_distill
from tinybert_tf.pipeline.runs.directory import CONFIG, RunDirectory, check_can_be_made
from tinybert_tf.pipeline.runs.run import Run
from tinybert_tf.pipeline.runs.same_config import as_begun

RUNS = "runs"


@dataclass(frozen=True)
class PlannedRun:
    """One distillation of an ablation; `out` in its config is its directory."""

    variant: str
    seed: int
    config: DistillConfig

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"


def run_ablate(config: AblationConfig, plot: bool = True, overwrite: bool = False) -> AblationResults:
    """Run the base and its variants, seed after seed.

    A run that is complete under `out` is not run again, unless with `overwrite`. A variant that equals the base is left
    out.

    After each run `out` has `ablation.md`, `ablation.csv` (a line for each run), `ablation-means.csv`, `ablation.yaml`
    (this config) and, with `plot`, `ablation.png` and `ablation.svg` of the runs so far. If a run fails with an
    InputError, the tables list it, and the next run begins.

    Raises:
        InputError: before the first run, configs or files show an error of the user; or the base's first run is
            refused.
    """
    if plot:
        check_can_plot("--no-plot")
    out = Path(config.out)
    _check_out(out)
    planned = plan_variants(config)
    _check(planned)
    variants, same = without_the_base_again(planned)
    runs = list(plan_runs(variants, config.seeds, out))
    for run in runs:
        with Run(run.config, overwrite):  # refuses another config and changed sources
            pass
    for name in same:
        _say(f"variant {name!r} is left out: it is the base")
    metric = choose_metric(config.task, config.metric)
    results = AblationResults(variants, [], len(runs), config.task, metric, config.paper)
    with _made_and_locked(out):
        _run_all(runs, results, config, plot, overwrite)
    return results


def _run_all(
    runs: Sequence[PlannedRun], results: AblationResults, config: AblationConfig, plot: bool, overwrite: bool
) -> None:
    """Run all runs, and write the results after each of them.

    The first run that leaves the size of its student open chooses it for all of them.
    """
    out, metric = Path(config.out), results.metric
    size = None
    for number, planned in enumerate(runs, start=1):
        run = _of_size(planned, size)
        _say(f"run {number} of {len(runs)}: {run}{'' if _measured(run, overwrite) is None else ' (done before)'}")
        outcome = _outcome(run, results.outcomes, overwrite)
        size = size or _chosen_size(run)
        results.outcomes.append(outcome)
        _say(f"{run}: {_result(outcome, metric)}")
        _write(results, config, out, plot)


def plan_runs(variants: Sequence[PlannedVariant], seeds: Sequence[int], out: Path) -> Iterator[PlannedRun]:
    """Yield all variants with the first seed, then with the next; equal variants share their runs."""
    directories: dict[str, str] = {}
    for seed in seeds:
        for variant in variants:
            name = directories.setdefault(dump_config(variant.config), variant.name)
            train = dataclasses.replace(variant.config.train, seed=seed)
            path = str(out / RUNS / name / f"seed-{seed}")
            yield PlannedRun(variant.name, seed, dataclasses.replace(variant.config, train=train, out=path))


@contextlib.contextmanager
def _made_and_locked(out: Path) -> Iterator[None]:
    """Make the directory and keep other processes out of it; remove it again if nothing was written."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        with directory_lock(out, wait=False):
            sweep_partials(out, is_deep=False)
            yield
    except BlockingIOError:
        raise InputError(f"out: {out}: another process works on this ablation; wait for it.") from None
    finally:
        with contextlib.suppress(OSError):
            out.rmdir()


def _check_out(out: Path) -> None:
    check_can_be_made(out)
    if out.is_dir() and any(out.iterdir()) and not (out / RUNS).is_dir():
        raise InputError(f"out: {out} is not empty and holds no ablation; give a new or an empty directory.")


def _check(variants: Sequence[PlannedVariant]) -> None:
    """Read all that the runs read, except weights, so that errors show before the first run."""
    for variant in variants:
        try:
            explain_distill(variant.config)
        except InputError as error:
            said = "" if variant.name == BASE else f"variant {variant.name!r}: "
            raise InputError(f"{said}{error}") from error


def _outcome(run: PlannedRun, before: Sequence[Outcome], overwrite: bool) -> Outcome:
    """Return the result of an earlier run of the same distillation, on disk or in this ablation, or of a new run."""
    shared = next((outcome for outcome in before if outcome.directory == run.config.out), None)
    if shared is not None:
        return dataclasses.replace(shared, variant=run.variant)
    outcome = Outcome(run.variant, run.seed, run.config.out, _measured(run, overwrite))
    if outcome.metrics is not None:
        return _with_resamples(outcome)
    try:
        return _with_resamples(dataclasses.replace(outcome, metrics=run_distill(run.config, overwrite)))
    except InputError as error:
        if not before and not Path(run.config.out).exists():  # refused before it began, as all others would be
            raise InputError(f"{run}: {error}") from error
        return dataclasses.replace(outcome, error=" ".join(str(error).split()))
    finally:
        _forget_models()


def _with_resamples(outcome: Outcome) -> Outcome:
    """Read the resamples of a complete run."""
    return dataclasses.replace(outcome, resamples=RunDirectory(outcome.directory).read_resamples())


def _of_size(run: PlannedRun, size: str | None) -> PlannedRun:
    """Give a run's student a named size, if its config says nothing about it, and the student can have this size."""
    student = run.config.student
    if size is None or not student.has_no_size or student.init == "layers":
        return run
    config = dataclasses.replace(run.config, student=dataclasses.replace(student, size=size))
    return dataclasses.replace(run, config=config)


def _chosen_size(run: PlannedRun) -> str | None:
    """Return the size that a run has chosen for its student; None if it had no choice, or has not begun."""
    begun = as_begun(Path(run.config.out) / CONFIG, run.config)
    return begun.student.size if run.config.student.is_open else None


def _measured(run: PlannedRun, overwrite: bool) -> dict[str, Any] | None:
    """Return the results of a complete run; None if it is not complete, or is to be trained anew."""
    return Run(run.config, overwrite).read_metrics()


def _forget_models() -> None:
    """Free a run's models and traced functions before the next run makes its own."""
    keras.backend.clear_session()
    gc.collect()


def _say(text: str) -> None:
    print(f"[ablate] {text}", file=sys.stderr, flush=True)


def _result(outcome: Outcome, metric: str) -> str:
    value = outcome.value(STUDENT, "dev", metric)
    if value is None:
        return f"failed: {outcome.error}"
    return f"dev {metric} {format_score(metric, value, outcome.error_of(STUDENT, 'dev', metric))}"


def _write(results: AblationResults, config: AblationConfig, out: Path, plot: bool) -> None:
    """Write the tables and plots of the outcomes so far."""
    replace_text(out / "ablation.yaml", dump_config(config))
    replace_text(out / "ablation.md", markdown(results) + "\n")
    replace_text(out / "ablation.csv", csv_table(results))
    replace_text(out / "ablation-means.csv", means_table(results))
    if plot and results.rows():
        titles = {split: f"{split} {results.metric}" for split in results.splits}
        panels: dict[str, Any] = {
            title: {label: list(results.values(name, model, split).values()) for label, name, model in results.rows()}
            for split, title in titles.items()
        }
        marks = {title: {TEACHER: found[0]} for split, title in titles.items() if (found := results.teacher(split))}
        plot_spread(out / "ablation", panels, BASE, marks)
