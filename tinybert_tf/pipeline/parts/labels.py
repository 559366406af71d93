"""The meaning of a data set's labels to a model: the classes of integers, and the positive class."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from tinybert_tf.data.tasks import find_task
from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels

logger = logging.getLogger(__name__)

# The task with exactly one right class, so that one of two classes can be the positive one.
WITH_POSITIVE = "sequence_classification"


def labels_for(labels: Labels, datasets: Iterable[Any], task: str, positive: str | None = None) -> Labels:
    """Complete a model's labels by which the data sets are read, and which a model that learns from these keeps.

    The data declares the meaning of integers, or else the model; otherwise integer i is class i, as a log line tells.

    Args:
        labels: the model's labels.
        datasets: the data sets from `Task.read`; the first one's declaration counts.
        task: the task's name.
        positive: the class whose F1 is measured, by its name or as in files.

    Raises:
        InputError: `positive` is none of two labels, or is given for a task without exactly one right class.
    """
    if positive is not None and task != WITH_POSITIVE:
        raise InputError(f"positive: {positive!r} in task {task}; only {WITH_POSITIVE} has a positive class")
    read = list(datasets)
    declared = find_task(task).declared_names(read[0])
    known = labels.read_by(declared, positive)
    with_integers = [each for each in read if declared is None and find_task(task).has_integers(each, known)]
    if with_integers and known.integers is None and not known.are_default:
        meaning = ", ".join(f"{number} = {name}" for number, name in enumerate(known[:20]))
        logger.info(f"integers in {with_integers[0].source}: {meaning}{', ...' if len(known) > 20 else ''}")
    return known.learned(bool(with_integers), task == WITH_POSITIVE)
