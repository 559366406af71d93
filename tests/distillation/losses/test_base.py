"""What every loss gets from the base class: checks, casts, names, config; and what a custom loss is."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tinybert_tf import AttentionLoss, DistillationLoss, EmbeddingLoss, HiddenStateLoss, InputError, PredictionLoss
from tinybert_tf.distillation.losses import LOSSES
from tinybert_tf.distillation.losses.base import global_mean, global_mean_of

MASK = np.array([[1, 1, 0]], "int32")
OF_TINYBERT = (EmbeddingLoss, AttentionLoss, HiddenStateLoss, PredictionLoss)


class LabelledMargin(DistillationLoss):
    """A custom loss in a few lines: how much lower the student's logit of the label is than the teacher's."""

    feature = "logits"

    def call(self, *, student: Any, teacher: Any, mask: Any, labels: Any) -> Any:
        one_hot = ops.one_hot(labels, student.shape[-1])
        return ops.mean(ops.relu(ops.sum((teacher - student) * one_hot, axis=-1)))


class QueriesAndKeys(DistillationLoss):
    feature = ("queries", "keys")

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return sum(ops.mean(ops.square(student[name] - teacher[name])) for name in self.feature_names)


class AllLayers(DistillationLoss):
    feature = "hidden_states"
    layers = "all"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.sum(student[max(student)]) - ops.sum(teacher[max(teacher)])


class Vector(DistillationLoss):
    feature = "logits"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.mean(student - teacher, axis=-1)


def test_a_custom_loss_with_labels() -> None:
    student, teacher = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 9.0], [9.0, 3.0]])
    loss = LabelledMargin(weight=2.0)
    assert loss.uses_labels
    assert loss.needs_labels
    assert loss.name == "labelled_margin"
    value = loss(student=student, teacher=teacher, labels=np.array([0, 1]))
    assert float(value) == pytest.approx((0 + 3) / 2)  # unweighted


def test_labels_only_where_named() -> None:
    assert not HiddenStateLoss().uses_labels
    assert not HiddenStateLoss().needs_labels
    assert PredictionLoss().uses_labels
    zeros = np.zeros((1, 3, 2))
    assert float(HiddenStateLoss()(student=zeros, teacher=zeros, mask=MASK, labels=np.array([1]))) == 0.0


def test_a_tuple_of_features() -> None:
    loss = QueriesAndKeys()
    assert loss.is_per_layer
    tensors = {"queries": np.zeros((1, 2, 3, 4)), "keys": np.zeros((1, 2, 3, 4))}
    teacher = {"queries": np.ones((1, 2, 3, 4)), "keys": np.full((1, 2, 3, 4), 2.0)}
    assert float(loss(student=tensors, teacher=teacher, mask=MASK)) == 1.0 + 4.0
    with pytest.raises(InputError, match="queries_and_keys: the student's"):
        loss(student=tensors, teacher={**teacher, "keys": np.zeros((1, 2, 3, 5))}, mask=MASK)


def test_all_layers_at_once_may_differ_in_number_and_width() -> None:
    student, teacher = {0: np.zeros((1, 3, 2)), 1: np.ones((1, 3, 2))}, {n: np.full((1, 3, 4), n) for n in range(4)}
    assert float(AllLayers()(student=student, teacher=teacher, mask=MASK)) == 6.0 - 3 * 12.0


def test_float32_whatever_comes_in() -> None:
    seen: dict[str, str] = {}

    class Dtypes(DistillationLoss):
        feature = "logits"

        def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
            named = {"student": student, "teacher": teacher, "mask": mask}
            seen.update({name: keras.backend.standardize_dtype(tensor.dtype) for name, tensor in named.items()})
            return ops.cast(ops.sum(student), "float16")

    value = Dtypes()(student=ops.ones((1, 2), "bfloat16"), teacher=np.ones((1, 2), "float64"), mask=MASK)
    assert seen == {"student": "float32", "teacher": "float32", "mask": "float32"}
    assert keras.backend.standardize_dtype(value.dtype) == "float32"


def test_a_loss_needs_a_feature() -> None:
    class Nameless(DistillationLoss):
        pass

    with pytest.raises(InputError, match=r"^Nameless names no `feature`"):
        Nameless()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"layers": "odd"}, r"Odd\.layers is 'odd'; expected one of mapped, consecutive, embedding, all"),
        ({"mean_over": "words"}, r"Odd\.mean_over is 'words'; expected one of rows, tokens, token_pairs"),
        ({"feature": 3}, r"Odd\.feature is 3; expected a key of the output dict, or a tuple"),
        ({"feature": ("keys", "logits")}, r"Odd compares \('keys', 'logits'\): some exist layer by layer, some once"),
        ({"feature": ("queries", "keys"), "projected": True}, "a projection is for a loss of one feature"),
        ({"call": lambda self, student, teacher: 0.0}, r"Odd\.call takes no `mask`; expected `call\(self, \*, student"),
    ],
)
def test_a_class_is_checked_when_it_is_made(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}" if message.startswith("Odd") else message):
        type("Odd", (DistillationLoss,), {"feature": "hidden_states", **declared})


def test_a_base_class_may_leave_the_feature_to_its_subclasses_or_losses() -> None:
    class Base(DistillationLoss):
        def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
            return ops.mean(student - teacher)

    class Chosen(Base):
        def __init__(self, chosen: str) -> None:
            self.chosen = chosen
            super().__init__()

        @property
        def feature(self) -> str:  # type: ignore[override]
            return self.chosen

    assert Chosen("values").part_of_map == "layers"
    assert Chosen("logits").part_of_map == "prediction"
    with pytest.raises(InputError, match=r"^Chosen\.feature is 3; expected a key"):
        Chosen(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [-1.0, -1e-9, math.nan])
def test_a_weight_is_not_negative(weight: float) -> None:
    with pytest.raises(InputError, match=f"HiddenStateLoss: weight={weight}; expected a number >= 0"):
        HiddenStateLoss(weight=weight)


def test_a_result_that_is_no_scalar() -> None:
    with pytest.raises(InputError, match=r"^Vector\.call returned shape \(3,\); expected a scalar tensor, or \(total"):
        Vector()(student=np.zeros((3, 2)), teacher=np.zeros((3, 2)))


@pytest.mark.parametrize("result", [None, "0.5", [0.5]])
def test_a_result_that_is_no_tensor(result: Any) -> None:
    class Forgetful(Vector):
        def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
            return result

    with pytest.raises(InputError, match=rf"^Forgetful\.call returned {re.escape(repr(result))}; expected a scalar"):
        Forgetful()(student=np.zeros((3, 2)), teacher=np.zeros((3, 2)))


def test_a_number_is_a_scalar() -> None:
    class Constant(Vector):
        def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
            return 2

    value = Constant()(student=np.zeros((3, 2)), teacher=np.zeros((3, 2)))
    assert (float(value), keras.backend.standardize_dtype(value.dtype)) == (2.0, "float32")


def test_missing_labels() -> None:
    loss = PredictionLoss(hard_label_weight=0.5)
    with pytest.raises(InputError, match=r"^prediction_loss: the data has no labels; this loss needs them\.$"):
        loss(student=np.zeros((1, 2)), teacher=np.zeros((1, 2)))


@pytest.mark.parametrize("name", [name for name in LOSSES if "relation" not in name])
def test_different_shapes(name: str) -> None:
    loss = LOSSES[name]()
    size = 4 if loss.any_width else 3
    message = (
        rf"{loss.name}: the student's .* has shape \(1, 2, 3, 3\), the teacher's \(1, 2, {size}, 4\).* expected equal"
    )
    with pytest.raises(InputError, match=message):
        loss(student=np.zeros((1, 2, 3, 3)), teacher=np.zeros((1, 2, size, 4)), mask=MASK, labels=np.zeros(1, "int32"))


def test_different_numbers_of_heads() -> None:
    message = r"student has 2 attention heads, the teacher 4.*num_attention_heads=4.*HiddenState"
    with pytest.raises(InputError, match=message):
        AttentionLoss()(student=np.zeros((1, 2, 3, 3)), teacher=np.zeros((1, 4, 3, 3)), mask=MASK)


@pytest.mark.parametrize("name", LOSSES)
def test_names(name: str) -> None:
    assert LOSSES[name].__doc__
    assert LOSSES[name]().name == f"{name}_loss"
    assert LOSSES[name](name="mine").name == "mine"


@pytest.mark.parametrize(
    "loss",
    [
        *[loss_class(weight=0.25, name="mine") for loss_class in LOSSES.values()],
        *[loss_class(reduction="paper") for loss_class in OF_TINYBERT],
        LOSSES["dkd"](alpha=0.5, beta=2.0, temperature=3.0),  # type: ignore[call-arg]
        LOSSES["rkd"](distance_weight=0.5, angle_weight=3.0),  # type: ignore[call-arg]
        LOSSES["value_relation"](num_relation_heads=4),  # type: ignore[call-arg]
        PredictionLoss(temperature=3.0, hard_label_weight=0.5),
        LabelledMargin(weight=3.0),
    ],
)
def test_config_round_trip(loss: DistillationLoss) -> None:
    again = type(loss).from_config(loss.get_config())
    assert vars(again) == vars(loss)


@pytest.mark.parametrize("loss_class", OF_TINYBERT)
def test_reduction_is_one_of_two(loss_class: type[DistillationLoss]) -> None:
    with pytest.raises(InputError, match="reduction='mean'; expected 'tokens' or 'paper'"):
        loss_class(reduction="mean")  # type: ignore[call-arg]


def test_global_mean_of_nothing_is_zero() -> None:
    assert float(global_mean(ops.convert_to_tensor(0.0), ops.convert_to_tensor(0))) == 0.0
    assert float(global_mean_of(ops.zeros((0, 3)))) == 0.0
    assert float(global_mean(ops.convert_to_tensor(6.0), ops.convert_to_tensor(4))) == 1.5
    assert float(global_mean_of(np.array([[1.0, 2.0, 6.0]], "float32"))) == 3.0


def test_a_loss_without_call() -> None:
    class Bare(DistillationLoss):
        feature = "logits"

    with pytest.raises(InputError, match=r"^Bare implements no `call\(self, \*, student, teacher, mask\)`\.$"):
        Bare()


def test_a_call_that_takes_all() -> None:
    class Open(DistillationLoss):
        feature = "logits"

        def call(self, **given: Any) -> Any:
            return given["student"][0, 0]

    assert float(Open()(student=np.ones((1, 2)), teacher=np.zeros((1, 2)))) == 1.0
