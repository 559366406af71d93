"""Reading, checking and tokenizing the data sets of a run once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tinybert_tf.config.schema import Data, DistillConfig, StageSection
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

if TYPE_CHECKING:  # stages train on these data sets
    from tinybert_tf.pipeline.parts.stages import Stage

logger = logging.getLogger(__name__)

# The name of a data set: the rows of `train`, and after them all texts without labels.
WITH_UNLABELLED = "train and texts without labels"


def read_datasets(
    data: Data, more: Mapping[str, bool] = MappingProxyType({}), task: str = "sequence_classification"
) -> dict[str, Any]:
    """Read the data of a config: `train`, `dev` and, if there is one, `test`; and `more` files by their paths.

    If `dev` is a fraction, it is held out of `train`.

    Args:
        data: the files and columns.
        more: paths of other files, and whether to read their labels.
        task: the task of the data.

    Raises:
        InputError: as `Task.read`.
    """
    paths = {"train": data.train, "dev": data.dev if isinstance(data.dev, str) else None, "test": data.test}
    has_labels = {path: True for path in paths.values() if path is not None} | dict(more)
    read = {
        path: find_task(task).read(path, data.text, data.label, data.labels, labelled)
        for path, labelled in has_labels.items()
    }
    named = {name: read[path] for name, path in paths.items() if path is not None}
    if not isinstance(data.dev, str):
        rest, dev = find_task(task).split(named["train"], data.dev, data.dev_seed)
        logger.info(f"dev: {len(dev)} of {len(named['train'])} rows are held out of {data.train}, seed {data.dev_seed}")
        named = {**named, "train": rest, "dev": dev}
    return named | {path: read[path] for path in more}


def tokenize(
    datasets: Mapping[str, Any],
    tokenizer: Tokenizer,
    label_names: Sequence[str],
    max_length: int,
    task: str = "sequence_classification",
    padded_lengths: Sequence[int] | None = None,
) -> dict[str, EncodedDataset]:
    """Tokenize every data set and read its labels; log how many texts were cut at `max_length`.

    Raises:
        InputError: as `Task.encode`; all data sets are checked before the first is tokenized.
    """
    for dataset in datasets.values():
        find_task(task).check(dataset, label_names)
    encoded = {}
    for name, dataset in datasets.items():
        of_task = find_task(task).encode(dataset, tokenizer, label_names, max_length)
        encoded[name], tokens = replace(of_task, padded_lengths=padded_lengths), of_task.tokens
        logger.info(
            f"{name}: {len(tokens)} rows, {tokens.lengths.mean():.1f} tokens on average; "
            f"{tokens.num_truncated} cut at {max_length} tokens"
        )
    return encoded


def train_split(section: StageSection, stage: Stage, data: Data) -> str:
    """Return the name of the data set on which a stage trains: its own file's path, `WITH_UNLABELLED` or `train`."""
    if section.train not in (None, data.train):
        return str(section.train)
    has_unlabelled = data.unlabelled or data.augment
    return WITH_UNLABELLED if has_unlabelled and takes_any_text(section, stage, data) else "train"


def takes_any_text(section: StageSection, stage: Stage, data: Data) -> bool:
    """Return whether a stage trains on texts without labels, if there are any."""
    return section.train in (None, data.train) and stage.learns_any_text


def own_files(config: DistillConfig, stages: Sequence[Stage]) -> dict[str, bool]:
    """Return the paths of the files beside `data`'s own, and whether a loss or the baseline needs their labels."""
    files: dict[str, bool] = dict.fromkeys(config.data.unlabelled or (), False)
    for section, stage in zip(config.stages, stages, strict=True):
        path = section.train
        if path not in (None, config.data.train):
            files[path] = files.get(path, False) or config.baseline or stage.needs_labels
    return files
