"""Measuring how well a masked language model predicts masked tokens."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

from tinybert_tf import features
from tinybert_tf.data.batches.batch_source import BatchSource
from tinybert_tf.data.corpus.masking import NO_LABEL
from tinybert_tf.errors import InputError

# The loss at which perplexity stops growing: beyond exp(99) the model is broken anyway.
LARGEST_LOSS = 99.0


def masked_lm_metrics(model: keras.Model, batches: BatchSource) -> dict[str, float]:
    """Measure a model's metrics on masked batches; every masked token counts the same, whatever its batch.

    Args:
        model: `MaskedLM` or `BertPretraining`.
        batches: `PretrainingBatches` with a `masking`, in their current epoch.

    Returns:
        `masked_tokens_loss`: mean cross-entropy in nats; `perplexity`: e to the power of the loss;
        `masked_tokens_accuracy`: the fraction of masked tokens that the model ranks first; with next-sentence
        prediction also `next_sentence_accuracy`, the fraction of right rows.

    Raises:
        InputError: no token is masked, because the vocabulary has none of the text.
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
        raise InputError("no token to predict: expected known tokens in the measured text, got only unknown ones.")
    mean = loss / count
    metrics = {
        "masked_tokens_loss": mean,
        "perplexity": math.exp(min(mean, LARGEST_LOSS)),
        "masked_tokens_accuracy": right / count,
    }
    return metrics | ({"next_sentence_accuracy": follows_right / rows} if has_next_sentence else {})
