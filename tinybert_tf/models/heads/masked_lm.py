"""BERT's pretraining models: masked tokens, and whether one segment follows the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import keras
from keras import ops

from tinybert_tf import features
from tinybert_tf.checkpoints.name_tables import TensorName
from tinybert_tf.checkpoints.tensors import Tensors
from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.attention import as_mask_bias
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.layers.activations import ACTIVATIONS
from tinybert_tf.models.layers.dense import Dense
from tinybert_tf.models.quantization.rounded_layer import RoundedLayer
from tinybert_tf.models.quantization.rounding import rounded_rows


@keras.saving.register_keras_serializable("tinybert_tf")
class MaskedLM(TaskModel):
    """Predicts the token at each position (`BertForMaskedLM`).

    The head is a dense layer, an activation, LayerNorm, and a decoder whose matrix is the word embedding table, plus a
    bias. `logits` is `(batch, seq_len, vocab_size)`. With one more input, `masked_positions` `(batch, predictions)`
    int32, the head computes only these positions, and `logits` is `(batch, predictions, vocab_size)`.

    Labels are token ids at the places of the logits, `(batch, seq_len)` or `(batch, predictions)`, and -100 for no
    label; a dict of labels holds them as `masked_tokens`. Without a `loss`, `fit` minimises the mean cross-entropy over
    the places with a label, in nats.

    Args:
        encoder: an encoder, or the config of a new one. The model neither needs nor saves a pooler.

    Example:
        >>> import numpy as np
        >>> model = MaskedLM(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
        >>> ids = np.array([[5, 6, 7]], dtype="int32")
        >>> inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        >>> model(inputs)["logits"].shape
        TensorShape([1, 3, 100])
        >>> model({**inputs, "masked_positions": np.array([[1]])})["logits"].shape
        TensorShape([1, 1, 100])
    """

    architecture = "BertForMaskedLM"
    add_pooler = False

    def __init__(self, encoder: TransformerEncoder | EncoderConfig, **kwargs: Any) -> None:
        super().__init__(encoder, **kwargs)
        width = self.encoder.embeddings.embedding_size
        activation = ACTIVATIONS[self.config.family.masked_lm.activation or self.config.hidden_act]
        self.transform = Dense(width, follow_up=activation, **self._dense_arguments("transform"))
        self.transform_layer_norm = keras.layers.LayerNormalization(
            epsilon=self.config.layer_norm_eps, dtype=self.dtype_policy, name="transform_layer_norm"
        )
        self.decoder = TiedDecoder(self.config.vocab_size, dtype=self.dtype_policy, name="predictions")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Create the head's weights; the encoder has its own."""
        self.transform.build((None, None, self.config.hidden_size))
        self.transform_layer_norm.build((None, None, self.encoder.embeddings.embedding_size))
        self.decoder.build((None, None, self.encoder.embeddings.embedding_size))
        self.built = True

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """Compute `logits` from the last hidden state, only at `masked_positions` if the inputs have them."""
        hidden = outputs[features.LAST_HIDDEN_STATE]
        if features.MASKED_POSITIONS in inputs:
            hidden = _rows_at(hidden, inputs[features.MASKED_POSITIONS])
        return {features.LOGITS: self.decoder(self._transformed(hidden), self.word_embeddings)}

    @property
    def word_embeddings(self) -> Any:
        """The word embedding table, which is also the decoder's matrix, `(vocab_size, embedding_size)`."""
        return self.encoder.embeddings.word_embeddings.embeddings

    def decoded_at(self, inputs: Mapping[str, Any]) -> Any:
        """Compute the decoder's inputs at `masked_positions` in inference mode, `(batch, predictions, embedding_size)`.

        The last layer computes only these places. A call cannot do so, as it returns `last_hidden_state` of all places.
        """
        below = self.num_hidden_layers - 1
        outputs = self.encoder(inputs, training=False, output_hidden_states=(below,), last_layer=below)
        hidden = outputs[features.HIDDEN_STATES][below]
        query_hidden = _rows_at(hidden, inputs[features.MASKED_POSITIONS])
        mask_bias = as_mask_bias(inputs["attention_mask"])
        query_hidden, _ = self.encoder.encoder_layers[below](
            hidden, mask_bias, training=False, query_hidden=query_hidden
        )
        return self._transformed(query_hidden)

    def _transformed(self, hidden: Any) -> Any:
        return self.transform_layer_norm(self.transform(hidden))

    def compared(self, inputs: Mapping[str, Any], labels: Any, outputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the masked tokens and the logits."""
        if isinstance(labels, Mapping):
            labels = labels[features.MASKED_TOKENS]
        return labels, outputs[features.LOGITS]

    def tensor_names(self) -> tuple[TensorName, ...]:
        """The encoder's table, without a pooler, and the masked-LM head."""
        return self.names_without_pooler() + self.config.family.masked_lm.names

    def _dense_arguments(self, name: str) -> dict[str, Any]:
        initializer = keras.initializers.TruncatedNormal(stddev=self.config.initializer_range)
        return {"kernel_initializer": initializer, "dtype": self.dtype_policy, "name": name}

    @classmethod
    def _from_directory(cls, config: EncoderConfig, values: Mapping[str, Any], tensors: Tensors, **kwargs: Any) -> Self:
        if values.get("tie_word_embeddings") is False:
            raise InputError(f"{tensors.path}: tie_word_embeddings is false; expected true (the embedding table).")
        return cls(config, **kwargs)


@keras.saving.register_keras_serializable("tinybert_tf")
class BertPretraining(MaskedLM):
    """The pretraining model of BERT (`BertForPreTraining`): a masked LM that also tells whether segment B follows A.

    `logits` are those of `MaskedLM`. `next_sentence_logits`, `(batch, 2)` from the pooled output, have the classes "B
    follows A" (0) and "B is from another document" (1). Without a `loss`, `fit` on `PretrainingBatches` minimises the
    sum of two cross-entropies (arXiv 1810.04805, appendix A.2): the mean over masked tokens with a label, logged as
    `masked_tokens_loss`, and the mean over rows of the next sentence, logged as `next_sentence_loss`.

    Args:
        encoder: an encoder with a pooler, or the config of a new one.

    Raises:
        InputError: the encoder has no pooler, or its family was not pretrained on next sentences; in training, labels
            are not a dict of `masked_tokens` and `next_sentence`.

    Example:
        >>> import numpy as np
        >>> model = BertPretraining(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
        >>> ids = np.array([[5, 6, 7]], dtype="int32")
        >>> model({"input_ids": ids, "attention_mask": np.ones_like(ids)})["next_sentence_logits"].shape
        TensorShape([1, 2])
    """

    architecture = "BertForPreTraining"
    add_pooler = True
    answers = (features.LOGITS, features.NEXT_SENTENCE_LOGITS)

    @classmethod
    def needs_pooler(cls, config: EncoderConfig) -> bool:
        """Always true: the next sentence is predicted from the pooled output."""
        if not config.family.next_sentence:
            raise InputError(f"{cls.__name__}: a model of type {config.model_type} has no next-sentence head.")
        return True

    def build(self, input_shape: Any = None) -> None:
        """Create the heads' weights; the encoder has its own."""
        self.next_sentence = keras.layers.Dense(2, **self._dense_arguments("next_sentence"))
        self.next_sentence.build((None, self.config.hidden_size))
        super().build(input_shape)

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """Compute `logits` and `next_sentence_logits`."""
        follows = self.next_sentence(outputs[features.POOLED_OUTPUT])
        return {**super().head(inputs, outputs, training), features.NEXT_SENTENCE_LOGITS: follows}

    @property
    def trained_outputs(self) -> Mapping[str | None, str]:
        """The masked tokens and the next sentence; a `loss` given to `compile` is a dict of both."""
        return {features.MASKED_TOKENS: features.CLASSES, features.NEXT_SENTENCE: features.CLASSES}

    def compared(self, inputs: Mapping[str, Any], labels: Any, outputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return both labels, and both logits by the names of their labels."""
        logits = {
            features.MASKED_TOKENS: outputs[features.LOGITS],
            features.NEXT_SENTENCE: outputs[features.NEXT_SENTENCE_LOGITS],
        }
        if not isinstance(labels, Mapping) or labels.keys() != logits.keys():
            found = f"a dict of {', '.join(sorted(labels))}" if isinstance(labels, Mapping) else "one array"
            found = "nothing" if labels is None else found
            raise InputError(
                f"labels: expected a dict of masked_tokens and next_sentence, as from "
                f"PretrainingBatches(next_sentence=True), got {found}."
            )
        return dict(labels), logits

    def tensor_names(self) -> tuple[TensorName, ...]:
        """The tables of the encoder with its pooler and of both heads."""
        return self.encoder.tensor_names() + self.config.family.masked_lm.names + self.config.family.next_sentence


class TiedDecoder(RoundedLayer):
    """Multiplies hidden states by the transposed embedding table, whose rows can be rounded, and adds a bias."""

    def __init__(self, vocab_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `from_config`."""
        return {"vocab_size": self.vocab_size, "dtype": self.dtype_policy.name, "name": self.name}

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the logits, for `summary`."""
        return (None, None, self.vocab_size)

    def build(self, input_shape: Any = None) -> None:
        """Create the bias."""
        self.bias = self.add_weight(shape=(self.vocab_size,), initializer="zeros", name="bias")
        self.built = True

    def call(self, hidden: Any, embeddings: Any) -> Any:
        """Map `(batch, seq_len, width)` and `(vocab_size, width)` to `(batch, seq_len, vocab_size)`."""
        table = ops.cast(rounded_rows(embeddings, self.weight_bits), self.compute_dtype)
        return ops.matmul(hidden, ops.transpose(table)) + self.bias


def _rows_at(hidden: Any, positions: Any) -> Any:
    """Pick rows of `(batch, seq_len, width)` at `(batch, predictions)`, as `(batch, predictions, width)`.

    It takes whole rows of the flattened batch: `take_along_axis` takes number by number, three to eight times slower on
    a CPU. A position outside the sequence gives NaN: in the flattened batch it is a place of another text.
    """
    shape, positions = ops.shape(hidden), ops.cast(positions, "int32")
    first = ops.arange(shape[0], dtype="int32")[:, None] * shape[1]
    is_outside = ops.logical_or(positions < 0, positions >= shape[1])
    places = first + ops.where(is_outside, 0, positions)
    rows = ops.take(ops.reshape(hidden, (-1, hidden.shape[-1])), places, axis=0)
    return rows + ops.cast(ops.where(is_outside, math.nan, 0.0), rows.dtype)[..., None]
