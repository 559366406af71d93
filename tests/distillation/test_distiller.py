"""The Distiller: what it trains, what it logs, what it refuses, and that it is a plain Keras model."""

from __future__ import annotations

import csv
import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tinybert_tf import (
    AttentionLoss,
    DistillationLoss,
    Distiller,
    EmbeddingLoss,
    HiddenStateLoss,
    InputError,
    LayerMap,
    PredictionLoss,
    Teacher,
)
from tinybert_tf.models.encoder.encoder_layer import EncoderLayer

MakeModel = Callable[..., Any]
Inputs = dict[str, np.ndarray]
LABELS = np.array([0, 1, 2, 0, 1, 2])
WIDE = {"hidden_size": 32, "num_hidden_layers": 2}


@pytest.fixture
def inputs(make_inputs: Callable[..., Inputs]) -> Inputs:
    return make_inputs([5, 2, 7, 1, 4, 6])


@pytest.fixture
def teacher(make_model: MakeModel) -> Teacher:
    return Teacher(make_model(seed=1, **WIDE))


@pytest.fixture
def student(make_model: MakeModel) -> Any:
    return make_model(seed=2, num_hidden_layers=1)


def intermediate_losses() -> list[DistillationLoss]:
    return [EmbeddingLoss(), AttentionLoss(), HiddenStateLoss()]


def compiled(distiller: Distiller, learning_rate: float = 0.05, **arguments: Any) -> Distiller:
    """Run eagerly: for a handful of steps of a tiny model, tracing takes far longer than computing."""
    arguments = {"run_eagerly": True, **arguments}
    distiller.compile(optimizer=keras.optimizers.SGD(learning_rate), **arguments)
    return distiller


def copied(variables: list[Any]) -> list[np.ndarray]:
    return [variable.numpy().copy() for variable in variables]


def features_of(model: Any, inputs: Inputs) -> dict[str, Any]:
    outputs = model(inputs, training=False, output_hidden_states=True, output_attention_scores=True)
    return keras.tree.map_structure(np.asarray, outputs)


