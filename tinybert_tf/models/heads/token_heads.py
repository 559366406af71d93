"""Heads that predict something for each token: `TokenClassifier` and `QuestionAnswering`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import keras
from keras import ops

from tinybert_tf import features
from tinybert_tf.checkpoints.families import ClassifierHead
from tinybert_tf.checkpoints.name_tables import CLASSIFIER, SPANS, TensorName
from tinybert_tf.checkpoints.tensors import Tensors
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.sequence_classifier import LabelledModel
from tinybert_tf.models.heads.task_model import TaskModel

# The logit of padding: its probability is 0 in float32, and it is finite, so that 0 times it is 0.
NEVER = -1e9


class TokenModel(TaskModel):
    """The base class of models that predict something for each token: no pooler, and `predict` returns all tokens."""

    add_pooler = False

    @property
    def token_head(self) -> keras.layers.Dense:
        """The linear layer on the last hidden state."""
        raise NotImplementedError

    def predict_step(self, data: Any) -> Any:
        """Return the `answers` of all tokens, row after row, padding included, for `predict`: `(tokens, columns)`.

        Batches differ in length; `Batches.in_file_order` splits their answers into rows again.
        """
        return {name: ops.reshape(value, (-1, value.shape[-1])) for name, value in super().predict_step(data).items()}


@keras.saving.register_keras_serializable("tinybert_tf")
class TokenClassifier(TokenModel, LabelledModel):
    """Labels each token: dropout and a linear layer on the last hidden state (`BertForTokenClassification`).

    `logits` is `(batch, seq_len, num_labels)`. Labels are integers `(batch, seq_len)`, and -100 for tokens without a
    label: special tokens, padding, and all pieces of a word but its first. Without a `loss`, `fit` minimises the mean
    cross-entropy over the tokens with a label.

    Args:
        encoder: an encoder, or the config of a new one. A pooler is neither needed nor saved.
        num_labels: number of classes.
        id2label: the classes' names, in order; `LABEL_0`, `LABEL_1`, ... by default.
        dropout: fraction in [0, 1) that is dropped from the last hidden state; by default `hidden_dropout_prob`.

    Raises:
        InputError: there is no label, or the number of names is not `num_labels`.

    Example:
        >>> import numpy as np
        >>> model = TokenClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100), id2label=["O", "B"])
        >>> ids = np.array([[5, 6, 7]], dtype="int32")
        >>> model({"input_ids": ids, "attention_mask": np.ones_like(ids)})["logits"].shape
        TensorShape([1, 3, 2])
    """

    architecture = "BertForTokenClassification"
    num_prediction_axes = 2

    @staticmethod
    def head_design(config: EncoderConfig) -> ClassifierHead:
        """The classifier of tokens, which is the same in all families."""
        return ClassifierHead(CLASSIFIER)

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """Compute `logits`, `(batch, seq_len, num_labels)`, from the last hidden state."""
        return {features.LOGITS: self.logits(outputs[features.LAST_HIDDEN_STATE], training)}

    @property
    def token_head(self) -> keras.layers.Dense:
        """The linear layer on the last hidden state."""
        return self.classifier

    def tensor_names(self) -> tuple[TensorName, ...]:
        """The tables of the encoder without a pooler and of the classifier."""
        return self.names_without_pooler() + CLASSIFIER


@keras.saving.register_keras_serializable("tinybert_tf")
class QuestionAnswering(TokenModel):
    """Finds where in a text the answer to a question starts and ends (`BertForQuestionAnswering`).

    `logits` is `(batch, seq_len, 2)`: each token's as the answer's first token (0) and as its last (1), Hugging Face's
    `start_logits` and `end_logits` side by side. Labels are these two positions, `(batch, 2)` integers: both 0, the
    [CLS] token, if the text has no answer, and -100 for no label. Without a `loss`, `fit` minimises the mean of both
    cross-entropies over the positions of real tokens.

    Args:
        encoder: an encoder, or the config of a new one. A pooler is neither needed nor saved.

    Example:
        >>> import numpy as np
        >>> model = QuestionAnswering(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
        >>> ids = np.array([[5, 6, 7]], dtype="int32")
        >>> model({"input_ids": ids, "attention_mask": np.ones_like(ids)})["logits"].shape
        TensorShape([1, 3, 2])
    """

    architecture = "BertForQuestionAnswering"
    predicts = features.POSITIONS

    def __init__(self, encoder: TransformerEncoder | EncoderConfig, **kwargs: Any) -> None:
        super().__init__(encoder, **kwargs)
        self.spans = keras.layers.Dense(
            2,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=self.config.initializer_range),
            dtype=self.dtype_policy,
            name="qa_outputs",
        )
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Create the head's weights; the encoder has its own."""
        self.spans.build((None, None, self.config.hidden_size))
        self.built = True

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """Compute `logits`, `(batch, seq_len, 2)`, from the last hidden state."""
        return {features.LOGITS: self.spans(outputs[features.LAST_HIDDEN_STATE])}

    def compared(self, inputs: Mapping[str, Any], labels: Any, outputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the two positions, and the logits of each over the positions of real tokens, `(batch, 2, seq_len)`."""
        logits = ops.cast(ops.transpose(outputs[features.LOGITS], (0, 2, 1)), "float32")
        return labels, ops.where(inputs["attention_mask"][:, None, :] > 0, logits, NEVER)

    @property
    def token_head(self) -> keras.layers.Dense:
        """The linear layer on the last hidden state."""
        return self.spans

    def tensor_names(self) -> tuple[TensorName, ...]:
        """The tables of the encoder without a pooler and of the head."""
        return self.names_without_pooler() + SPANS

    @classmethod
    def num_outputs(cls, num_labels: int) -> int:
        """Two: the columns are the answer's first and last token, not labels."""
        return 2

    @classmethod
    def new_head(cls, encoder: TransformerEncoder, label_names: Any, **kwargs: Any) -> Self:
        """Make a new model on an encoder; its columns have no names."""
        return cls(encoder, **kwargs)

    @classmethod
    def _from_directory(cls, config: EncoderConfig, values: Mapping[str, Any], tensors: Tensors, **kwargs: Any) -> Self:
        return cls(config, **kwargs)
