"""`tinybert export`: a model in a format that others run, verified before it counts."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.errors import InputError, VerificationError
from tinybert_tf.export.card import Card
from tinybert_tf.export.formats import Format, Wish, find_format
from tinybert_tf.export.keras_runner import KerasRunner
from tinybert_tf.export.rows import Runner, logits_of_rows
from tinybert_tf.export.verify import Verification, check, compare, worst
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.heads.tasks import load_teaching, task_of
from tinybert_tf.models.limits import check_limits
from tinybert_tf.pipeline.exporting.cost import Measured, cost_table, measure_costs
from tinybert_tf.pipeline.exporting.rows import GENERATED_ROWS, Labelled, Reader, dev_file
from tinybert_tf.pipeline.runs.directory import check_can_be_made
from tinybert_tf.pipeline.runs.log_lines import held_back
from tinybert_tf.pipeline.runs.settings import Reading, run_settings

logger = logging.getLogger(__name__)

DEFAULT_LENGTH = 128
BATCH_SIZE = 16


@dataclass(frozen=True)
class ExportOptions:
    """What `tinybert export` is told; see its flags.

    `verify`: the labelled file that the export is verified on; by default the dev file of a run directory, else texts
    of random words. `calibrate`: a file of texts with the same columns. `teacher`: measured beside, by default that of
    a run directory.
    """

    model: str
    format: str
    out: str
    quantize: str | None = None
    lengths: tuple[int, ...] | None = None
    verify: str | None = None
    text: str | None = None
    label: str | None = None
    calibrate: str | None = None
    teacher: str | None = None
    min_agreement: float = 0.95


def run_export(options: ExportOptions) -> str:
    """Write `out`: the model, `labels.json`, its tokenizer, and `metrics.json` with what was seen and measured.

    Everything is written to a directory beside `out` and moved there when it has been verified.

    Returns:
        What was seen, and a table of what it costs.

    Raises:
        InputError: something that was given cannot be used.
        VerificationError: the export does not answer as the model does. Nothing is kept, in both cases.
    """
    out = Path(options.out)
    format = check_options(options, out)
    with held_back():
        settings = run_settings(options.model)
        task = task_of(options.model)
        model = load_teaching(options.model, task)
        scheme = chosen_quantization(options, model)
        tokenizer = load_tokenizer(options.model)
        limit = model.config.max_tokens
        check_limits(model.config, tokenizer.vocab_size, limit, options.model)
        lengths = chosen_lengths(options.lengths, settings, limit, options.model)
        reader = Reader(task, tokenizer, model.labels, lengths[-1] if format.has_lengths else limit)
        data, source, has_labels = verification_rows(options, settings, reader)
        columns = Labelled(options.calibrate or "", options.text, options.label)
        wish = Wish(options.quantize, lengths, reader.calibration(columns, lengths) if options.calibrate else {})
        teacher = load_teacher(options.teacher, (settings.get("teacher") or {}).get("dir"), task)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        logger.info(f"export: writing {options.format}{f', {scheme}' if scheme else ''}")
        card = Card.of_labels(
            model.labels,
            format=options.format,
            file=format.file,
            task=task,
            max_length=reader.max_length,
            lengths=list(lengths) if format.has_lengths else None,
            quantize=scheme,
        )
        write(model, tokenizer, format, card, wish, partial)
        verification = verify(model, format, partial, data, task, source, has_labels)
        check(verification, scheme is None, options.min_agreement)
        costs = measure_costs(model, teacher, format, wish, partial / format.file)
        replace_text(partial / "metrics.json", json.dumps(report(card, verification, costs), indent=2) + "\n")
        partial.chmod(0o755)  # a temporary directory is its owner's alone
        if out.is_dir():
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return f"{summary(out, card, verification)}\n\n{cost_table(costs)}"


def check_options(options: ExportOptions, out: Path) -> Format:
    """The format; refuse what does not go together before anything is read."""
    format = find_format(options.format)
    if options.quantize is not None and options.quantize not in format.quantizations:
        accepted = ", ".join(format.quantizations)
        raise InputError(
            f"--quantize {options.quantize}: {options.format} has {accepted or 'no quantization; litert and onnx have'}"
        )
    is_calibrated = options.quantize in format.calibrated
    if is_calibrated and options.calibrate is None:
        raise InputError(
            f"--quantize {options.quantize} needs --calibrate F: texts that the ranges of activations are measured on"
        )
    if options.calibrate is not None and not is_calibrated:
        raise InputError(f"--calibrate {options.calibrate}: only --quantize full_int8 measures ranges")
    if options.lengths is not None and not format.has_lengths:
        raise InputError(f"--lengths: {options.format} takes texts of any length; only litert has fixed ones")
    format.require()
    if not 0 <= options.min_agreement <= 1:
        raise InputError(f"--min-agreement {options.min_agreement}: a fraction from 0 to 1 is accepted")
    check_can_be_made(out)
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"out: {out} is not empty; give a new or an empty directory.")
    return format


def chosen_quantization(options: ExportOptions, model: TaskModel) -> str | None:
    """The scheme that was asked for; `full_int8` of a model that has been trained to be that.

    Raises:
        InputError: such a model is asked to be something else.
    """
    if not model.is_quantized or options.format == "hf":
        return options.quantize
    if not find_format(options.format).writes_quantized:
        raise InputError(f"--format {options.format}: {options.model} was trained for int8; litert and hf are accepted")
    if options.quantize is not None:
        raise InputError(
            f"--quantize {options.quantize}: {options.model} was trained for int8, and has its ranges; leave it out"
        )
    return "full_int8"


def chosen_lengths(
    given: Sequence[int] | None, settings: dict[str, Any], limit: int, model: str | Path
) -> tuple[int, ...]:
    """The lengths, ascending: those given, else the one that the run was trained at, else 128; what the model can do.

    Raises:
        InputError: one is above the model's limit, or leaves no room for text.
    """
    if given is None:
        trained = (settings.get("data") or {}).get("max_length") or DEFAULT_LENGTH
        return (min(trained, limit),)
    for length in given:
        if not 8 <= length <= limit:
            raise InputError(
                f"--lengths {length}: {model} takes texts of 8 to {limit} tokens (max_position_embeddings)"
            )
    return tuple(sorted(set(given)))


def verification_rows(
    options: ExportOptions, settings: dict[str, Any], reader: Reader
) -> tuple[EncodedDataset, str, bool]:
    """The rows that the export is verified on, where they are from, and whether they have labels."""
    file = dev_file(settings)
    if options.verify is not None:
        reading = Reading(text=options.text, label=options.label).completed_by_run(options.model)
        file = Labelled(options.verify, reading.text, reading.label, reading.labels)
    if file is not None:
        return reader.read(file), str(file.path), True
    logger.info(
        f"export: no --verify: verified on {GENERATED_ROWS} texts of random words; whether a quantized model still "
        "answers your texts, only your texts can say"
    )
    return reader.generated(), "random words", False


def load_teacher(given: str | None, of_run: str | None, task: str) -> TaskModel | None:
    """The teacher to measure beside: the one given, else the run's own, where it is still there.

    Raises:
        InputError: the one given cannot be loaded.
    """
    if given is not None or of_run is None:
        return None if given is None else load_teaching(given, task)
    try:
        return load_teaching(of_run, task)
    except InputError as error:
        logger.info(f"export: costs are shown without the run's teacher: {error}")
        return None


def write(model: TaskModel, tokenizer: Tokenizer, format: Format, card: Card, wish: Wish, directory: Path) -> None:
    """Fill the directory of an export."""
    format.write(model, directory / format.file, wish)
    tokenizer.save_pretrained(directory)
    if format.file != ".":  # a Hugging Face directory says it all in its config.json
        card.write(directory)


def verify(
    model: TaskModel,
    format: Format,
    directory: Path,
    data: EncodedDataset,
    task: str,
    source: str,
    has_labels: bool,
) -> Verification:
    """Run the rows through the model and through what was written."""
    logger.info(f"export: verifying on {len(data.tokens)} rows of {source}")
    try:
        runner = format.open(directory / format.file, None)
    except InputError as error:
        reason = str(error).replace(f"{directory}/", "")
        raise VerificationError(f"not exported: what was written cannot be run; {reason}") from None
    wanted = logits_of_rows(KerasRunner(model), data.tokens, data.pad_token_id, BATCH_SIZE)
    # Each of the lengths is a graph of its own. What is longer than one of them takes the next.
    seen = []
    accepted = list(runner.lengths or ())
    for shortest in range(len(accepted) or 1):
        given = Longer(runner, accepted[shortest:] or None)
        found = logits_of_rows(given, data.tokens, data.pad_token_id, BATCH_SIZE)
        seen.append(compare(found, wanted, data, task, source, has_labels))
    return worst(seen)


@dataclass(frozen=True)
class Longer:
    """A runner that is given rows at some of its lengths alone."""

    runner: Runner
    lengths: Sequence[int] | None

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """As the runner's."""
        return self.runner(inputs)


