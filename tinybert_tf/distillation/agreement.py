"""Checks that teacher and student agree on their labels and on the meaning of their logits."""

from __future__ import annotations

import keras

from tinybert_tf.errors import InputError


def agree_on_labels(teacher: keras.Model, student: keras.Model) -> None:
    """Give the teacher's labels to a student without names for its classes; refuse other names, or another order.

    Raises:
        InputError: both models name their classes, and the names or their order differ.
    """
    theirs, ours = (dict(getattr(model, "id2label", None) or {}) for model in (teacher, student))
    if len(ours) != len(theirs) or ours == theirs or _are_default(theirs):
        return
    if not _are_default(ours):
        raise InputError(
            f"the student's labels {list(ours.values())} are not the teacher's {list(theirs.values())}, in that order; "
            f"they must be equal."
        )
    known = getattr(teacher, "labels", None)  # with the classes that integers stand for
    if known and hasattr(student, "labels"):
        student.labels = known
    else:
        student.id2label = theirs


def agree_on_predictions(teacher: keras.Model, student: keras.Model) -> str | None:
    """The kind of the logits, by the models' `predicts`; None if neither has one.

    Raises:
        InputError: both models have one, and they differ.
    """
    said = [predicts for model in (student, teacher) if (predicts := getattr(model, "predicts", None)) is not None]
    if len(set(said)) > 1:
        raise InputError(f"the student predicts {said[0]}, the teacher {said[1]}; they must predict the same.")
    return said[0] if said else None


def _are_default(id2label: dict[int, str]) -> bool:
    return all(name == f"LABEL_{number}" for number, name in id2label.items())
