from __future__ import annotations

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier


@pytest.mark.parametrize("rows", [6, 5])
def test_a_batch_in_parts_is_the_batch(rows: int) -> None:
    def trained(accumulation_steps: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        config = EncoderConfig.from_preset(
            "bert-tiny", vocab_size=50, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        model = SequenceClassifier(config, num_labels=3)
        model.compile(optimizer=keras.optimizers.SGD(0.5), accumulation_steps=accumulation_steps)
        ids = np.random.default_rng(1).integers(1, 50, (rows, 4)).astype("int32")
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        model.fit(inputs, np.arange(rows) % 3, batch_size=rows, epochs=2, verbose=0)
        return [variable.numpy() for variable in model.trainable_variables]

    for whole, in_parts in zip(trained(1), trained(4), strict=True):
        np.testing.assert_allclose(in_parts, whole, rtol=1e-4, atol=1e-6)
