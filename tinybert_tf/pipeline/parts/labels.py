"""What the labels of data mean to a model: what integers stand for, and which class is the positive one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from tinybert_tf.data.tasks import find_task
from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels

logger = logging.getLogger(__name__)

# The task in which exactly one class is right, so that one of two can be the positive one.
WITH_POSITIVE = "sequence_classification"


def labels_for(labels: Labels, datasets: Iterable[Any], task: str, positive: str | None = None) -> Labels:
    """A model's labels as the data sets are read by them, and as a model that learns from these carries them.

    What integers stand for is what the data declares, else what the model carries; else integer i is class i, and a
    log line says so.

    Args:
        labels: the model's.
        datasets: as `Task.read` gives them; the first one's declaration counts.
        task: the task's name.
        positive: the class whose F1 is measured, as a name or as files write it.

    Raises:
        InputError: `positive` is none of two labels, or given for a task without classes of which one is right.
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
