"""The mask and the labels that belong to logits: of texts, of all tokens, or of the masked places alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from tinybert_tf import features
from tinybert_tf.trainable.label_losses import of_shape


def of_logits(inputs: Mapping[str, Any], labels: Any, logits: Any) -> tuple[Any, Any]:
    """The `mask` and the labels of a loss that compares logits.

    The mask is `attention_mask`, `(batch, seq_len)`. Where a masked language model gives logits at `masked_positions`
    alone, it is of these places, `(batch, predictions)`: 0 for a place of padding, and for one whose label is below 0,
    which fills up a row with fewer predictions. Of a dict of labels the masked tokens' belong to the logits.

    Raises:
        InputError: the labels are not one for each masked place.
    """
    if isinstance(labels, Mapping):
        labels = labels.get(features.MASKED_TOKENS)
    mask = inputs["attention_mask"]
    if features.MASKED_POSITIONS not in inputs or len(logits.shape) < 3:
        return mask, labels
    places = ops.clip(inputs[features.MASKED_POSITIONS], 0, ops.shape(mask)[1] - 1)  # the model's logits of others: NaN
    mask = ops.take_along_axis(mask, places, axis=1)
    if labels is not None:
        mask = ops.where(of_shape(labels, mask) < 0, ops.zeros_like(mask), mask)
    return mask, labels
