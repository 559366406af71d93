"""`tinybert export`: writes a model in another format, and verifies it."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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
from tinybert_tf.metrics import format_difference, format_metric, format_score
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
    """The options of `tinybert export`; see its flags.

    `verify`: the labelled file on which the export is verified; by default the dev file of a run directory, else texts
    of random words. `calibrate`: a file of texts with the same columns. `teacher`: a model whose costs are measured
    too, by default the teacher of a run directory.
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
    """Write `out`: the model, `labels.json`, its tokenizer, and `metrics.json` with the verification and the costs.

    Everything is written to a directory beside `out`, which takes its place after the verification.

    Returns:
        A summary of the verification, and a table of costs.

    Raises:
        InputError: an option cannot be used. Then nothing is kept.
        VerificationError: the export does not answer as the model. Then nothing is kept.
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
        partial.chmod(0o755)  # only its owner can read a temporary directory
        if out.is_dir():
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return f"{summary(out, card, verification)}\n\n{cost_table(costs)}"


def check_options(options: ExportOptions, out: Path) -> Format:
    """Return the format; refuse options that do not go together before anything is read."""
    format = find_format(options.format)
    if options.quantize is not None and options.quantize not in format.quantizations:
        accepted = ", ".join(format.quantizations)
        raise InputError(
            f"--quantize {options.quantize}: {options.format} has {accepted or 'no quantization; litert and onnx have'}"
        )
    is_calibrated = options.quantize in format.calibrated
    if is_calibrated and options.calibrate is None:
        raise InputError(
            f"--quantize {options.quantize} needs --calibrate F, texts on which to measure the ranges of activations"
        )
    if options.calibrate is not None and not is_calibrated:
        raise InputError(f"--calibrate {options.calibrate}: only --quantize full_int8 measures ranges")
    if options.lengths is not None and not format.has_lengths:
        raise InputError(f"--lengths: {options.format} takes texts of any length; only litert has fixed ones")
    format.require()
    if not 0 <= options.min_agreement <= 1:
        raise InputError(f"--min-agreement: expected a fraction from 0 to 1, got {options.min_agreement}")
    check_can_be_made(out)
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"out: {out} is not empty; give a new or an empty directory.")
    return format


def chosen_quantization(options: ExportOptions, model: TaskModel) -> str | None:
    """Return the requested scheme; `full_int8` for a model that was trained for it.

    Raises:
        InputError: another scheme or format is requested for such a model.
    """
    if not model.is_quantized or options.format == "hf":
        return options.quantize
    if not find_format(options.format).writes_quantized:
        raise InputError(f"--format {options.format}: {options.model} was trained for int8; expected litert or hf")
    if options.quantize is not None:
        raise InputError(
            f"--quantize {options.quantize}: {options.model} was trained for int8 and has its ranges; leave it out"
        )
    return "full_int8"


def chosen_lengths(
    given: Sequence[int] | None, settings: dict[str, Any], limit: int, model: str | Path
) -> tuple[int, ...]:
    """Return the lengths, ascending: the given ones, else the run's training length, else 128, up to the model's limit.

    Raises:
        InputError: a length is above the model's limit, or leaves no room for text.
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
    """Return the rows on which the export is verified, their origin, and whether they have labels."""
    file = dev_file(settings)
    if options.verify is not None:
        reading = Reading(text=options.text, label=options.label).completed_by_run(options.model)
        file = Labelled(options.verify, reading.text, reading.label, reading.labels)
    if file is not None:
        return reader.read(file), str(file.path), True
    logger.info(
        f"export: no --verify: verified on {GENERATED_ROWS} texts of random words; only your own texts can show "
        "whether a quantized model still answers them"
    )
    return reader.generated(), "random words", False


def load_teacher(given: str | None, of_run: str | None, task: str) -> TaskModel | None:
    """Load the teacher whose costs are measured too: the given one, else the run's own, if it still exists.

    Raises:
        InputError: the given teacher cannot be loaded.
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
    if format.file != ".":  # a Hugging Face directory has it all in its config.json
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
    """Compare the written model with the original on the rows."""
    logger.info(f"export: verifying on {len(data.tokens)} rows of {source}")
    try:
        runner = format.open(directory / format.file, None)
    except InputError as error:
        reason = str(error).replace(f"{directory}/", "")
        raise VerificationError(f"not exported: the written model cannot be run; {reason}") from None
    wanted = logits_of_rows(KerasRunner(model), data.tokens, data.pad_token_id, BATCH_SIZE)
    # Each length has a graph of its own; a row longer than one of them takes the next.
    seen = []
    accepted = list(runner.lengths or ())
    for shortest in range(len(accepted) or 1):
        given = Longer(runner, accepted[shortest:] or None)
        found = logits_of_rows(given, data.tokens, data.pad_token_id, BATCH_SIZE)
        seen.append(compare(found, wanted, data, task, source, has_labels))
    return worst(seen)


@dataclass(frozen=True)
class Longer:
    """A runner restricted to some of its lengths."""

    runner: Runner
    lengths: Sequence[int] | None

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the runner's logits."""
        return self.runner(inputs)


def report(card: Card, verification: Verification, costs: dict[str, Measured]) -> dict[str, Any]:
    """Return the content of `metrics.json`."""
    return {
        "format": card.format,
        "quantize": card.quantize,
        "task": card.task,
        "lengths": card.lengths,
        "verification": verification.as_json(),
        "cost": {name: cost.as_json() for name, cost in costs.items()},
    }


def agreement(verification: Verification) -> str:
    """Describe in a few words how far the answers agree."""
    if verification.one_answer:
        return "the model has one answer for all of them, so only the logits were compared"
    return f"{verification.agreement:.1%} of the {verification.compared} agree"


def summary(out: Path, card: Card, verification: Verification) -> str:
    """Summarise the export and its verification in a few lines."""
    kind = card.format + (f", {card.quantize}" if card.quantize else "")
    lines = [
        f"{out}: {kind}",
        f"{verification.rows} rows of {verification.source}: logits differ by {verification.max_difference:.2g} at "
        f"most, {verification.mean_difference:.2g} on average; {agreement(verification)}",
    ]
    return "\n".join([*lines, *scores(verification)])


def scores(verification: Verification) -> Iterator[str]:
    """Describe each metric of the exported model beside that of its original in a line, if the rows have labels."""
    metrics, references = verification.metrics or {}, verification.reference_metrics or {}
    errors = verification.standard_error or {}
    for name, comparison in (verification.comparison or {}).items():
        score, of_model = format_score(name, metrics[name], errors[name]), format_metric(name, references[name])
        difference = format_difference(name, comparison["difference"], comparison["standard_error"])
        yield f"{name}: {score} (model {of_model}, difference {difference})"
