"""`tinybert pretrain`: trains a model on raw text, by masked-LM or by general distillation from a teacher."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tinybert_tf.checkpoints.replace_directory import replace_directory
from tinybert_tf.config.pretraining import PretrainConfig
from tinybert_tf.config.resolved import PRETRAINING_EPOCHS, PRETRAINING_RATE
from tinybert_tf.data.batches.batch_source import BatchStream
from tinybert_tf.data.corpus.corpus import Corpus
from tinybert_tf.data.corpus.masking import Masking
from tinybert_tf.data.corpus.pretraining_batches import PretrainingBatches
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.errors import InputError
from tinybert_tf.evaluation.cost import count_parameters
from tinybert_tf.evaluation.perplexity import masked_lm_metrics
from tinybert_tf.metrics import Metrics
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.masked_lm import BertPretraining, MaskedLM
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.teaching.teacher import Teacher
from tinybert_tf.pipeline.parts.losses import make_loss
from tinybert_tf.pipeline.parts.planned import planned_steps
from tinybert_tf.pipeline.parts.projections import start_projections
from tinybert_tf.pipeline.parts.shapes import devices_for
from tinybert_tf.pipeline.parts.stages import check_losses
from tinybert_tf.pipeline.parts.student import (
    SIZES,
    build_general_student,
    check_vocabulary,
    cut_from_teacher,
    resolved_init,
)
from tinybert_tf.pipeline.runs.callbacks import CountsSteps, FiniteTraining, MeasureDev, StopAfterSteps, stage_callbacks
from tinybert_tf.pipeline.runs.log_lines import held_back
from tinybert_tf.pipeline.runs.run import Run
from tinybert_tf.training.devices import Devices
from tinybert_tf.training.optimizer import bert_optimizer
from tinybert_tf.training.run_checkpoint import RunCheckpoint

logger = logging.getLogger(__name__)

STAGE = "pretrain"
# With this seed the dev file has the same rows and masks in every run.
DEV_SEED = 0
DEV_BATCH_SIZE = 32


@dataclass
class Pretraining:
    """A checked pretraining, ready to train; `trained` is the `model` itself or a Distiller of it."""

    config: PretrainConfig
    run: Run
    devices: Devices
    tokenizer: Tokenizer
    model: MaskedLM | TransformerEncoder
    trained: keras.Model
    teacher: TransformerEncoder | None
    train: PretrainingBatches
    dev: PretrainingBatches | None

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the run, including all steps of the last execution."""
        return planned_steps(
            self.config.train, len(self.train), self.config.checkpoint_every, default_epochs=PRETRAINING_EPOCHS
        )

    def measure_dev(self) -> Metrics:
        """Measure the dev file's masked-LM metrics, or with a teacher its losses."""
        if self.dev is None:
            return {}
        if not isinstance(self.trained, Distiller):
            return masked_lm_metrics(self.trained, self.dev)
        self.dev.epoch = 0  # Keras has moved it on to the next epoch
        return dict(self.trained.evaluate(self.dev, verbose=0, return_dict=True))


def run_pretrain(config: PretrainConfig, overwrite: bool = False) -> dict[str, Any]:
    """Train a model on raw text and save it under `model/`; an interrupted run goes on from its checkpoint.

    A complete run is not trained again, unless with `overwrite`. Then its model stays until the new one is complete.

    Without a teacher the model learns masked-LM, and with `next_sentence` also next-sentence prediction (arXiv
    1810.04805, section 3.1). With a teacher this is TinyBERT's general distillation (arXiv 1909.10351, section 3.2),
    without labels and masks.

    Returns:
        The content of `metrics.json`: `{"model": {..., "before": {...}}, "data": {...}}`, with the dev file's metrics
        after and before the training. A complete run returns its existing content.

    Raises:
        InputError: the config, a file or a model is wrong, or has changed since the run began. Then nothing is written.
    """
    with Run(config, overwrite) as run:
        results = run.results()
        if results is None:
            with held_back():
                work = _prepare(config, run)
            results = _train(work)
    return results


