"""Finding mistakes that show without a model: missing files, columns and directories.

The command line calls these functions before it imports TensorFlow, which takes seconds: nothing here imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinybert_tf.checkpoints.directory import local_directory
from tinybert_tf.checkpoints.hf_directory import read_config
from tinybert_tf.config.pretraining import PretrainConfig
from tinybert_tf.config.schema import DistillConfig, FinetuneConfig
from tinybert_tf.data.corpus.reader import CorpusFiles
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.text.hub_datasets import is_hub_split
from tinybert_tf.data.text.readers import check_columns, check_file, has_columns


def look_at_finetuning(config: FinetuneConfig) -> None:
    """Refuse a fine-tuning whose model or data are missing.

    Raises:
        InputError: as `run_finetune`.
    """
    look_at_data(config)
    look_at_model(config.model.dir)


def look_at_distillation(config: DistillConfig) -> None:
    """Refuse a distillation whose models or data, those of its stages too, are missing.

    Raises:
        InputError: as `run_distill`.
    """
    look_at_data(config)
    for path in (*(config.data.unlabelled or ()), *(stage.train for stage in config.stages)):
        if path is not None:
            find_task(config.task).look(path, config.data.text, has_labels=False)
    for model in (*config.teacher.dirs, config.student.dir):
        look_at_model(model)


def look_at_data(config: FinetuneConfig | DistillConfig) -> None:
    """Refuse a config whose files are missing, or do not have its columns.

    Raises:
        InputError: as `Task.look`.
    """
    data = config.data
    for path in dict.fromkeys((data.train, data.dev, data.test)):
        if isinstance(path, str):
            find_task(config.task).look(path, data.text, data.label)


def look_at_pretraining(config: PretrainConfig) -> None:
    """Refuse a pretraining whose models or text are missing.

    Raises:
        InputError: as `run_pretrain`.
    """
    CorpusFiles.of([*config.corpus.files, *([] if config.corpus.dev is None else [config.corpus.dev])])
    look_at_model(config.model.dir)
    for model in () if config.teacher is None else config.teacher.dirs:
        look_at_model(model)


def look_at_file(
    path: str | None, text: str | Sequence[str] | None = None, label: str | None = None, task: str | None = None
) -> None:
    """Refuse a file that is missing, or has not these columns; `task` None is the task of a model not yet read.

    Raises:
        InputError: as `Task.look`.
    """
    if path is None or is_hub_split(path):
        return
    if task is not None:
        find_task(task).look(path, text, label)
    elif text is not None and has_columns(path):
        check_columns(path, text, label)
    else:
        check_file(Path(path), "data")


def look_at_model(path_or_hub_id: str | Path | None) -> None:
    """Refuse a directory that is missing, or whose `config.json` cannot be read; a Hub id passes.

    Raises:
        InputError: as `from_pretrained`.
    """
    directory = None if path_or_hub_id is None else local_directory(path_or_hub_id)
    if directory is not None:
        read_config(directory)
