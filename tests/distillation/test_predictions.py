"""Predictions at masked places, by hand: their mask, and their labels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from tinybert_tf import (
    BertPretraining,
    Distiller,
    DKDLoss,
    EncoderConfig,
    HiddenStateLoss,
    InputError,
    KLLoss,
    LogitsMSELoss,
    MaskedLM,
    PredictionLoss,
)

LENGTHS = np.array([6, 4, 5])
MASK = (np.arange(6) < LENGTHS[:, None]).astype("int32")
IDS = np.random.default_rng(0).integers(1, 20, MASK.shape).astype("int32") * MASK
POSITIONS = np.array([[1, 3, 4], [2, 0, 0], [1, 5, 0]], "int32")  # of the third row one is padding
TOKENS = np.array([[7, 11, 2], [13, -100, -100], [4, 5, -100]], "int32")
INPUTS = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": 0 * IDS, "masked_positions": POSITIONS}


def made(cls: Any, seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return cls(EncoderConfig(vocab_size=20, initializer_range=0.4, **sizes), dtype="float32")


def evaluated(distiller: Distiller, labels: Any, **options: Any) -> dict[str, float]:
    distiller.compile(keras.optimizers.SGD(0.0), run_eagerly=True, **options)
    return distiller.evaluate(INPUTS, labels, verbose=0, return_dict=True)


def logits_of(model: Any) -> np.ndarray:
    """The logits of all tokens, `(3, 6, 20)`."""
    return np.float64(model({name: INPUTS[name] for name in list(INPUTS)[:3]})["logits"])


def at(counted: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Those at the masked places that count."""
    rows, slots = np.nonzero(counted)
    return logits[rows, POSITIONS[rows, slots]]


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("cls", [MaskedLM, BertPretraining])
def test_each_masked_place_is_one_prediction(cls: Any, labelled: bool) -> None:
    """With labels the places count that have one and are no padding, 3, 1 and 1; without them 8 do."""
    teacher, student = made(cls, 1), made(cls, 2)
    counted = np.take_along_axis(MASK, POSITIONS, axis=1) > 0
    counted &= (TOKENS >= 0) | (not labelled)
    theirs, ours = (at(counted, logits_of(model)) for model in (teacher, student))
    soft = -(softmax(theirs / 2, axis=-1) * log_softmax(ours / 2, axis=-1)).sum(axis=-1).mean() * 4
    hard = -log_softmax(ours, axis=-1)[np.arange(len(ours)), np.maximum(TOKENS[counted], 0)].mean()
    expected = {
        "prediction_loss": 0.75 * soft + 0.25 * hard if labelled else soft,
        "logits_mse_loss": ((ours - theirs) ** 2).mean(),
    }
    losses = [PredictionLoss(temperature=2.0, hard_label_weight=0.25 * labelled), LogitsMSELoss()]
    of_pretraining = {"masked_tokens": TOKENS, "next_sentence": np.array([0, 1, 1])}
    labels = (of_pretraining if cls is BertPretraining else TOKENS) if labelled else None
    found = evaluated(Distiller(teacher, student, losses=losses), labels)
    assert found == pytest.approx({**expected, "loss": sum(expected.values())}, rel=1e-5)


def test_all_losses_of_logits_see_the_same_places() -> None:
    """What stands at other places changes none of them; hidden states are compared at all tokens."""
    teacher, student = made(MaskedLM, 1), made(MaskedLM, 2)
    losses = [KLLoss(), DKDLoss(), LogitsMSELoss(), HiddenStateLoss()]
    found = evaluated(Distiller(teacher, student, losses=losses), TOKENS)
    alone = evaluated(Distiller(teacher.encoder, student.encoder, losses=[HiddenStateLoss()]), None)
    assert found["hidden_state_loss"] == pytest.approx(alone["loss"], rel=1e-5)
    counted = (np.take_along_axis(MASK, POSITIONS, axis=1) > 0) & (TOKENS >= 0)
    one, other = (at(counted, logits_of(model)) for model in (teacher, student))
    of_places = {"student": other, "teacher": one}
    assert found["kl_loss"] == pytest.approx(float(KLLoss()(**of_places)), rel=1e-5)
    assert found["dkd_loss"] == pytest.approx(float(DKDLoss()(**of_places, labels=TOKENS[counted])), rel=1e-4)


def test_a_traced_step_and_one_in_parts_take_the_same() -> None:
    def trained(**options: Any) -> tuple[float, np.ndarray]:
        distiller = Distiller(made(MaskedLM, 1), made(MaskedLM, 2), losses=[PredictionLoss(hard_label_weight=0.5)])
        distiller.student.encoder.trainable = False
        distiller.compile(keras.optimizers.SGD(1.0), **options)
        loss = distiller.fit(INPUTS, TOKENS, batch_size=3, verbose=0).history["loss"][0]
        return loss, np.concatenate([np.ravel(weight) for weight in distiller.trainable_variables])

    (loss, weights), *others = (trained(run_eagerly=True), trained(), trained(accumulation_steps=3, run_eagerly=True))
    for other_loss, other_weights in others:
        assert other_loss == pytest.approx(loss, rel=1e-5)
        np.testing.assert_allclose(other_weights, weights, atol=1e-5)


def test_labels_are_of_the_places() -> None:
    distiller = Distiller(made(MaskedLM, 1), made(MaskedLM, 2), losses=[PredictionLoss(hard_label_weight=0.5)])
    with pytest.raises(InputError, match=r"labels: found shape \(3, 6\), expected \(3, 3\): one label for each"):
        evaluated(distiller, IDS)