def _prepare(config: PretrainConfig, run: Run) -> Pretraining:
    devices = devices_for(config.train, fixed_shapes=False)
    keras.utils.set_random_seed(config.train.seed)
    source = config.model.dir if config.teacher is None else config.teacher.dir
    tokenizer = load_tokenizer(_tokenizer_directory(config, source))
    if config.tokenizer is not None and config.model.dir is not None:
        check_vocabulary(config.model.dir, tokenizer)
    with devices.scope():
        if config.teacher is None:
            teacher, model = None, _masked_lm(config, tokenizer)
            trained: keras.Model = model
        else:
            teacher = TransformerEncoder.from_pretrained(config.teacher.dir, dtype="float32")
            model = build_general_student(config.model, teacher, tokenizer, config.layer_map)
            frozen = Teacher(teacher, precision=config.teacher.precision)
            losses = [make_loss(STAGE, section) for section in config.losses]
            trained = Distiller(frozen, model, config.layer_map, losses=losses, projections=config.projections)
            check_losses(trained)
    _check_rows(config, tokenizer, config.model.dir or source or "the model", model.config)
    if config.corpus.whole_word:
        tokenizer.require_wordpiece()  # before it reads the corpus
    if teacher is not None:
        _check_rows(config, tokenizer, str(source), teacher.config)
    with run.made_for_checks():
        folder, values = run.path / "corpus", config.train
        train = _batches(config, tokenizer, config.corpus.files, folder / "train", values.batch_size, values.seed)
        dev = None
        if config.corpus.dev is not None:
            dev = _batches(config, tokenizer, (config.corpus.dev,), folder / "dev", DEV_BATCH_SIZE, DEV_SEED)
    return Pretraining(config, run, devices, tokenizer, model, trained, teacher, train, dev)


def _check_rows(config: PretrainConfig, tokenizer: Tokenizer, source: str, sizes: EncoderConfig) -> None:
    """Refuse rows that a model of these sizes cannot read."""
    check_limits(sizes, tokenizer.vocab_size, config.corpus.max_length, source)
    if _has_pairs(config) and sizes.type_vocab_size < 2:
        raise InputError(
            f"{source}: type_vocab_size={sizes.type_vocab_size}; rows of two segments need 2 (or next_sentence=false)."
        )


def _has_pairs(config: PretrainConfig) -> bool:
    """Return whether rows have two segments: by default as in BERT's pretraining, but not if a masked LM goes on."""
    if config.next_sentence is not None:
        return config.next_sentence
    return config.teacher is not None or config.model.dir is None


def _tokenizer_directory(config: PretrainConfig, source: str | None) -> str:
    directory = config.tokenizer or source
    if directory is None:
        raise InputError(
            "tokenizer: a new model needs one (--tokenizer DIR); "
            "`tinybert vocab --corpus F --size N --out DIR` makes one."
        )
    return directory


def _masked_lm(config: PretrainConfig, tokenizer: Tokenizer) -> MaskedLM:
    """Make the masked LM to train: a directory's, with new heads if it has none, or one with new weights."""
    kind = BertPretraining if _has_pairs(config) else MaskedLM
    section = config.model
    sizes = {name: getattr(section, name) for name in SIZES if getattr(section, name) is not None}
    if section.dir is None:
        return kind(EncoderConfig.from_preset(str(section.preset), vocab_size=tokenizer.vocab_size, **sizes))
    if sizes:
        raise InputError(f"model.{next(iter(sizes))} is given beside model.dir, which has its own sizes.")
    model = kind.from_pretrained(section.dir)
    model.encoder.trainable = not config.head_only
    return model


def _batches(
    config: PretrainConfig, tokenizer: Tokenizer, files: tuple[str, ...], folder: Path, batch_size: int, seed: int
) -> PretrainingBatches:
    section, has_pairs = config.corpus, _has_pairs(config)
    corpus = Corpus.tokenize(files, tokenizer, folder, min_documents=2 if has_pairs else 1)
    masking = Masking(section.mask_probability, section.whole_word) if config.teacher is None else None
    return PretrainingBatches(corpus, tokenizer, batch_size, seed, section.max_length, masking, has_pairs)


