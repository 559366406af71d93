"""The models that BERT is pretrained as: masked tokens, and whether one segment follows the other."""

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
    """A token for each position (`BertForMaskedLM`): dense, activation, LayerNorm, then the word embeddings as decoder.

    `logits` is `(batch, seq_len, vocab_size)`. With a third input, `masked_positions` `(batch, predictions)` int32, the
    head computes these positions alone, and `logits` is `(batch, predictions, vocab_size)`. The decoder's matrix is the
    word embedding table itself, plus a bias.

    Labels are tokens, -100 where there is none, of the logits' places: `(batch, seq_len)` or `(batch, predictions)`; of
    a dict of labels its `masked_tokens`. Without a `loss` the mean cross-entropy over those with a label is trained.

    Args:
        encoder: an encoder, or the config of a new one. A pooler is neither needed nor saved.

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
        self.decoder.build()
        self.built = True

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """`logits` from the last hidden state, at `masked_positions` where the inputs have them."""
        hidden = outputs[features.LAST_HIDDEN_STATE]
        if features.MASKED_POSITIONS in inputs:
            hidden = _rows_at(hidden, inputs[features.MASKED_POSITIONS])
        return {features.LOGITS: self.decoder(self._transformed(hidden), self.word_embeddings)}

    @property
    def word_embeddings(self) -> Any:
        """The table that is the decoder's matrix too, `(vocab_size, embedding_size)`."""
        return self.encoder.embeddings.word_embeddings.embeddings

    def decoded_at(self, inputs: Mapping[str, Any]) -> Any:
        """What the decoder gets at `masked_positions`, `(batch, predictions, embedding_size)`, in inference mode.

        Of the last layer these places alone are computed, which a call, whose `last_hidden_state` is of all, cannot.
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
        """The masked tokens and the logits."""
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
            raise InputError(f"{tensors.path}: tie_word_embeddings is false; a decoder of its own is not read.")
        return cls(config, **kwargs)


@keras.saving.register_keras_serializable("tinybert_tf")
class BertPretraining(MaskedLM):
    """What BERT is pretrained as (`BertForPreTraining`): a masked LM that also says whether segment B follows A.

    `logits` as `MaskedLM`'s; `next_sentence_logits` `(batch, 2)`, from the pooled output: B follows A (0), or is from
    another document (1). `compile` without a `loss` and `fit` train it on `PretrainingBatches` with the sum of both
    cross-entropies (arXiv 1810.04805, appendix A.2): of the masked tokens the mean over those that have a label, of the
    next sentence the mean over rows. They are logged as `masked_tokens_loss` and `next_sentence_loss`.

    Args:
        encoder: an encoder with a pooler, or the config of a new one.

    Raises:
        InputError: an encoder without a pooler, or of a family that was not pretrained so; in training, labels other
            than a dict of `masked_tokens` and `next_sentence`.

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
        """Always: the next sentence is read off it."""
        if not config.family.next_sentence:
            raise InputError(f"{cls.__name__}: a model of type {config.model_type} has no next-sentence head.")
        return True

    def build(self, input_shape: Any = None) -> None:
        """Create the heads' weights; the encoder has its own."""
        self.next_sentence = keras.layers.Dense(2, **self._dense_arguments("next_sentence"))
        self.next_sentence.build((None, self.config.hidden_size))
        super().build(input_shape)

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """Both logits."""
        follows = self.next_sentence(outputs[features.POOLED_OUTPUT])
        return {**super().head(inputs, outputs, training), features.NEXT_SENTENCE_LOGITS: follows}

    @property
    def trained_outputs(self) -> Mapping[str | None, str]:
        """The masked tokens and the next sentence; a `loss` given to `compile` is a dict of both."""
        return {features.MASKED_TOKENS: features.CLASSES, features.NEXT_SENTENCE: features.CLASSES}

    def compared(self, inputs: Mapping[str, Any], labels: Any, outputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Both labels, and both logits by the names that their labels have."""
        logits = {
            features.MASKED_TOKENS: outputs[features.LOGITS],
            features.NEXT_SENTENCE: outputs[features.NEXT_SENTENCE_LOGITS],
        }
        if not isinstance(labels, Mapping) or labels.keys() != logits.keys():
            found = f"a dict of {', '.join(sorted(labels))}" if isinstance(labels, Mapping) else "one array"
            found = "nothing" if labels is None else found
            raise InputError(
                f"labels: found {found}; BertPretraining learns from a dict of masked_tokens and next_sentence, as "
                f"PretrainingBatches(next_sentence=True) makes them."
            )
        return dict(labels), logits

    def tensor_names(self) -> tuple[TensorName, ...]:
        """The encoder's table with its pooler, and both heads."""
        return self.encoder.tensor_names() + self.config.family.masked_lm.names + self.config.family.next_sentence


class TiedDecoder(RoundedLayer):
    """Hidden states times the transposed embedding table, whose rows can be rounded, plus a bias of its own."""

    def __init__(self, vocab_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `from_config`."""
        return {"vocab_size": self.vocab_size, "dtype": self.dtype_policy.name, "name": self.name}

    def build(self, input_shape: Any = None) -> None:
        """Create the bias."""
        self.bias = self.add_weight(shape=(self.vocab_size,), initializer="zeros", name="bias")
        self.built = True

    def call(self, hidden: Any, embeddings: Any) -> Any:
        """`(batch, seq_len, width)` and `(vocab_size, width)` to `(batch, seq_len, vocab_size)`."""
        table = ops.cast(rounded_rows(embeddings, self.weight_bits), self.compute_dtype)
        return ops.matmul(hidden, ops.transpose(table)) + self.bias


def _rows_at(hidden: Any, positions: Any) -> Any:
    """`(batch, seq_len, width)` at `(batch, predictions)` to `(batch, predictions, width)`.

    Whole rows of the flattened batch: `take_along_axis` picks number by number, three to eight times slower on a CPU.
    A position that the sequence does not have makes NaN: in the flattened batch it is a place of another text.
    """
    shape, positions = ops.shape(hidden), ops.cast(positions, "int32")
    first = ops.arange(shape[0], dtype="int32")[:, None] * shape[1]
    is_outside = ops.logical_or(positions < 0, positions >= shape[1])
    places = first + ops.where(is_outside, 0, positions)
    rows = ops.take(ops.reshape(hidden, (-1, hidden.shape[-1])), places, axis=0)
    return rows + ops.cast(ops.where(is_outside, math.nan, 0.0), rows.dtype)[..., None]
