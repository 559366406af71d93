"""The graph of an exported model: a task model's logits, and nothing that they do not need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tinybert_tf import features
from tinybert_tf.models.encoder.attention import as_mask_bias
from tinybert_tf.models.encoder.embeddings import Embeddings
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
from tinybert_tf.models.heads.task_model import TaskModel


class InferenceGraph:
    """A task model's inference as TensorFlow functions, from which SavedModel and LiteRT files are made.

    `inputs`, each `(batch, length)` int32: `input_ids`, `attention_mask` and, where the model has more than one type of
    tokens, `token_type_ids`. Output: `{"logits": ...}`, float32.

    A classifier of texts reads its last layer only at the first token, so the last layer computes only this token,
    apart from the keys and values of all tokens. Ids are looked up as a flat list, for which LiteRT has an operation
    that can be quantized. Reshapes have at most one unknown size, so that LiteRT knows every shape beforehand.
    """

    def __init__(self, model: TaskModel) -> None:
        self._model = model
        names = ["input_ids", "attention_mask"]
        if model.config.type_vocab_size > 1:
            names.append("token_type_ids")
        self.input_names = tuple(names)

    def function(self, length: int | None) -> Any:
        """Return the concrete function for texts padded to `length` tokens (None: any length), for any batch size."""
        specs = {name: tf.TensorSpec((None, length), tf.int32, name=name) for name in self.input_names}

        @tf.function(input_signature=[specs[name] for name in self.input_names], autograph=False)
        def logits(*tensors: Any) -> dict[str, Any]:
            return {features.LOGITS: self.logits(dict(zip(self.input_names, tensors, strict=True)))}

        return logits.get_concrete_function()

    def logits(self, inputs: Mapping[str, Any]) -> Any:
        """Compute the model's logits of a batch."""
        model, encoder = self._model, self._model.encoder
        hidden = embedded(encoder.embeddings, inputs["input_ids"], inputs.get("token_type_ids"))
        mask_bias = as_mask_bias(inputs["attention_mask"])
        *below, last = encoder.encoder_layers
        for layer in below:
            hidden, _ = layer(hidden, mask_bias, training=False)
        first_token = hidden[:, :1] if isinstance(model, SequenceClassifier) else None
        hidden, _ = last(hidden, mask_bias, training=False, query_hidden=first_token)
        outputs = {features.LAST_HIDDEN_STATE: hidden}
        if encoder.pooler is not None:
            outputs[features.POOLED_OUTPUT] = encoder.pooler(hidden[:, 0])
        return model.head(inputs, outputs, training=False)[features.LOGITS]


def save_functions(functions: Mapping[str, Any], directory: str | Path) -> None:
    """Write concrete functions as the signatures of a SavedModel, with the variables that they read."""
    module = tf.Module()
    module.read = list({id(each): each for function in functions.values() for each in function.variables}.values())
    tf.saved_model.save(module, str(directory), signatures=dict(functions))


def embedded(embeddings: Embeddings, input_ids: Any, token_type_ids: Any) -> Any:
    """Compute the result of `Embeddings.call` in inference."""
    length = tf.shape(input_ids)[1] if input_ids.shape[1] is None else input_ids.shape[1]
    width = embeddings.embedding_size

    def looked_up(table: keras.layers.Embedding, ids: Any) -> Any:
        rows = tf.gather(tf.convert_to_tensor(table.embeddings), tf.reshape(ids, [-1]))
        return tf.reshape(rows, [-1, length, width])

    total = looked_up(embeddings.word_embeddings, input_ids)
    positions = embeddings._positions(input_ids)
    if embeddings.padding_idx is None:
        total += tf.convert_to_tensor(embeddings.position_embeddings.embeddings)[:length]
    else:
        total += looked_up(embeddings.position_embeddings, positions)
    if embeddings.token_type_embeddings is not None:
        if token_type_ids is None:
            total += tf.convert_to_tensor(embeddings.token_type_embeddings.embeddings)[:1]
        else:
            total += looked_up(embeddings.token_type_embeddings, token_type_ids)
    normalized = embeddings.layer_norm(total)
    return normalized if embeddings.projection is None else embeddings.projection(normalized)