def _train(work: Pretraining) -> dict[str, Any]:
    config, run = work.config, work.run
    values, every = config.train, config.checkpoint_every
    total_steps = work.total_steps
    optimizer = bert_optimizer(
        learning_rate=values.learning_rate or PRETRAINING_RATE,
        total_steps=total_steps,
        schedule=values.schedule,
        warmup_fraction=values.warmup_fraction,
        weight_decay=values.weight_decay,
    )
    work.trained.compile(
        optimizer=optimizer,
        jit_compile=work.devices.choice.jit_compile,
        accumulation_steps=values.accumulation_steps,
        steps_per_execution=values.steps_per_execution,
    )
    checkpoint = RunCheckpoint(run.checkpoint, work.trained)
    notes = checkpoint.restore()
    if notes is None:
        run.begin()
        _start_from_cut(work)
        notes = {"step": 0, "seconds": 0.0, "before": work.measure_dev(), "logged": {}}
    else:
        logger.info(f"{run.path}: goes on after step {notes['step']} of {total_steps}")
    run.keep_logs(notes["logged"])
    stream = BatchStream(work.train, every)
    stream.epoch = -(-notes["step"] // every)  # the last epoch is over, even if it was cut short
    callbacks: list[Any] = [
        FiniteTraining(STAGE, total_steps, values.learning_rate or PRETRAINING_RATE),
        StopAfterSteps(total_steps),
        *stage_callbacks(STAGE, total_steps, run, stream, unit="checkpoint"),
    ]
    for callback in callbacks:
        if isinstance(callback, CountsSteps):
            callback.step = notes["step"]
    if work.dev is not None:
        callbacks.insert(0, MeasureDev(work.trained, lambda _: work.measure_dev()))
    begin = time.monotonic() - notes["seconds"]

    def save(epoch: int, _: Any) -> None:
        step = min((epoch + 1) * every, total_steps)
        notes.update(step=step, seconds=time.monotonic() - begin, logged=run.num_logged)
        checkpoint.save(notes)

    # The last callback, so that all others have run before the state is saved.
    callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=save))
    epochs = -(-total_steps // every)
    work.trained.fit(stream, initial_epoch=stream.epoch, epochs=epochs, callbacks=callbacks, verbose=0)
    replace_directory(run.path / "model", lambda path: work.model.save_pretrained(path, tokenizer=work.tokenizer))
    seconds = time.monotonic() - begin
    results: dict[str, Any] = {
        "model": {
            **work.measure_dev(),
            "before": notes["before"],
            "parameters": count_parameters(work.model),
            "steps": total_steps,
            "seconds": round(seconds, 1),
        },
        "data": {"train": _data_summary(work.train)},
    }
    if work.dev is not None:
        results["data"]["dev"] = _data_summary(work.dev)
    run.finish(results)
    return results


def _start_from_cut(work: Pretraining) -> None:
    """Cut the student from its teacher on rows of the corpus, and start the projections to match."""
    teacher, student = work.teacher, work.model
    if teacher is None or resolved_init(work.config.model, student.config, teacher.config) != "cut":
        return
    section = work.config.model.cut
    rows: list[dict[str, Any]] = []
    num_tokens = 0
    for step in range(len(work.train)):
        (inputs,) = work.train[step]
        rows.append({name: values[: section.num_texts - _count(rows)] for name, values in inputs.items()})
        num_tokens += int(rows[-1]["attention_mask"].sum())
        if _count(rows) == section.num_texts or num_tokens >= section.max_tokens:
            break
    cut = cut_from_teacher(student, teacher, work.config.layer_map, rows, section)
    start_projections([work.trained], cut)


def _count(batches: list[dict[str, Any]]) -> int:
    return sum(len(batch["input_ids"]) for batch in batches)


def _data_summary(batches: PretrainingBatches) -> dict[str, int]:
    corpus = batches.corpus
    return {
        "documents": corpus.num_documents,
        "sentences": corpus.num_sentences,
        "tokens": corpus.num_tokens,
        "rows": batches.num_rows,
    }
