"""A student that starts as layers of its teacher."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tinybert_tf.errors import InputError
from tinybert_tf.models.pretrained import PretrainedModel

_LAYER = re.compile(r"layer_(\d+)/")


def copy_layers(student: PretrainedModel, teacher: PretrainedModel, pairs: Iterable[tuple[int, int]]) -> None:
    """Give the student the teacher's weights: its layer s those of layer t for each pair, everything else by name.

    Embeddings, pooler and head are copied where both models have them.

    Args:
        student: same widths and vocabulary as the teacher, any number of layers.
        teacher: where the weights come from; unchanged.
        pairs: `(student_layer, teacher_layer)`, 1..N; others are left out.

    Raises:
        InputError: a weight of another shape; nothing is copied then.
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
                f"layers can be copied between models of the same widths and vocabulary only."
            )
        copies.append((variable, theirs[source]))
    for variable, value in copies:
        variable.assign(value)
