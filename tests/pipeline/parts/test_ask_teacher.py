"""Batches with a teacher's features: the same losses, whatever a loss does with padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tinybert_tf import (
    DistillationLoss,
    Distiller,
    EncoderConfig,
    HiddenStateLoss,
    Teacher,
    TeacherCache,
    TransformerEncoder,
)
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.pipeline.parts.ask_teacher import with_teacher_features


class Unmasked(DistillationLoss):
    feature = "hidden_states"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        return ops.mean(ops.square(student - teacher))


def encoder(seed: int) -> TransformerEncoder:
    keras.utils.set_random_seed(seed)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
    return TransformerEncoder(EncoderConfig(vocab_size=20, **sizes), dtype="float32")


def rows(*lengths: int) -> TokenizedTexts:
    ids = np.random.default_rng(1).integers(1, 20, sum(lengths)).astype(np.int32)
    return TokenizedTexts(ids, np.zeros(len(ids), np.int8), np.cumsum([0, *lengths]))


@pytest.mark.parametrize("loss", [Unmasked, HiddenStateLoss])
def test_the_same_value_with_and_without_a_cache(
    loss: type[DistillationLoss], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distiller = Distiller(Teacher(encoder(1)), encoder(2), losses=[loss()])
    batches = Batches(rows(5, 1, 3), batch_size=3)
    kept = with_teacher_features(batches, distiller, TeacherCache(tmp_path))

    def value(inputs: dict[str, Any]) -> float:
        return float(distiller.compute_loss(x=inputs, y_pred=distiller(inputs), training=False))

    assert value(kept[0][0]) == pytest.approx(value(batches[0][0]), rel=5e-3)  # kept in bfloat16
    said = "teacher cache: unmasked compares padding too, which is not kept: the teacher runs each step\n"
    assert capsys.readouterr().err == ("" if loss is HiddenStateLoss else said)
    assert ("teacher/hidden_states/1" in kept[0][0]) == (loss is HiddenStateLoss)
