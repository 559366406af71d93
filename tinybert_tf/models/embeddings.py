"""BERT's embedding output: word, position and token type, summed, normalised, dropped out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinybert_tf.errors import InputError
from tinybert_tf.models.initializer import encoder_initializer


class Embeddings(keras.layers.Layer):
    """Sum of word, position and token type embeddings, then LayerNorm and dropout (arXiv 1810.04805, figure 2).

    Input: `input_ids` and optionally `token_type_ids`, each `(batch, seq_len)` int32; without the latter every token is
    of type 0. Output: `(batch, seq_len, hidden_size)`.

    Raises:
        InputError: a sequence longer than `max_position_embeddings`.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        max_position_embeddings: int,
        type_vocab_size: int,
        layer_norm_eps: float,
        dropout: float,
        initializer_range: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.max_position_embeddings = max_position_embeddings

        def table(rows: int, name: str) -> keras.layers.Embedding:
            initializer = encoder_initializer(initializer_range)
            # Looked up, then cast: with autocast the whole table would be, in each step.
            return keras.layers.Embedding(
                rows,
                hidden_size,
                embeddings_initializer=initializer,
                autocast=False,
                dtype=self.dtype_policy,
                name=name,
            )

        self.word_embeddings = table(vocab_size, "word_embeddings")
        self.position_embeddings = table(max_position_embeddings, "position_embeddings")
        self.token_type_embeddings = table(type_vocab_size, "token_type_embeddings")
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_eps, dtype=self.dtype_policy, name="layer_norm"
        )
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, input_shape: Any = None) -> None:
        """Create the tables; they do not depend on the input's shape."""
        for table in (self.word_embeddings, self.position_embeddings, self.token_type_embeddings):
            table.build((None, None))
        self.layer_norm.build((None, None, self.hidden_size))
        self.built = True

    def call(self, input_ids: Any, token_type_ids: Any = None, training: bool | None = None) -> Any:
        """`(batch, seq_len)` ids to `(batch, seq_len, hidden_size)`."""
        seq_len = input_ids.shape[1]
        if seq_len is not None and seq_len > self.max_position_embeddings:
            raise InputError(
                f"a sequence of {seq_len} tokens; this model has "
                f"max_position_embeddings={self.max_position_embeddings}."
            )
        embedded = self.word_embeddings(input_ids)
        positions = ops.arange(ops.shape(input_ids)[1], dtype="int32")
        embedded = embedded + self.position_embeddings(positions)
        if token_type_ids is None:
            token_type_ids = ops.zeros_like(input_ids)
        embedded = embedded + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.layer_norm(embedded), training=training)