def count_calls(monkeypatch: pytest.MonkeyPatch, layer_class: type[keras.Layer]) -> Counter[int]:
    """Counts the calls of each layer of a class, by the layer's `id`."""
    calls: Counter[int] = Counter()
    call = layer_class.call

    @functools.wraps(call)
    def counted(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        calls[id(self)] += 1
        return call(self, *args, **kwargs)

    monkeypatch.setattr(layer_class, "call", counted)
    return calls


# === What is trained ===


def test_gradients_reach_the_student_and_the_projections_only(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = Distiller(teacher, student, losses=[*intermediate_losses(), PredictionLoss()])
    trainable = student.trainable_variables + distiller.projections.trainable_variables
    assert {id(variable) for variable in distiller.trainable_variables} == {id(variable) for variable in trainable}
    teachers = [variable.value for variable in teacher.weights]
    with tf.GradientTape() as tape:
        tape.watch(teachers)
        loss = distiller.compute_loss(inputs, LABELS, distiller(inputs, training=True))
    gradients = tape.gradient(loss, [*teachers, *(variable.value for variable in trainable)])
    assert gradients[: len(teachers)] == [None] * len(teachers)
    for variable, gradient in zip(trainable, gradients[len(teachers) :], strict=True):
        assert gradient is not None, variable.path
        assert np.any(tf.convert_to_tensor(gradient)), variable.path


def test_the_teacher_stays_as_it_was(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    before, students = copied(teacher.weights), copied(student.weights)
    compiled(Distiller(teacher, student, losses=intermediate_losses())).fit(inputs, LABELS, epochs=2, verbose=0)
    for original, variable in zip(before, teacher.weights, strict=True):
        np.testing.assert_array_equal(original, variable)
    assert any(np.any(original != variable) for original, variable in zip(students, student.weights, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_intermediate_losses_leave_the_head_alone(
    teacher: Teacher, make_model: MakeModel, inputs: Inputs, dtype: str
) -> None:
    student = make_model(seed=2, num_hidden_layers=1, dtype=dtype)
    head = [*student.classifier.weights, *student.encoder.pooler.weights]
    before = copied(head)
    distiller = Distiller(teacher, student, losses=intermediate_losses())
    distiller.compile(optimizer=keras.optimizers.AdamW(0.01, weight_decay=0.1), run_eagerly=True)
    distiller.fit(inputs, epochs=2, verbose=0)
    for original, variable in zip(before, head, strict=True):
        np.testing.assert_array_equal(original, variable)


def test_training_reduces_every_loss(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = Distiller(teacher, student, losses=[*intermediate_losses(), PredictionLoss()])
    distiller.compile(optimizer=keras.optimizers.Adam(0.01))
    history = distiller.fit(inputs, LABELS, batch_size=6, epochs=30, verbose=0).history
    for name, values in history.items():
        assert values[-1] < (0.95 if name == "prediction_loss" else 0.5) * values[0], name


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_students(teacher: Teacher, make_model: MakeModel, inputs: Inputs, dtype: str) -> None:
    student = make_model(seed=2, num_hidden_layers=1, dtype=dtype)
    before = copied(student.weights)
    distiller = Distiller(teacher, student, losses=[*intermediate_losses(), PredictionLoss()])
    distiller.compile(optimizer=keras.optimizers.AdamW(1e-3), metrics=["accuracy"], run_eagerly=True)
    assert isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer) is (dtype == "mixed_float16")
    history = distiller.fit(inputs, LABELS, batch_size=2, epochs=1, verbose=0).history
    assert np.isfinite([values[0] for values in history.values()]).all()
    changed = [np.any(original != variable) for original, variable in zip(before, student.weights, strict=True)]
    assert sum(changed) > len(changed) / 2
    assert int(np.asarray(distiller.optimizer.iterations)) == 3


# === What is computed ===


def test_one_pass_of_each_model_a_step(
    monkeypatch: pytest.MonkeyPatch, teacher: Teacher, student: Any, inputs: Inputs
) -> None:
    losses = [*intermediate_losses(), PredictionLoss()]
    distiller = compiled(Distiller(teacher, student, losses=losses))
    distiller.fit(inputs, LABELS, batch_size=2, verbose=0)  # Keras also calls the model to build it
    calls = count_calls(monkeypatch, type(student))
    distiller.fit(inputs, LABELS, batch_size=2, verbose=0)
    assert calls == {id(student): 3, id(teacher.model): 3}
    distiller.evaluate(inputs, LABELS, batch_size=3, verbose=0)
    assert calls == {id(student): 5, id(teacher.model): 5}


def test_one_pass_in_the_traced_step(
    monkeypatch: pytest.MonkeyPatch, teacher: Teacher, student: Any, inputs: Inputs
) -> None:
    distiller = compiled(Distiller(teacher, student, losses=intermediate_losses()))
    calls = count_calls(monkeypatch, type(student))
    step = tf.function(distiller.train_step, autograph=False)
    step((inputs, LABELS))
    step((inputs, LABELS))
    assert calls == {id(student): 1, id(teacher.model): 1}


@pytest.mark.parametrize(
    ("layer_map", "losses", "teacher_layers"),
    [
        ([(1, 2), (2, 3)], [AttentionLoss()], 3),
        ("uniform", [EmbeddingLoss()], 0),
        ("bottom", [HiddenStateLoss(), PredictionLoss()], 4),
    ],
)
def test_nothing_above_the_highest_mapped_layer(
    monkeypatch: pytest.MonkeyPatch,
    make_model: MakeModel,
    inputs: Inputs,
    layer_map: Any,
    losses: list[DistillationLoss],
    teacher_layers: int,
) -> None:
    teacher, student = Teacher(make_model(num_hidden_layers=4)), make_model()
    distiller = Distiller(teacher, student, layer_map, losses=losses)
    calls = count_calls(monkeypatch, EncoderLayer)
    distiller.compute_loss(inputs, LABELS, distiller(inputs))
    assert [calls[id(layer)] for layer in teacher.model.encoder.encoder_layers] == [
        int(number < teacher_layers) for number in range(4)
    ]
    assert [calls[id(layer)] for layer in student.encoder.encoder_layers] == [1, 1]


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_teacher_is_never_in_training_mode(
    make_model: MakeModel, student: Any, inputs: Inputs, wrapped: bool
) -> None:
    model = make_model(seed=1, **WIDE, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    teacher = Teacher(model) if wrapped else model
    distiller = compiled(Distiller(teacher, student, losses=[*intermediate_losses(), PredictionLoss()]), 0.0)
    evaluated = distiller.evaluate(inputs, LABELS, batch_size=6, return_dict=True, verbose=0)
    history = distiller.fit(inputs, LABELS, batch_size=6, epochs=2, shuffle=False, verbose=0).history
    for name, values in history.items():
        np.testing.assert_allclose(values, evaluated[name], rtol=1e-5, err_msg=name)


def test_the_student_is_in_training_mode(make_model: MakeModel, teacher: Teacher, inputs: Inputs) -> None:
    student = make_model(seed=2, hidden_dropout_prob=0.5)
    distiller = compiled(Distiller(teacher, student, losses=[HiddenStateLoss()]), 0.0)
    losses = distiller.fit(inputs, batch_size=6, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert losses[0] != losses[1]
    evaluated = [distiller.evaluate(inputs, batch_size=6, return_dict=True, verbose=0)["loss"] for _ in range(2)]
    assert evaluated[0] == evaluated[1]


# === What is logged ===


def test_losses_by_hand(make_model: MakeModel, inputs: Inputs) -> None:
    teacher, student = Teacher(make_model(seed=1, num_hidden_layers=4)), make_model(seed=2)
    losses = [
        EmbeddingLoss(weight=2.0),
        AttentionLoss(weight=0.5),
        HiddenStateLoss(weight=3.0),
        PredictionLoss(temperature=2.0, hard_label_weight=0.25, weight=0.1),
    ]
    distiller = compiled(Distiller(teacher, student, losses=losses), 0.0)
    logged = distiller.evaluate(inputs, LABELS, batch_size=6, return_dict=True, verbose=0)

    ours, theirs = features_of(student, inputs), features_of(teacher, inputs)
    mask = inputs["attention_mask"].astype("float64")
    lengths = mask.sum(axis=1)

    def hidden(layer: int, teacher_layer: int) -> float:
        squared = (ours["hidden_states"][layer] - theirs["hidden_states"][teacher_layer]) ** 2
        return float((squared.mean(-1) * mask).sum() / mask.sum())

    def attention(layer: int, teacher_layer: int) -> float:
        squared = (ours["attention_scores"][layer] - theirs["attention_scores"][teacher_layer]) ** 2
        return float(np.einsum("bhij,bi,bj->", squared, mask, mask) / (2 * (lengths**2).sum()))

    def log_softmax(logits: np.ndarray) -> np.ndarray:
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    soft = -np.exp(log_softmax(theirs["logits"] / 2)) * log_softmax(ours["logits"] / 2)
    hard = -log_softmax(ours["logits"])[np.arange(6), LABELS]
    expected = {
        "embedding_loss": hidden(0, 0),
        "attention_loss": attention(1, 2) + attention(2, 4),
        "hidden_state_loss": hidden(1, 2) + hidden(2, 4),
        "prediction_loss": 0.75 * 4 * soft.sum(-1).mean() + 0.25 * hard.mean(),
    }
    weights = [2.0, 0.5, 3.0, 0.1]
    total = sum(weight * value for weight, value in zip(weights, expected.values(), strict=True))
    assert logged == pytest.approx({**expected, "loss": total}, rel=1e-4)


def test_projected_features_by_hand(make_model: MakeModel, inputs: Inputs) -> None:
    teacher, student = Teacher(make_model(seed=1, hidden_size=32, num_hidden_layers=3)), make_model(seed=2)
    distiller = Distiller(teacher, student, "top", losses=[HiddenStateLoss()], projections="per_layer")
    ours, theirs = features_of(student, inputs), features_of(teacher, inputs)
    mask = inputs["attention_mask"]
    expected = 0.0
    for layer, teacher_layer in ((1, 2), (2, 3)):
        kernel, bias = distiller.projections.dense[f"hidden_states_{layer}"].get_weights()
        squared = (ours["hidden_states"][layer] @ kernel + bias - theirs["hidden_states"][teacher_layer]) ** 2
        expected += (squared.mean(-1) * mask).sum() / mask.sum()
    value = distiller.compute_loss(inputs, None, distiller(inputs))
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_accuracy_is_of_the_students_logits(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = compiled(Distiller(teacher, student, losses=[HiddenStateLoss()]), metrics=["accuracy"])
    logits = np.asarray(student(inputs)["logits"])
    labels = np.where(np.arange(6) < 4, logits.argmax(-1), (logits.argmax(-1) + 1) % 3)
    logged = distiller.evaluate(inputs, labels, return_dict=True, verbose=0)
    assert logged["accuracy"] == pytest.approx(4 / 6)


def test_names_are_distinct(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    losses = [
        HiddenStateLoss(),
        HiddenStateLoss(reduction="paper"),
        HiddenStateLoss(name="hidden_state"),
        HiddenStateLoss(name="hidden_state_loss_2"),
        HiddenStateLoss(),
    ]
    distiller = compiled(Distiller(teacher, student, losses=losses), 0.0)
    logged = distiller.evaluate(inputs, return_dict=True, verbose=0)
    assert set(logged) == {
        "loss",
        "hidden_state_loss",
        "hidden_state_loss_2",
        "hidden_state",
        "hidden_state_loss_2_2",
        "hidden_state_loss_3",
    }
    assert logged["hidden_state_loss"] != pytest.approx(logged["hidden_state_loss_2"], rel=1e-3)
    assert logged["hidden_state_loss"] == pytest.approx(logged["hidden_state_loss_3"], rel=1e-6)


def test_a_regularizer_of_the_student_counts(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = Distiller(teacher, student, losses=[HiddenStateLoss()])
    before = float(distiller.compute_loss(inputs, None, distiller(inputs)))
    student.classifier.kernel_regularizer = keras.regularizers.L2(1.0)
    student.classifier.kernel.regularizer = student.classifier.kernel_regularizer
    after = float(distiller.compute_loss(inputs, None, distiller(inputs)))
    assert after - before == pytest.approx(np.square(student.classifier.kernel).sum(), rel=1e-3)


def test_the_layer_map_is_printed_before_training(
    capsys: pytest.CaptureFixture[str], teacher: Teacher, student: Any, inputs: Inputs
) -> None:
    distiller = compiled(Distiller(teacher, student, losses=[HiddenStateLoss()]))
    distiller.fit(inputs, verbose=2)
    captured = capsys.readouterr()
    assert captured.err.startswith(f"{LayerMap.uniform(1, 2)}\n")
    assert "student  teacher" not in captured.out
    distiller.fit(inputs, verbose=0)
    assert capsys.readouterr() == ("", "")


# === A plain Keras model ===


def test_fit_evaluate_predict(tmp_path: Path, teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = compiled(Distiller(teacher, student, losses=[HiddenStateLoss(), PredictionLoss()]), 0.0)
    ended: list[int] = []
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=1),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ended.append(epoch)),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = distiller.fit(
        inputs, LABELS, batch_size=4, epochs=5, validation_data=(inputs, LABELS), callbacks=callbacks, verbose=0
    )
    # Nothing is learned at a learning rate of 0: the second epoch is no better, and the last.
    assert ended == history.epoch == [0, 1]
    names = {"loss", "hidden_state_loss", "prediction_loss"}
    assert set(history.history) == names | {f"val_{name}" for name in names}
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == pytest.approx(history.history["val_loss"])
    evaluated = distiller.evaluate(inputs, LABELS, verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(evaluated["hidden_state_loss"] + evaluated["prediction_loss"], rel=1e-5)
    predicted = distiller.predict(inputs, verbose=0)
    assert set(predicted) == {"logits"}
    np.testing.assert_allclose(predicted["logits"], student(inputs)["logits"], atol=1e-6)


def test_a_tf_dataset_with_any_lengths(teacher: Teacher, student: Any, make_inputs: Callable[..., Inputs]) -> None:
    batches = [make_inputs([5, 2]), make_inputs([9, 1, 3]), make_inputs([1])]
    signature = {name: tf.TensorSpec((None, None), "int32") for name in batches[0]}
    dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    distiller = compiled(Distiller(teacher, student, losses=intermediate_losses()), run_eagerly=False)
    history = distiller.fit(dataset.map(lambda batch: (batch,)), epochs=2, shuffle=False, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


def test_validation_data_may_have_no_labels(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = compiled(Distiller(teacher, student, losses=[HiddenStateLoss()]))
    history = distiller.fit(inputs, validation_data=(inputs,), verbose=0).history
    assert history["val_hidden_state_loss"][0] < history["hidden_state_loss"][0]  # one step better


def test_sample_weights_are_refused(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = compiled(Distiller(teacher, student, losses=[PredictionLoss()]), run_eagerly=False)
    with pytest.raises(
        InputError,
        match=r"^sample_weight: Distiller takes none, its losses compare two models; use the losses' own weights\.$",
    ):
        distiller.fit(inputs, LABELS, sample_weight=np.ones(6), verbose=0)


def test_missing_labels_are_one_line(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = compiled(Distiller(teacher, student, losses=[PredictionLoss(hard_label_weight=0.5)]), run_eagerly=False)
    with pytest.raises(InputError, match=r"^prediction_loss: the data has no labels; this loss needs them\.$"):
        distiller.fit(inputs, verbose=0)


# Keras asks its own variables for copies in the way of NumPy 1.
def test_saved_weights_hold_no_teacher(tmp_path: Path, teacher: Teacher, student: Any, make_model: MakeModel) -> None:
    distiller = Distiller(teacher, student, losses=[HiddenStateLoss()])
    assert distiller.count_params() == student.count_params() + 16 * 32 + 32
    file = tmp_path / "distiller.weights.h5"
    distiller.save_weights(file)
    saved: dict[str, int] = {}
    with h5py.File(file) as group:
        group.visititems(lambda name, item: saved.update({name: item.size}) if isinstance(item, h5py.Dataset) else None)
    assert sum(saved.values()) == distiller.count_params(), list(saved)

    other = Distiller(
        Teacher(make_model(seed=3, **WIDE)), make_model(seed=4, num_hidden_layers=1), losses=[HiddenStateLoss()]
    )
    teachers = copied(other.teacher.weights)
    other.load_weights(file)
    for expected, variable in zip(distiller.student.weights, other.student.weights, strict=True):
        np.testing.assert_array_equal(expected, variable)
    for expected, variable in zip(teachers, other.teacher.weights, strict=True):
        np.testing.assert_array_equal(expected, variable)


# === Projections ===


@pytest.mark.parametrize(
    ("sharing", "losses", "maps"),
    [
        ("shared", [EmbeddingLoss(), HiddenStateLoss(), AttentionLoss()], 1),
        ("per_layer", [EmbeddingLoss(), HiddenStateLoss(), AttentionLoss()], 2),
        ("per_layer", [HiddenStateLoss()], 1),
        ("per_layer", [AttentionLoss(), PredictionLoss()], 0),
    ],
)
def test_projections(teacher: Teacher, student: Any, sharing: str, losses: list[DistillationLoss], maps: int) -> None:
    distiller = Distiller(teacher, student, losses=losses, projections=sharing)
    shapes = [tuple(variable.shape) for variable in distiller.projections.weights]
    assert shapes == [(16, 32), (32,)] * maps


@pytest.mark.parametrize("sharing", ["shared", "per_layer"])
def test_no_projections_for_equal_widths(make_model: MakeModel, student: Any, sharing: str) -> None:
    teacher = Teacher(make_model(seed=1))
    distiller = Distiller(teacher, student, losses=intermediate_losses(), projections=sharing)
    assert distiller.projections.weights == []
    assert distiller.count_params() == student.count_params()


@pytest.mark.parametrize(("sharing", "served"), [("shared", [[0, 1]]), ("per_layer", [[0], [1]])])
def test_projections_start_from_given_maps(
    teacher: Teacher, student: Any, sharing: str, served: list[list[int]]
) -> None:
    distiller = Distiller(teacher, student, losses=intermediate_losses(), projections=sharing)
    asked: list[list[int]] = []

    def expansion(layers: Any) -> tuple[np.ndarray, np.ndarray]:
        asked.append(list(layers))
        return np.full((16, 32), len(asked)), np.full(32, -len(asked))

    distiller.projections.start_from("hidden_states", expansion)
    assert asked == served
    for number, dense in enumerate(distiller.projections.dense.values(), start=1):
        kernel, bias = dense.get_weights()
        assert (kernel == number).all()
        assert (bias == -number).all()
    distiller.projections.start_from("queries", expansion)
    assert asked == served


def test_projections_are_trained(teacher: Teacher, student: Any, inputs: Inputs) -> None:
    distiller = compiled(Distiller(teacher, student, losses=[HiddenStateLoss()]))
    before = copied(distiller.projections.weights)
    distiller.fit(inputs, verbose=0)
    assert all(np.any(old != new) for old, new in zip(before, distiller.projections.weights, strict=True))


# === Losses and models of one's own ===


class Deepest(DistillationLoss):
    """Compares the highest layers, whatever the layer map says."""

    feature = "attention_scores"
    layers = "all"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        assert (set(student), set(teacher)) == ({1}, {1, 2})
        return ops.mean(ops.square(student[1] - teacher[2]))


class Relations(DistillationLoss):
    feature = ("queries", "keys")

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return sum(ops.mean(ops.square(student[name] - teacher[name])) for name in self.feature_names)


def test_all_layers_and_a_tuple_of_features(make_model: MakeModel, student: Any, inputs: Inputs) -> None:
    teacher = Teacher(make_model(seed=1))
    distiller = Distiller(teacher, student, losses=[Deepest(), Relations()])
    compiled(distiller, 0.0)
    logged = distiller.evaluate(inputs, batch_size=6, return_dict=True, verbose=0)
    ours, theirs = (model(inputs, output_queries_keys_values=True) for model in (student, teacher))
    expected = sum(np.square(ours[name][1] - theirs[name][2]).mean() for name in ("queries", "keys"))
    assert logged["relations"] == pytest.approx(float(expected), rel=1e-4)
    difference = (
        features_of(student, inputs)["attention_scores"][1] - features_of(teacher, inputs)["attention_scores"][2]
    )
    assert logged["deepest"] == pytest.approx(np.square(difference).mean(), rel=1e-4)


class WordVectors(keras.Model):
    """A model that is not this library's: it mixes no tokens, and emits hidden states and logits."""

    def __init__(self, width: int, depth: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_hidden_layers = depth
        self.embedding = keras.layers.Embedding(50, width)
        self.hidden = [keras.layers.Dense(width, activation="tanh") for _ in range(depth)]
        self.classifier = keras.layers.Dense(3)

    def call(
        self,
        inputs: dict[str, Any],
        training: bool | None = None,
        output_hidden_states: bool | tuple[int, ...] = False,
    ) -> dict[str, Any]:
        hidden = {0: self.embedding(inputs["input_ids"])}
        for number, layer in enumerate(self.hidden, start=1):
            hidden[number] = layer(hidden[number - 1])
        return {"hidden_states": hidden, "logits": self.classifier(ops.mean(hidden[self.num_hidden_layers], axis=1))}


@pytest.mark.parametrize(("side", "built"), [("both", False), ("teacher", True), ("student", False), ("student", True)])
def test_models_that_are_not_ours(teacher: Teacher, student: Any, inputs: Inputs, side: str, built: bool) -> None:
    own_teacher = teacher if side == "student" else WordVectors(32, 2)
    own_student = student if side == "teacher" else WordVectors(16, 1)
    if built:
        own_teacher(inputs)
        own_student(inputs)
    losses = [EmbeddingLoss(), HiddenStateLoss(), PredictionLoss()]
    distiller = Distiller(own_teacher, own_student, losses=losses)
    distiller.compile(optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"], run_eagerly=True)
    first = copied(own_teacher.weights)
    history = distiller.fit(inputs, LABELS, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert not own_teacher.trainable_variables
    assert len(distiller.trainable_variables) == len(own_student.weights) + 2
    for expected, variable in zip(first, own_teacher.weights, strict=True):
        np.testing.assert_array_equal(expected, variable)


# === Refusals in the constructor ===


class Cosine(DistillationLoss):
    feature = "pooled_output"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.mean(student - teacher)


class Mistyped(Cosine):
    feature = "hidden_state"


class Unprojected(Cosine):
    feature = "hidden_states"


def test_refusals(make_model: MakeModel, teacher: Teacher, student: Any) -> None:
    def refused(message: str, losses: list[DistillationLoss], layer_map: Any = "uniform", **arguments: Any) -> None:
        with pytest.raises(InputError, match=message) as error:
            Distiller(teacher, arguments.pop("student", student), layer_map, losses=losses, **arguments)
        assert "\n" not in str(error.value)

    refused("a Distiller needs at least one loss", [])
    refused(r"embedding_loss finds no pair \(0, ...\), the embedding output in", [EmbeddingLoss()], [(1, 2)])
    refused("attention_loss finds no pair for a layer from 1 to N in the layer map", [AttentionLoss()], [(0, 0)])
    refused("layer map 'middle' is not known", [AttentionLoss()], "middle")
    refused("made for 1 student and 12 teacher layers", [AttentionLoss()], LayerMap.uniform(1, 12))
    refused("projections: expected one of shared, per_layer, got 'both'", [HiddenStateLoss()], projections="both")
    refused("attention_loss: the student has 4 attention heads, the teacher 2, .* num_attention_heads=2",
            [AttentionLoss()], student=make_model(num_hidden_layers=1, num_attention_heads=4))  # fmt: skip
    refused("cosine: the student's pooled_output has shape .*16.*, the teacher's .*32", [Cosine()])
    refused("cosine: expected a feature that the models give, one of hidden_states, .*, got 'pooled_output'",
            [Cosine()], student=WordVectors(16, 1))  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Mistyped(), "mistyped: expected .* got 'hidden_state'; did you mean 'hidden_states'?"),
        (Unprojected(), "unprojected: .*; expected equal shapes; `projected = True` in the class learns a map"),
    ],
)
def test_a_feature_that_cannot_be_compared(loss: Any, message: str, teacher: Teacher, student: Any) -> None:
    with pytest.raises(InputError, match=message):
        Distiller(teacher, student, losses=[loss])
