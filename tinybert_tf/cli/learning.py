"""`finetune` and `pretrain`: models that learn from labels, or from raw text."""

from __future__ import annotations

import argparse

from tinybert_tf.cli.flags import DATA, LABELLED, MAX_LENGTH, OUT, OVERWRITE, TRAIN, of_key
from tinybert_tf.cli.from_config import load
from tinybert_tf.cli.tensorflow import import_tensorflow
from tinybert_tf.cli.verb import Flag, Verb
from tinybert_tf.config.models import SIZE_NAMES


def _finetune(arguments: argparse.Namespace) -> None:
    from tinybert_tf.metrics import choose_metric
    from tinybert_tf.pipeline.first_look import look_at_finetuning
    from tinybert_tf.pipeline.runs.directory import RunDirectory
    from tinybert_tf.pipeline.runs.results import end_of_run
    from tinybert_tf.pipeline.runs.run import look_at_run

    config = load(FINETUNE.flags, FINETUNE.config, arguments)
    look_at_finetuning(config)
    results = look_at_run(config, arguments.overwrite)
    if results is None:
        import_tensorflow()
        from tinybert_tf.pipeline.finetune import run_finetune

        results = run_finetune(config, arguments.overwrite)
    print(end_of_run(results, RunDirectory(config.out), config.metric or choose_metric(config.task), "model"))


def _pretrain(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.first_look import look_at_pretraining
    from tinybert_tf.pipeline.runs.directory import RunDirectory
    from tinybert_tf.pipeline.runs.results import pretrain_summary
    from tinybert_tf.pipeline.runs.run import look_at_run

    config = load(PRETRAIN.flags, PRETRAIN.config, arguments)
    look_at_pretraining(config)
    results = look_at_run(config, arguments.overwrite)
    if results is None:
        import_tensorflow()
        from tinybert_tf.pipeline.pretrain import run_pretrain

        results = run_pretrain(config, arguments.overwrite)
    print(pretrain_summary(config.out, results, RunDirectory(config.out).read_log()))


FINETUNE = Verb(
    "finetune",
    "train a pretrained model on labelled texts",
    (
        Flag("--model", "DIR", "pretrained model: a directory or a Hub id", key="model.dir"),
        *DATA,
        *TRAIN,
        *LABELLED,
        OUT,
        OVERWRITE,
    ),
    _finetune,
    "schema.FinetuneConfig",
)
# What pretraining does by default, where other verbs follow rules; its config has the learning rate.
_OF_PRETRAINING = {"--epochs": "1; with --max-steps, no limit", "--learning-rate": ""}

PRETRAIN = Verb(
    "pretrain",
    "train a model on raw text: as a masked language model, or on a teacher's inside",
    (
        Flag("--model", "SIZE|PRESET|DIR",
             f"model: a preset's sizes, a directory to go on from, or with a teacher {', '.join(SIZE_NAMES)}",
             key="model", otherwise="medium, half of the teacher's layers"),
        Flag("--teacher", "DIR", "pretrained teacher, for general distillation, which needs no label",
             key="teacher.dir", otherwise="none, a masked language model"),
        Flag("--corpus", "F", "text files: a sentence a line, an empty line between documents", key="corpus.files",
             nargs="+"),
        Flag("--dev", "F", "text that is only measured on", key="corpus.dev", otherwise="none"),
        Flag("--tokenizer", "DIR", "tokenizer of a new model, such as `tinybert vocab` makes", key="tokenizer",
             otherwise="the model's or the teacher's"),
        of_key(MAX_LENGTH, "corpus.max_length"),
        *(flag.but(otherwise=_OF_PRETRAINING.get(flag.name, flag.otherwise)) for flag in TRAIN),
        Flag("--head-only", None, "train the head alone; the encoder stays as it is", key="head_only"),
        OUT,
        OVERWRITE,
    ),
    _pretrain,
    "pretraining.PretrainConfig",
)  # fmt: skip
