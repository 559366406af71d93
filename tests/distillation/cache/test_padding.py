"""Which losses compare padding: decided by their values, whatever they say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from keras import ops

from tinybert_tf import (
    AttentionLoss,
    DistillationLoss,
    Distiller,
    EmbeddingLoss,
    HiddenStateLoss,
    SequenceClassifier,
    Teacher,
)
from tinybert_tf.distillation.cache.padding import losses_of_padding
from tinybert_tf.distillation.losses import LOSSES

Make = Callable[..., SequenceClassifier]


class Unmasked(DistillationLoss):
    feature = "hidden_states"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.mean(ops.square(student - teacher))


class UnmaskedColumns(DistillationLoss):
    """Leaves padded columns out, and keeps padded rows."""

    feature = "attention_scores"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.mean(ops.square(student - teacher) * mask[:, None, None, :])


class UnmaskedStudent(DistillationLoss):
    """Looks at padding, but not at the teacher's."""

    feature = "hidden_states"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.mean(ops.square(student)) - ops.mean(ops.square(teacher * mask[..., None]))


class UnmaskedProjected(Unmasked):
    """Call the loss as the map `attention` does."""

    projected = True


class Pooled(DistillationLoss):
    """A loss of a feature that a row has once sees no padding."""

    feature = "pooled_output"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.mean(ops.square(student - teacher))


class Failing(DistillationLoss):
    """Can be traced, and refuses the numbers that it is tried with."""

    feature = "hidden_states"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        if not ops.is_tensor(student) or hasattr(student, "numpy"):
            raise ValueError
        return ops.sum(student * mask[..., None])


def found(make_model: Make, *losses: DistillationLoss) -> list[str]:
    return losses_of_padding(Distiller(Teacher(make_model(1, num_hidden_layers=3)), make_model(2), losses=losses))


def test_losses_of_the_users_own(make_model: Make) -> None:
    given = [Unmasked(), Pooled(), UnmaskedColumns(), UnmaskedStudent(), HiddenStateLoss(), Unmasked(name="another")]
    assert found(make_model, *given) == ["unmasked", "unmasked_columns", "another"]
    assert found(make_model, Pooled()) == []
    assert found(make_model, Failing()) == ["failing"]


def test_the_authors_arithmetic_is_over_padding_too(make_model: Make) -> None:
    assert found(make_model, *(loss("paper") for loss in (EmbeddingLoss, AttentionLoss, HiddenStateLoss))) == [
        "embedding_loss",
        "attention_loss",
        "hidden_state_loss",
    ]


def test_no_loss_of_ours_is_by_default(make_model: Make) -> None:
    losses = [loss() for loss in LOSSES.values() if loss().compares is None or "classes" in loss().compares]
    assert len(losses) > 10
    assert found(make_model, *losses) == []


@pytest.mark.parametrize("layer_map", ["emd", "attention"])
def test_with_learned_maps(layer_map: str, make_model: Make) -> None:
    teacher, student = Teacher(make_model(1, num_hidden_layers=3)), make_model(2)
    assert losses_of_padding(Distiller(teacher, student, layer_map, losses=[HiddenStateLoss()])) == []
    assert losses_of_padding(Distiller(teacher, student, layer_map, losses=[UnmaskedProjected()])) == [
        "unmasked_projected"
    ]
