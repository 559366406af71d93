"""The losses of predictions against labels, by the kind of the logits (`tinybert_tf.features`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from tinybert_tf import features
from tinybert_tf.errors import InputError

Losses = tuple[Any, Any]  # the loss of each prediction, and 1 where it has a label; both of the same shape


def label_losses(predicts: str, logits: Any, labels: Any) -> Losses:
    """The loss of each prediction, float32, and 1 where there is a label, 0 elsewhere; both of the same shape.

    Args:
        predicts: the kind of the logits. `classes`: cross-entropy of `(..., classes)`, labels `(...)`. `positions`:
            likewise, with logits `(batch, columns, seq_len)`. `scores`: squared error of `(batch, 1)`, labels
            `(batch,)`. `labels`: binary cross-entropy of each of `(batch, labels)`, labels of the same shape.
        logits: float32.
        labels: integers, or numbers for scores; one more last axis of size 1 is allowed. An integer below 0, or NaN as
            a score, stands for no label. A class or position that the logits do not have gives a loss of NaN.

    Raises:
        InputError: there are no labels, or they have another shape; there is one class, so the loss would always be 0.
    """
    if labels is None:
        raise InputError("labels: found none, expected one for each prediction: the data has no labels.")
    return _LOSSES[predicts](logits, labels)


def of_shape(labels: Any, predictions: Any) -> Any:
    """Labels in the shape of the predictions `(...)`: Keras's last axis of size 1, if there is one, is removed.

    Raises:
        InputError: the labels have another shape.
    """
    labels = ops.convert_to_tensor(labels)
    found, expected = tuple(labels.shape), tuple(predictions.shape)
    if len(found) == len(expected) + 1 and found[-1] == 1:
        labels, found = ops.squeeze(labels, axis=-1), found[:-1]
    pairs = zip(found, expected, strict=False)
    if len(found) != len(expected) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
        raise InputError(f"labels: found shape {found}, expected {expected}: one label for each prediction.")
    return labels


def check_label_values(labels: Any, classes: int | None) -> None:
    """Refuse integer labels of classes that do not exist, before a pass begins.

    Args:
        labels: an array of integers, or labels of tokens with an array `values`; anything else passes.
        classes: the number of classes; None if labels are not classes.

    Raises:
        InputError: a label is `classes` or more.
    """
    values = getattr(labels, "values", labels)
    if classes is None or not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.integer):
        return
    if values.size and values.max() >= classes:
        first = np.argwhere(values >= classes)[0]
        raise InputError(
            f"labels: found {values.max()} (the first such label is number {first[0]}), expected integers below "
            f"{classes}, the number of classes."
        )


def check_classes(logits: Any, name: str) -> None:
    """Refuse logits of a single class.

    Raises:
        InputError: there is one class.
    """
    if logits.shape[-1] == 1:
        raise InputError(f"{name}: one class always has the probability 1, and nothing is learned; expected 2 or more.")


def known_classes(logits: Any, labels: Any) -> tuple[Any, Any, Any]:
    """For logits `(..., classes)` the class of each label (0 if there is none), 1 where there is a label, and a factor.

    The factor of a label's loss is 1, or NaN for a class that the logits do not have.
    """
    labels = of_shape(labels, logits[..., 0])
    classes = ops.cast(ops.shape(logits)[-1], labels.dtype)
    is_label, is_too_high = labels >= 0, labels >= classes
    known = ops.where(ops.logical_and(is_label, ops.logical_not(is_too_high)), labels, ops.zeros_like(labels))
    return ops.cast(known, "int32"), ops.cast(is_label, "float32"), ops.where(is_too_high, float("nan"), 1.0)


def _position_losses(logits: Any, labels: Any) -> Losses:
    known, labelled, factor = known_classes(logits, labels)
    losses = ops.sparse_categorical_crossentropy(known, logits, from_logits=True)
    return losses * labelled * factor, labelled


def _class_losses(logits: Any, labels: Any) -> Losses:
    check_classes(logits, "cross-entropy")
    return _position_losses(logits, labels)


def _score_losses(logits: Any, labels: Any) -> Losses:
    scores = logits[..., 0]
    labels = ops.cast(of_shape(labels, scores), "float32")
    labelled = ops.isfinite(labels)
    # 0 in place of a missing label: a NaN would come back through the gradient, although it is masked.
    losses = ops.square(ops.where(labelled, labels, 0.0) - scores)
    labelled = ops.cast(labelled, "float32")
    return losses * labelled, labelled


def _binary_losses(logits: Any, labels: Any) -> Losses:
    labels = ops.cast(of_shape(labels, logits), "float32")
    labelled = ops.cast(labels >= 0, "float32")
    return (ops.softplus(logits) - labels * logits) * labelled, labelled


_LOSSES: dict[str, Callable[[Any, Any], Losses]] = {
    features.CLASSES: _class_losses,
    features.POSITIONS: _position_losses,
    features.SCORES: _score_losses,
    features.LABELS: _binary_losses,
}
