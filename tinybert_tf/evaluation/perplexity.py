"""How well a masked language model predicts the tokens that are hidden from it."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

from tinybert_tf import features
from tinybert_tf.data.batches.batch_source import BatchSource
from tinybert_tf.data.corpus.masking import NO_LABEL
from tinybert_tf.errors import InputError

# exp(99) is the last power of e that prints as a number anybody reads; beyond it the model is broken anyway.
LARGEST_LOSS = 99.0


def masked_lm_metrics(model: keras.Model, batches: BatchSource) -> dict[str, float]:
    """A model's metrics on masked batches, over all their masked tokens alike, whatever batch they are in.

    Args:
        model: `MaskedLM` or `BertPretraining`.
        batches: `PretrainingBatches` with a `masking`; the epoch that they stand at.

    Returns:
        `masked_tokens_loss`: mean cross-entropy in nats; `perplexity`: e to its power; `masked_tokens_accuracy`:
        fraction of the tokens that are the likeliest; with next-sentence prediction also `next_sentence_accuracy`.

    Raises:
        InputError: no token is masked, because none is known.
    """
    loss, right, count, follows_right, rows = 0.0, 0, 0, 0, 0
    has_next_sentence = False
    for step in range(len(batches)):
        inputs, labels = batches[step]
        outputs = model(inputs, training=False)
        if isinstance(labels, dict):
            if features.NEXT_SENTENCE_LOGITS in outputs:
                has_next_sentence = True
                answers = np.asarray(ops.argmax(outputs[features.NEXT_SENTENCE_LOGITS], axis=-1))
                follows_right += int((answers == labels["next_sentence"]).sum())
                rows += len(answers)
            labels = labels["masked_tokens"]
        is_masked = labels != NO_LABEL
        log_probabilities = ops.log_softmax(ops.cast(outputs[features.LOGITS], "float32"), axis=-1)
        chosen = ops.take_along_axis(log_probabilities, np.where(is_masked, labels, 0)[..., None], axis=-1)
        loss -= float(np.asarray(chosen, np.float64)[..., 0][is_masked].sum())
        right += int((np.asarray(ops.argmax(log_probabilities, axis=-1)) == labels)[is_masked].sum())
        count += int(is_masked.sum())
    if not count:
        raise InputError("no token to predict: the text that is measured on holds unknown tokens alone.")
    mean = loss / count
    metrics = {
        "masked_tokens_loss": mean,
        "perplexity": math.exp(min(mean, LARGEST_LOSS)),
        "masked_tokens_accuracy": right / count,
    }
    return metrics | ({"next_sentence_accuracy": follows_right / rows} if has_next_sentence else {})
