"""Copying layers of a teacher into its student."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tinybert_tf.errors import InputError
from tinybert_tf.models.pretrained import PretrainedModel

_LAYER = re.compile(r"layer_(\d+)/")


def copy_layers(student: PretrainedModel, teacher: PretrainedModel, pairs: Iterable[tuple[int, int]]) -> None:
    """Copy the teacher's weights to the student: layer t to layer s for each pair `(s, t)`, all other weights by name.

    Embeddings, pooler and head are copied if both models have them.

    Args:
        student: a model of the teacher's widths and vocabulary, with any number of layers.
        teacher: the model to copy from; it does not change.
        pairs: `(student_layer, teacher_layer)`, counted from 1; student layers without a pair keep their weights.

    Raises:
        InputError: a weight has another shape; then nothing is copied.
    """
    source_layer = dict(pairs)
    theirs = teacher.variables_by_name()
    copies = []
    for name, variable in student.variables_by_name().items():
        match = _LAYER.match(name)
        if match and int(match[1]) not in source_layer:
            continue
        source = _LAYER.sub(f"layer_{source_layer[int(match[1])]}/", name) if match else name
        if source not in theirs:
            continue
        if tuple(theirs[source].shape) != tuple(variable.shape):
            raise InputError(
                f"the student's {name} has shape {tuple(variable.shape)}, the teacher's {tuple(theirs[source].shape)}: "
                f"expected models of the same widths and vocabulary."
            )
        copies.append((variable, theirs[source]))
    for variable, value in copies:
        variable.assign(value)