def report(card: Card, verification: Verification, costs: dict[str, Measured]) -> dict[str, Any]:
    """What `metrics.json` holds."""
    return {
        "format": card.format,
        "quantize": card.quantize,
        "task": card.task,
        "lengths": card.lengths,
        "verification": verification.as_json(),
        "cost": {name: cost.as_json() for name, cost in costs.items()},
    }


def agreement(verification: Verification) -> str:
    """How far the answers agree, in a few words."""
    if verification.one_answer:
        return "the model has one answer for all of them, so only the logits were compared"
    return f"{verification.agreement:.1%} of the {verification.compared} agree"


def summary(out: Path, card: Card, verification: Verification) -> str:
    """What was exported and how it was verified, in a few lines."""
    kind = card.format + (f", {card.quantize}" if card.quantize else "")
    lines = [
        f"{out}: {kind}",
        f"{verification.rows} rows of {verification.source}: logits differ by {verification.max_difference:.2g} at "
        f"most, {verification.mean_difference:.2g} on average; {agreement(verification)}",
    ]
    if verification.metrics is not None and verification.reference_metrics is not None:
        lines += [
            f"{name}: {value:.4f} (model {verification.reference_metrics[name]:.4f})"
            for name, value in verification.metrics.items()
        ]
    return "\n".join(lines)
