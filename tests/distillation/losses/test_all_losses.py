"""What holds of every named loss: at degenerate inputs, under more padding, in a Distiller's traced step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import AttentionKLLoss, DistillationLoss, Distiller, InputError, RKDLoss
from tinybert_tf.distillation.losses import LOSSES
from tinybert_tf.distillation.losses.declared import COUNTS

HEADS, LENGTH, SIZE = 2, 4, 3
SHAPES = {
    "logits": (5,),
    "hidden_states": (LENGTH, HEADS * SIZE),
    "attention_scores": (HEADS, LENGTH, LENGTH),
    **dict.fromkeys(["queries", "keys", "values"], (HEADS, LENGTH, SIZE)),
}
LABELS = np.array([0, 3, 1], "int32")
MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], "int32")

every_loss = pytest.mark.parametrize("name", LOSSES)


def evaluate(
    loss: DistillationLoss, student: np.ndarray, teacher: np.ndarray, mask: np.ndarray, labels: np.ndarray = LABELS
) -> tuple[Any, Any]:
    """The loss and its gradient; where it compares two layers one after the other, the same tensor is both."""
    variable = tf.Variable(student, dtype="float32")
    with tf.GradientTape() as tape:
        one, two = (variable, teacher) if loss.layers != "consecutive" else ((variable, variable), (teacher, teacher))
        value = loss(student=one, teacher=two, mask=mask, labels=labels[: len(mask)])
    return float(value), np.asarray(tape.gradient(value, variable))


def random_pair(loss: DistillationLoss) -> tuple[np.ndarray, np.ndarray]:
    shape = (len(MASK), *SHAPES[loss.feature_names[0]])
    generator = np.random.default_rng(0)
    return generator.normal(size=shape).astype("float32"), generator.normal(size=shape).astype("float32")


@every_loss
def test_the_teacher_itself_is_a_minimum(name: str) -> None:
    loss = LOSSES[name]()
    _, teacher = random_pair(loss)
    value, gradient = evaluate(loss, teacher, teacher, MASK)
    if name != "prediction":  # a cross-entropy: the entropy is left
        assert value == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-5)


@every_loss
@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("student", ["zero", "equal rows"])
def test_degenerate_students_have_finite_gradients(name: str, rows: int, student: str) -> None:
    loss = LOSSES[name]()
    ours, theirs = random_pair(loss)
    ours = np.zeros_like(ours) if student == "zero" else np.broadcast_to(ours[:1], ours.shape)
    value, gradient = evaluate(loss, ours[:rows], theirs[:rows], MASK[:rows])
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if rows == 0:  # the share of a replica without rows
        assert value == 0.0


@pytest.mark.parametrize("name", [name for name, loss_class in LOSSES.items() if loss_class.feature != "logits"])
def test_more_padding_changes_nothing(name: str) -> None:
    loss = LOSSES[name]()
    before, gradient = evaluate(loss, *random_pair(loss), MASK)
    widths = [(0, 3 if size == LENGTH else 0) for size in (0, *SHAPES[loss.feature_names[0]])]
    student, teacher = (
        np.pad(tensor, widths, constant_values=value)
        for tensor, value in zip(random_pair(loss), (7.0, -7.0), strict=True)
    )
    after, padded_gradient = evaluate(loss, student, teacher, np.pad(MASK, ((0, 0), (0, 3))))
    assert after == pytest.approx(before, rel=1e-5)
    inside = padded_gradient[tuple(slice(0, size) for size in gradient.shape)]
    np.testing.assert_allclose(inside, gradient, atol=1e-5 * np.abs(gradient).max())
    assert np.abs(padded_gradient).sum() == pytest.approx(np.abs(gradient).sum(), rel=1e-5)


@every_loss
def test_traced_once_for_every_shape_of_a_batch(name: str) -> None:
    loss = LOSSES[name]()
    student, teacher = random_pair(loss)
    per_token = [None if size == LENGTH else size for size in student.shape[1:]]
    spec = tf.TensorSpec([None, *per_token])

    @tf.function(input_signature=[spec, spec, tf.TensorSpec([None, None], "int32"), tf.TensorSpec([None], "int32")])
    def traced(student: Any, teacher: Any, mask: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(student)
            pair = (student, teacher) if loss.layers != "consecutive" else ((student, student), (teacher, teacher))
            value = loss(student=pair[0], teacher=pair[1], mask=mask, labels=labels)
        return value, tape.gradient(value, student)

    for rows in (3, 2, 0):
        value, gradient = traced(student[:rows], teacher[:rows], MASK[:rows], LABELS[:rows])
        expected_value, expected = evaluate(loss, student[:rows], teacher[:rows], MASK[:rows])
        assert float(value) == pytest.approx(expected_value, rel=1e-5, abs=1e-7)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_consecutive_layers_are_projected_one_by_one(
    make_model: Callable[..., Any], make_inputs: Callable[..., Any]
) -> None:
    teacher, student = make_model(seed=1, hidden_size=24, num_hidden_layers=6), make_model(seed=2, num_hidden_layers=3)
    distiller = Distiller(teacher, student, losses=[LOSSES["fsp"]()], projections="per_layer")
    distiller.compile(run_eagerly=True)
    inputs = make_inputs([5, 3])
    mask = inputs["attention_mask"]
    logged = distiller.test_on_batch(inputs, np.array([0, 1]), return_dict=True)["fsp_loss"]
    ours, theirs = (model(inputs, output_hidden_states=True)["hidden_states"] for model in (student, teacher))
    ours = {layer: distiller.projections(ours[layer], name="hidden_states", layer=layer) for layer in (1, 2, 3)}
    expected = sum(
        float(LOSSES["fsp"]()(student=(ours[low], ours[up]), teacher=(theirs[2 * low], theirs[2 * up]), mask=mask))
        for low, up in ((1, 2), (2, 3))
    )
    assert float(logged) == pytest.approx(expected, rel=1e-5)


def test_heads_may_differ_in_number(make_model: Callable[..., Any], make_inputs: Callable[..., Any]) -> None:
    teacher, student = make_model(seed=1, hidden_size=24, num_attention_heads=3), make_model(seed=2)
    distiller = Distiller(teacher, student, losses=[LOSSES["key_relation"](num_relation_heads=4)])  # type: ignore[call-arg]
    distiller.compile(run_eagerly=True)
    logs = distiller.test_on_batch(make_inputs([5, 3]), np.array([0, 1]), return_dict=True)
    assert 0.0 < float(logs["key_relation_loss"]) < 10.0


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("rkd", "cka")])  # what a whole batch is like
def test_a_batch_is_the_weighted_mean_of_its_parts(name: str) -> None:
    loss = LOSSES[name]()
    student, teacher = random_pair(loss)
    parts = [slice(0, 2), slice(2, 3)]
    values = [evaluate(loss, student[part], teacher[part], MASK[part], LABELS[part])[0] for part in parts]
    counts = [float(COUNTS[loss.mean_over](MASK[part].sum(axis=1).astype("float32"))) for part in parts]
    whole, _ = evaluate(loss, student, teacher, MASK)
    assert whole == pytest.approx(np.average(values, weights=counts), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (LOSSES["value_relation"](), r"student has 2 attention heads, the teacher 3.*or this loss num_relation_heads"),
        (LOSSES["value_relation"](num_relation_heads=5), "num_relation_heads=5 must divide the student's width, 16"),  # type: ignore[call-arg]
        (LOSSES["value_relation"](num_relation_heads=16), "num_relation_heads=16 must divide the teacher's width, 24"),  # type: ignore[call-arg]
        (AttentionKLLoss(), "attention_kl_loss: the student has 2 attention heads, the teacher 3.*ValueRelationLoss"),
        (LOSSES["fsp"](), r"fsp_loss compares each pair of layers with the next; .* has \(\(2, 2\),\) alone"),
    ],
)
def test_models_that_do_not_go_together(loss: DistillationLoss, message: str, make_model: Callable[..., Any]) -> None:
    teacher, student = make_model(hidden_size=24, num_attention_heads=3), make_model()
    with pytest.raises(InputError, match=message):
        Distiller(teacher, student, layer_map=[(2, 2)], losses=[loss])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("kl", {"temperature": 0.0}, "KLLoss: temperature=0.0; expected a number > 0"),
        ("dkd", {"temperature": -1.0}, "DKDLoss: temperature=-1.0; expected a number > 0"),
        ("dkd", {"alpha": -1.0}, "DKDLoss: alpha=-1.0; expected a number >= 0"),
        ("dkd", {"beta": float("nan")}, "DKDLoss: beta=nan; expected a number >= 0"),
        ("rkd", {"angle_weight": -2.0}, "RKDLoss: angle_weight=-2.0; expected a number >= 0"),
        ("key_relation", {"num_relation_heads": 0}, "num_relation_heads=0; expected an integer >= 1"),
        ("key_relation", {"num_relation_heads": 2.0}, "num_relation_heads=2.0; expected an integer >= 1"),
    ],
)
def test_options_that_cannot_be(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LOSSES[name](**options)


@pytest.mark.parametrize("name", ["kl", "standardized_kl", "dkd"])
def test_scores_are_no_classes(name: str) -> None:
    scores = np.ones((3, 1))
    with pytest.raises(InputError, match=f"{name}_loss compares classes; found logits of one column, which are scores"):
        LOSSES[name]()(student=scores, teacher=scores, labels=LABELS)


def test_dkd_without_labels() -> None:
    logits = np.ones((3, 2))
    with pytest.raises(InputError, match=r"^dkd_loss: the data has no labels; this loss needs them\.$"):
        LOSSES["dkd"]()(student=logits, teacher=logits)


def test_rkd_does_not_feel_the_size_of_the_space() -> None:
    loss = RKDLoss()
    student, teacher = random_pair(loss)
    before, _ = evaluate(loss, student, teacher, MASK)
    assert before > 0.01
    assert evaluate(loss, 5 * student + 2, teacher, MASK)[0] == pytest.approx(before, rel=1e-4)
