"""Several tasks at once: the sum of what each task's Distiller does, on one encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import (
    Distiller,
    HiddenStateLoss,
    InputError,
    KLLoss,
    MultiTaskBatches,
    MultiTaskDistiller,
    PredictionLoss,
    SequenceClassifier,
    Teacher,
    WeightSchedule,
    quantize_aware,
)
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts

MakeModel = Callable[..., Any]
LENGTHS = {"mood": [5, 2, 7, 1, 4, 6, 3, 2, 5], "topic": [3, 4, 6, 2, 7]}


def batches(task: str, seed: int | None = 1, batch_size: int = 2) -> Batches:
    lengths = LENGTHS[task]
    ids = np.random.default_rng(len(lengths)).integers(1, 50, sum(lengths)).astype(np.int32)
    tokens = TokenizedTexts(ids, np.zeros(len(ids), np.int8), np.cumsum([0, *lengths]))
    return Batches(tokens, np.arange(len(lengths)) % 3, batch_size, seed=seed)


def both(seed: int | None = 1) -> MultiTaskBatches:
    return MultiTaskBatches({task: batches(task, seed) for task in LENGTHS})


@pytest.fixture
def students(make_model: MakeModel) -> dict[str, Any]:
    mood = make_model(seed=2, num_hidden_layers=1)
    return {"mood": mood, "topic": SequenceClassifier(mood.encoder, num_labels=3)}


@pytest.fixture
def distillers(make_model: MakeModel, students: dict[str, Any]) -> dict[str, Distiller]:
    losses = {"mood": [HiddenStateLoss(), KLLoss(temperature=2.0)], "topic": [PredictionLoss(hard_label_weight=0.5)]}
    return {
        task: Distiller(Teacher(make_model(seed=number, hidden_size=32)), student, losses=losses[task])
        for number, (task, student) in enumerate(students.items(), start=5)
    }


def test_batches_hold_every_task_and_begin_again() -> None:
    found = both()
    assert len(found) == 5
    for epoch in range(3):
        found.epoch = epoch
        for step in range(5):
            inputs, labels = found[step]
            for task, place in (("mood", (epoch, step)), ("topic", divmod(epoch * 5 + step, 3))):
                alone, of_alone = batches(task)._batch(*place)
                np.testing.assert_array_equal(labels[task], of_alone)
                for name, values in alone.items():
                    np.testing.assert_array_equal(inputs[f"{task}/{name}"], values)


def test_a_step_is_the_sum_of_the_tasks(distillers: dict[str, Distiller]) -> None:
    weights = {"mood": 1.0, "topic": 3.0}
    together = MultiTaskDistiller(distillers, weights={"topic": 3.0})
    together.compile(optimizer=keras.optimizers.SGD(0.1))
    inputs, labels = both()[0]
    for task, distiller in distillers.items():
        distiller.weigh_batches(batches(task))
    with tf.GradientTape(persistent=True) as tape:
        loss = together.compute_loss(inputs, labels, together(inputs, training=True))
        alone = []
        for task, distiller in distillers.items():
            of_task, y = batches(task)[0]
            alone.append(weights[task] * distiller.compute_loss(of_task, y, distiller(of_task, training=True)))
        total = sum(alone)
    np.testing.assert_allclose(loss, total, rtol=1e-6)
    assert min(float(each) for each in alone) > 0
    words = together.distillers["mood"].student.encoder.embeddings.word_embeddings.embeddings.value
    found, expected = (tf.convert_to_tensor(tape.gradient(each, words)) for each in (loss, total))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert together.trainable_variables
    assert len({id(each) for each in together.trainable_variables}) == len(together.trainable_variables)


def test_all_students_learn_from_their_own_teachers(distillers: dict[str, Distiller]) -> None:
    def distances() -> dict[str, float]:
        found = {}
        for task, distiller in distillers.items():
            inputs, _ = batches(task, batch_size=10)[0]
            ours, theirs = (tf.nn.softmax(each(inputs)["logits"]) for each in (distiller.student, distiller.teacher))
            found[task] = float(tf.reduce_mean(tf.abs(ours - theirs)))
        return found

    topic = distillers["topic"]  # without its labels, which say something else than its teacher
    distillers["topic"] = Distiller(topic.teacher, topic.student, losses=[PredictionLoss()])
    before = distances()
    together = MultiTaskDistiller(distillers)
    together.compile(optimizer=keras.optimizers.Adam(0.01))
    history = together.fit(both(), epochs=25, validation_data=both(None), validation_freq=25, verbose=0).history
    assert set(history) == {
        f"{prefix}{name}"
        for prefix in ("", "val_")
        for name in ("loss", "mood_hidden_state_loss", "mood_kl_loss", "topic_prediction_loss")
    }
    for task, distance in distances().items():
        assert distance < 0.5 * before[task], task
    logged = together.evaluate(both(None), return_dict=True)
    assert logged == {
        name.removeprefix("val_"): pytest.approx(values[-1]) for name, values in history.items() if "val_" in name
    }
    total = logged["mood_hidden_state_loss"] + logged["mood_kl_loss"] + logged["topic_prediction_loss"]
    assert logged["loss"] == pytest.approx(total, rel=1e-4)
    assert together.evaluate(both(None)) == pytest.approx(list(logged.values()))
    for task, distiller in distillers.items():
        alone = distiller.evaluate(batches(task, None), verbose=0, return_dict=True)
        assert {f"{task}_{name}": value for name, value in alone.items() if name != "loss"}.items() <= logged.items()


def test_steps_are_traced_once(distillers: dict[str, Distiller]) -> None:
    traced: list[str] = []
    for task, distiller in distillers.items():
        call = distiller.student.call

        def counted(*args: Any, task: str = task, call: Any = call, **kwargs: Any) -> Any:
            traced.append(task)
            return call(*args, **kwargs)

        distiller.student.call = counted
    together = MultiTaskDistiller(distillers)
    together.compile(optimizer=keras.optimizers.SGD(0.01))
    together.fit(both(), epochs=1, validation_data=both(None), verbose=0)
    once = len(traced)
    together.fit(both(), epochs=3, validation_data=both(None), verbose=0)
    assert len(traced) == once
    together.train_on_batch(*both()[0])
    assert len(traced) > once  # a batch by itself weighs otherwise


def test_a_student_that_is_quantized_later(distillers: dict[str, Distiller]) -> None:
    together = MultiTaskDistiller(distillers)
    together.compile(optimizer=keras.optimizers.SGD(0.0))
    before = together.fit(MultiTaskBatches(both().sources), verbose=0).history["mood_kl_loss"]
    quantize_aware(distillers["mood"].student, [batches("mood")[0]])
    assert together.fit(MultiTaskBatches(both().sources), verbose=0).history["mood_kl_loss"] != before


def test_float16(make_model: MakeModel) -> None:
    mood = make_model(seed=2, num_hidden_layers=1, dtype="mixed_float16")
    students = {"mood": mood, "topic": SequenceClassifier(mood.encoder, num_labels=3, dtype="mixed_float16")}
    together = MultiTaskDistiller(
        {task: Distiller(Teacher(make_model(seed=5)), student, losses=[KLLoss()]) for task, student in students.items()}
    )
    together.compile(optimizer=keras.optimizers.Adam(0.01))
    losses = together.fit(both(), epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_weights_that_change(make_model: MakeModel, students: dict[str, Any]) -> None:
    schedule = WeightSchedule(1.0, 0.0, steps=4)
    distillers = {
        task: Distiller(Teacher(make_model(seed=5)), student, losses=[KLLoss(weight=schedule)])
        for task, student in students.items()
    }
    together = MultiTaskDistiller(distillers)
    together.compile(optimizer=keras.optimizers.SGD(0.01))
    history = together.fit(both(), epochs=2, verbose=0).history["loss"]
    assert history[0] > 0
    assert history[1] == 0


def test_what_is_refused(make_model: MakeModel, distillers: dict[str, Distiller]) -> None:
    other = Distiller(Teacher(make_model(seed=5)), make_model(seed=6), losses=[KLLoss()])
    with pytest.raises(InputError, match="do not share an encoder"):
        MultiTaskDistiller({**distillers, "other": other})
    with pytest.raises(InputError, match="weights of other; the tasks are mood, topic"):
        MultiTaskDistiller(distillers, weights={"other": 1.0})
    for wrong in ({}, {"a/b": distillers["mood"]}):
        with pytest.raises(InputError, match="names without a slash"):
            MultiTaskDistiller(wrong)
    together = MultiTaskDistiller(distillers)
    for name, value in (("loss", "mse"), ("metrics", ["accuracy"]), ("accumulation_steps", 2)):
        with pytest.raises(InputError, match=f"takes no {name}"):
            together.compile(optimizer="sgd", **{name: value})
    together.compile(optimizer="sgd")
    with pytest.raises(InputError, match="expected batches of mood, topic"):
        together.fit(batches("mood"), verbose=0)
    with pytest.raises(InputError, match="expected batches of mood, topic"):
        together.evaluate(MultiTaskBatches({"mood": batches("mood")}), verbose=0)
