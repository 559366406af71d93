"""The embedding layer: word, position and token type embeddings, summed and normalised, with dropout."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tinybert_tf.models.encoder.dropout import Dropout
from tinybert_tf.models.initializer import encoder_initializer
from tinybert_tf.models.layers.dense import Dense, Embedding
from tinybert_tf.models.limits import check_length


class Embeddings(keras.layers.Layer):
    """Sum of word, position and token type embeddings, then LayerNorm and dropout (arXiv 1810.04805, figure 2).

    Input: `input_ids` and optionally `token_type_ids`, each `(batch, seq_len)` int32; without types every token has
    type 0. Output: `(batch, seq_len, hidden_size)`. A dense layer makes this width if `embedding_size` differs from it.
    A token, type or position outside its table gives NaN where the lookup does not raise (XLA, a GPU).

    With `type_vocab_size` 0 the model has no token types; with 1, as in RoBERTa, every token has type 0 and
    `token_type_ids` are not read. With a `padding_idx`, as in RoBERTa, tokens of this id have position `padding_idx`,
    and the others are counted from `padding_idx + 1` on.

    Raises:
        InputError: a sequence is longer than the position table.
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
        embedding_size: int | None = None,
        padding_idx: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.embedding_size = hidden_size if embedding_size is None else embedding_size
        self.max_position_embeddings = max_position_embeddings
        self.padding_idx = padding_idx

        def table(rows: int, name: str) -> Embedding:
            initializer = encoder_initializer(initializer_range)
            # The rows are cast after the lookup: autocast would cast the whole table in each step.
            return Embedding(
                rows,
                self.embedding_size,
                embeddings_initializer=initializer,
                autocast=False,
                dtype=self.dtype_policy,
                name=name,
            )

        self.word_embeddings = table(vocab_size, "word_embeddings")
        self.position_embeddings = table(max_position_embeddings, "position_embeddings")
        self.token_type_embeddings = table(type_vocab_size, "token_type_embeddings") if type_vocab_size else None
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_eps, dtype=self.dtype_policy, name="layer_norm"
        )
        self.dropout = Dropout(dropout, dtype=self.dtype_policy, name="dropout")
        self.projection = None
        if self.embedding_size != hidden_size:
            initializer = encoder_initializer(initializer_range)
            self.projection = Dense(
                hidden_size, kernel_initializer=initializer, dtype=self.dtype_policy, name="projection"
            )

    @property
    def tables(self) -> dict[str, keras.layers.Embedding]:
        """The tables by name: `word_embeddings`, `position_embeddings`, and `token_type_embeddings` if there is one."""
        tables = (self.word_embeddings, self.position_embeddings, self.token_type_embeddings)
        return {table.name: table for table in tables if table is not None}

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the output, for `summary`."""
        return (None, None, self.hidden_size)

    def build(self, input_shape: Any = None) -> None:
        """Create the tables; they do not depend on the input's shape."""
        for table in self.tables.values():
            table.build((None, None))
        self.layer_norm.build((None, None, self.embedding_size))
        if self.projection is not None:
            self.projection.build((None, None, self.embedding_size))
        self.built = True

    def call(self, input_ids: Any, token_type_ids: Any = None, training: bool | None = None) -> Any:
        """Embed `(batch, seq_len)` ids as `(batch, seq_len, hidden_size)`."""
        embedded = self.layer_norm(self.summed(input_ids, token_type_ids))
        embedded = self.dropout(embedded, training=training)
        return embedded if self.projection is None else self.projection(embedded)

    def summed(self, input_ids: Any, token_type_ids: Any = None) -> Any:
        """Sum the tables' rows, `(batch, seq_len, embedding_size)`, before the normalisation."""
        positions = self._positions(input_ids)
        embedded = self.word_embeddings(input_ids) + self.position_embeddings(positions)
        is_outside = _outside(input_ids, self.word_embeddings) | _outside(positions, self.position_embeddings)
        types = self.token_type_embeddings
        if types is not None and (token_type_ids is None or types.input_dim == 1):
            embedded = embedded + types(ops.zeros((1, 1), dtype="int32"))
        elif types is not None:
            embedded = embedded + types(token_type_ids)
            is_outside |= _outside(token_type_ids, types)
        # Outside a table a GPU looks up zeros, and XLA another token's row.
        return embedded + ops.cast(ops.where(is_outside, math.nan, 0.0), embedded.dtype)[..., None]

    def _positions(self, input_ids: Any) -> Any:
        """The row of each token in the position table, `(seq_len,)` or `(batch, seq_len)` int32."""
        first = 0 if self.padding_idx is None else self.padding_idx + 1
        seq_len = input_ids.shape[1]
        if seq_len is not None:
            check_length(self.max_position_embeddings, self.max_position_embeddings - first, seq_len)
        if self.padding_idx is None:
            return ops.arange(ops.shape(input_ids)[1], dtype="int32")
        is_token = ops.cast(ops.not_equal(input_ids, self.padding_idx), "int32")
        return ops.cumsum(is_token, axis=1) * is_token + self.padding_idx


def _outside(ids: Any, table: keras.layers.Embedding) -> Any:
    """Return a bool mask of the ids' shape, true where an id is outside the table."""
    return ops.logical_or(ids < 0, ids >= table.input_dim)
