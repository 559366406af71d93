"""Texts without labels, which a teacher answers: the user's own, and texts made of those of the training file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras

from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.data.augmentation.text_maker import TextMaker
from tinybert_tf.data.augmentation.word_table import WordTable
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.data.task import Task
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.pipeline.parts.splits import WITH_UNLABELLED

logger = logging.getLogger(__name__)

# The name of the data set of made texts.
MADE = "made texts"
# The number of words that may replace a word.
NEAREST_WORDS = 10


def new_texts(
    config: DistillConfig, datasets: Mapping[str, Any], teacher: TaskModel, tokenizer: Tokenizer
) -> dict[str, Any]:
    """Return the texts without labels, by their names: those of the user's files that are new, and made ones.

    A text that `train`, `dev` or `test` have is left out, and one that came before, too.

    Args:
        config: the config.
        datasets: `train`, `dev` and perhaps `test`, and the files `data.unlabelled` by their paths.
        teacher: the teacher, whose embedding table says which words are near each other.
        tokenizer: the teacher's tokenizer.
    """
    task = find_task(config.task)
    named = [datasets[name] for name in ("train", "dev", "test") if name in datasets]
    seen = {text for dataset in named for text in task.texts(dataset)}
    found = {}
    for path in config.data.unlabelled or ():
        found[path] = _unseen(task, datasets[path], seen, path)
    if config.data.augment:
        made = made_texts(config, datasets["train"], teacher, tokenizer)
        found[MADE] = _unseen(task, made, seen, MADE)
    return {name: dataset for name, dataset in found.items() if dataset is not None and len(dataset)}


def made_texts(config: DistillConfig, train: Any, teacher: TaskModel, tokenizer: Tokenizer) -> Any:
    """Make `data.augment` new texts of each row of `train`; None if the task's rows cannot be changed."""
    task = find_task(config.task)
    texts = task.parts(train)
    if not texts:
        return None
    words = {word for text in texts for part in text for word in part}
    embeddings = keras.ops.convert_to_numpy(teacher.encoder.embeddings.word_embeddings.embeddings)
    table = WordTable.of_tokens(words, tokenizer, embeddings)
    maker = TextMaker(texts, table.nearest(table.words, NEAREST_WORDS), config.train.seed)
    return task.of_parts(train, list(maker.texts_made(len(texts) * int(config.data.augment or 0))))


def join_unlabelled(splits: Mapping[str, EncodedDataset], more: Mapping[str, Any]) -> dict[str, EncodedDataset]:
    """Return the splits with `WITH_UNLABELLED`: `train`, and after it the data sets that `more` names."""
    joined = splits["train"]
    for name in more:
        joined = joined.with_unlabelled(splits[name])
    return {**splits, WITH_UNLABELLED: joined}


def _unseen(task: Task, dataset: Any, seen: set[Any], name: str) -> Any:
    """Return the rows whose text is new, and remember them; None if there is none."""
    if dataset is None:
        return None
    rows = []
    for row, text in enumerate(task.texts(dataset)):
        if text not in seen:
            seen.add(text)
            rows.append(row)
    dropped = len(dataset) - len(rows)
    if dropped:
        logger.info(
            f"{name}: {dropped} of {len(dataset)} texts are left out: they occur twice, or in train, dev or test"
        )
    return dataset.take(rows)
