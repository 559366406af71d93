"""How rows are grouped into batches changes neither what is optimised nor how often a step is traced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import (
    AttentionLoss,
    Distiller,
    EmbeddingLoss,
    EncoderConfig,
    HiddenStateLoss,
    PredictionLoss,
    QuestionAnswering,
    Teacher,
    TokenClassifier,
    bert_optimizer,
)
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts

MakeModel = Callable[..., Any]


def make_batches(seed: int = 1, **options: Any) -> Batches:
    """50 rows of 2 to 30 tokens."""
    generator = np.random.default_rng(5)
    offsets = np.concatenate([[0], np.cumsum(generator.integers(2, 31, 50))])
    ids = generator.integers(1, 50, offsets[-1]).astype(np.int32)
    tokens = TokenizedTexts(ids, np.zeros(len(ids), np.int8), offsets)
    return Batches(tokens, generator.integers(0, 3, 50).astype(np.int32), seed=seed, **{"batch_size": 8, **options})


@pytest.fixture
def distiller(make_model: MakeModel) -> Distiller:
    losses = [EmbeddingLoss(), AttentionLoss(weight=2.0), HiddenStateLoss(), PredictionLoss(hard_label_weight=0.5)]
    return Distiller(Teacher(make_model(seed=1)), make_model(seed=2, hidden_size=8, num_hidden_layers=1), losses=losses)


def test_an_epochs_losses_do_not_depend_on_the_grouping(distiller: Distiller) -> None:
    distiller.compile(optimizer=keras.optimizers.SGD(0.0))

    def logs(**options: Any) -> dict[str, float]:
        batches = make_batches(**options)
        history = distiller.fit(batches, validation_data=batches, verbose=0).history
        return {name: values[0] for name, values in history.items()}

    whole = logs(batch_size=50)
    assert whole["loss"] == pytest.approx(whole["val_loss"], rel=1e-5)
    weights = {"attention_loss": 2.0}
    terms = [weights.get(name, 1.0) * whole[name] for name in whole if name.endswith("_loss") and "val" not in name]
    assert whole["loss"] == pytest.approx(sum(terms), rel=1e-5)
    for options in ({}, {"batch_tokens": 120, "padded_lengths": (16, 30)}, {"batch_size": 1}):
        grouped = logs(**options)
        for name, value in whole.items():
            assert grouped[name] == pytest.approx(value, rel=1e-5), (options, name)


@pytest.mark.parametrize(
    ("cls", "labels", "unit"),
    [(TokenClassifier, {"num_labels": 3}, "tokens"), (QuestionAnswering, {}, "rows")],
)
def test_predictions_of_tokens_weigh_what_they_are_a_mean_over(cls: Any, labels: dict[str, int], unit: str) -> None:
    def make(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        config = EncoderConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        model = cls(config, dtype="float32", **labels)
        model.token_head.kernel.assign(np.random.default_rng(seed).normal(size=model.token_head.kernel.shape))
        return model

    distiller = Distiller(Teacher(make(1)), make(2), losses=[PredictionLoss(temperature=2.0)])
    assert distiller.comparisons[0].mean_over(distiller(make_batches()[0][0])) == unit
    distiller.compile(optimizer=keras.optimizers.SGD(0.0))
    tokens = make_batches().tokens
    losses = [
        distiller.fit(Batches(tokens, seed=1, batch_size=size), verbose=0).history["prediction_loss"][0]
        for size in (50, 8, 1)
    ]
    assert losses[1:] == pytest.approx(losses[:1] * 2, rel=1e-5)


@pytest.mark.parametrize(("reduction", "kind"), [("tokens", "dataset"), ("paper", "batches")])
def test_a_batch_in_parts_is_the_batch(make_model: MakeModel, reduction: str, kind: str) -> None:
    def trained(accumulation_steps: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        losses = [loss(reduction=reduction) for loss in (AttentionLoss, HiddenStateLoss, PredictionLoss)]
        distiller = Distiller(Teacher(make_model(seed=1)), make_model(seed=2, num_hidden_layers=1), losses=losses)
        distiller.compile(optimizer=keras.optimizers.SGD(0.1), accumulation_steps=accumulation_steps)
        batches = make_batches() if kind == "batches" else make_batches().get_tf_dataset()
        history = distiller.fit(batches, validation_data=batches, shuffle=False, verbose=0).history
        return history, [variable.numpy() for variable in distiller.trainable_variables]

    (logs, weights), (logs_in_parts, weights_in_parts) = trained(1), trained(3)  # batches of 8 and of 2 rows
    for name, values in logs.items():
        assert logs_in_parts[name] == pytest.approx(values, rel=1e-4), name
    for whole, in_parts in zip(weights, weights_in_parts, strict=True):
        np.testing.assert_allclose(in_parts, whole, rtol=1e-4, atol=1e-6)


def test_an_epochs_gradient_does_not_depend_on_the_grouping(distiller: Distiller) -> None:
    """One plain gradient step of all rows is the mean of the steps of any batches, taken from the same weights."""
    variables = distiller.trainable_variables
    before = [variable.numpy() for variable in variables]

    def mean_step(**options: Any) -> list[np.ndarray]:
        batches = make_batches(**options)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        # Every step of the schedule but the last of the epoch only adds up: accumulation is Keras's own mean.
        optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=len(batches) if len(batches) > 1 else None)
        distiller.compile(optimizer=optimizer)
        distiller.fit(batches, verbose=0)
        return [variable.numpy() - value for variable, value in zip(variables, before, strict=True)]

    whole = mean_step(batch_size=50)
    for variable, ours, expected in zip(variables, mean_step(batch_tokens=90), whole, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=2e-5, err_msg=variable.path)


@pytest.mark.parametrize("options", [{}, {"batch_tokens": 120, "padded_lengths": (16, 30)}])
def test_a_step_is_traced_once(distiller: Distiller, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    traced: Counter[bool] = Counter()
    compute_loss = distiller.compute_loss

    def counted(*args: Any, training: bool = True, **kwargs: Any) -> Any:
        traced[training] += 1
        return compute_loss(*args, training=training, **kwargs)

    monkeypatch.setattr(distiller, "compute_loss", counted)
    distiller.compile(optimizer=keras.optimizers.SGD(0.01))
    distiller.fit(make_batches(**options), epochs=3, validation_data=make_batches(**options), verbose=0)
    assert traced == {True: 1, False: 1}


def test_compiled_for_a_few_lengths_it_learns_the_same(make_model: MakeModel) -> None:
    def trained(jit_compile: bool) -> list[np.ndarray]:
        small = {"num_hidden_layers": 1, "hidden_size": 8}
        teacher, student = Teacher(make_model(seed=1, **small)), make_model(seed=2, **small)
        distiller = Distiller(teacher, student, losses=[AttentionLoss(), PredictionLoss()])
        distiller.compile(optimizer=bert_optimizer(1e-3, total_steps=8), jit_compile=jit_compile)
        distiller.fit(make_batches(batch_size=10, padded_lengths=(16, 30)), verbose=0)
        return [variable.numpy() for variable in distiller.trainable_variables]

    for plain, compiled in zip(trained(False), trained(True), strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=0, atol=1e-5)
