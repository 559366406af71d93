"""`TransformerEncoder`: the encoder of BERT and its relatives, with every intermediate feature in one output dict."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import keras

from tinybert_tf import features
from tinybert_tf.checkpoints.name_tables import TensorName
from tinybert_tf.checkpoints.tensors import Tensors
from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.attention import as_mask_bias
from tinybert_tf.models.encoder.embeddings import Embeddings
from tinybert_tf.models.encoder.encoder_layer import EncoderLayer
from tinybert_tf.models.layers.activations import ACTIVATIONS
from tinybert_tf.models.layers.dense import Dense
from tinybert_tf.models.pretrained import PretrainedModel, relative_paths


@keras.saving.register_keras_serializable("tinybert_tf")
class TransformerEncoder(PretrainedModel):
    """The encoder of BERT (arXiv 1810.04805) or a relative, for sequences up to `config.max_tokens` long.

    Its weights exist once the constructor has run. The call takes a dict of `input_ids`, `attention_mask` (1 real,
    0 padding) and optionally `token_type_ids`, each `(batch, seq_len)` int32, and returns a dict:

    - `last_hidden_state`: `(batch, seq_len, hidden_size)`; `pooled_output`: `(batch, hidden_size)`, with a pooler;
    - `hidden_states`: `{layer: (batch, seq_len, hidden_size)}`, 0 the embedding output, 1..N the layers;
    - `attention_scores`: `{layer: (batch, heads, seq_len, seq_len)}`, 1..N: QK^T / sqrt(head_size), unmasked;
    - `queries`, `keys`, `values`: `{layer: (batch, heads, seq_len, head_size)}`, 1..N.

    The features of single layers are in the dict only if the call asks for them: `output_hidden_states`,
    `output_attention_scores` and `output_queries_keys_values` are each True, False or a tuple of layer numbers. With
    `last_layer` nothing above that layer is computed: the dict has no `last_hidden_state` and no `pooled_output`.

    Args:
        config: the hyper-parameters.
        add_pooler: whether to add a pooler, a tanh layer on the first token; by default if the family has one.
        dtype: a Keras dtype or policy; the global policy by default. LayerNorm statistics and softmax are float32.

    Raises:
        InputError: a pooler for a family without one; when called, an input is missing, a layer does not exist, or a
            sequence is too long.

    Example:
        >>> import numpy as np
        >>> encoder = TransformerEncoder(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
        >>> ids = np.array([[5, 6, 0]], dtype="int32")
        >>> outputs = encoder({"input_ids": ids, "attention_mask": np.sign(ids)}, output_attention_scores=(2,))
        >>> outputs["attention_scores"][2].shape
        TensorShape([1, 2, 3, 3])
    """

    architecture = "BertModel"
    config_argument = "config"

    def __init__(self, config: EncoderConfig, add_pooler: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        if add_pooler is None:
            add_pooler = bool(config.family.pooler)
        if add_pooler and not config.family.pooler:
            raise InputError(f"add_pooler=True: a model of type {config.model_type} has no pooler.")
        self.embeddings = Embeddings(
            config.vocab_size,
            config.hidden_size,
            config.max_position_embeddings,
            config.type_vocab_size,
            config.layer_norm_eps,
            config.hidden_dropout_prob,
            config.initializer_range,
            embedding_size=config.embedding_size,
            padding_idx=config.pad_token_id if config.family.positions_after_padding else None,
            dtype=self.dtype_policy,
            name="embeddings",
        )
        self.encoder_layers = [
            EncoderLayer(
                config.hidden_size,
                config.num_attention_heads,
                config.intermediate_size,
                config.hidden_act,
                config.hidden_dropout_prob,
                config.attention_probs_dropout_prob,
                config.layer_norm_eps,
                config.initializer_range,
                config.head_size,
                dtype=self.dtype_policy,
                name=f"layer_{number}",
            )
            for number in range(1, config.num_hidden_layers + 1)
        ]
        self.pooler = None
        if add_pooler:
            self.pooler = Dense(
                config.hidden_size,
                follow_up=ACTIVATIONS["tanh"],
                kernel_initializer=keras.initializers.TruncatedNormal(stddev=config.initializer_range),
                dtype=self.dtype_policy,
                name="pooler",
            )
        self.build((None, None))

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of `last_hidden_state`, for `summary`."""
        return (None, None, self.config.hidden_size)

    def build(self, input_shape: Any = None) -> None:
        """Create every weight; none depends on the input's shape."""
        shape = (None, None, self.config.hidden_size)
        self.embeddings.build((None, None))
        for layer in self.encoder_layers:
            layer.build(shape)
        if self.pooler is not None:
            self.pooler.build((None, self.config.hidden_size))
        self.built = True

    @features.takes_feature_request
    def call(
        self, inputs: Mapping[str, Any], request: features.FeatureRequest, training: bool | None = None
    ) -> dict[str, Any]:
        """Encode a batch; the class describes inputs and outputs."""
        request = request.within(self.num_hidden_layers)
        for name in ("input_ids", "attention_mask"):
            if name not in inputs:
                raise InputError(f"the inputs have no `{name}`; found: {', '.join(sorted(inputs)) or 'nothing'}.")
        outputs: dict[str, Any] = {feature: {} for feature in request.layers}

        hidden = self.embeddings(inputs["input_ids"], inputs.get("token_type_ids"), training=training)
        for feature in request.at(0):
            outputs[feature][0] = hidden
        mask_bias = as_mask_bias(inputs["attention_mask"])
        top = self.num_hidden_layers if request.last_layer is None else request.last_layer
        for number, layer in enumerate(self.encoder_layers[:top], start=1):
            hidden, intermediates = layer(hidden, mask_bias, training=training)
            found = {
                **intermediates,
                features.ATTENTION_SCORES: intermediates["scores"],
                features.HIDDEN_STATES: hidden,
            }
            for feature in request.at(number):
                outputs[feature][number] = found[feature]
        if request.last_layer is None:
            outputs[features.LAST_HIDDEN_STATE] = hidden
            if self.pooler is not None:
                outputs[features.POOLED_OUTPUT] = self.pooler(hidden[:, 0])
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `from_config`."""
        return {
            "config": dataclasses.asdict(self.config),
            "add_pooler": self.pooler is not None,
            "dtype": self.dtype_policy.name,
            "name": self.name,
            **super().get_config(),
        }

    def variables_by_name(self) -> dict[str, Any]:
        """The weights by path, e.g. `layer_1/attention/query/kernel`."""
        return relative_paths(self, self.weights)

    def tensor_names(self) -> tuple[TensorName, ...]:
        """The family's table of tensor names, without the pooler if the encoder has none."""
        family = self.config.family
        projection = family.projection if self.embeddings.projection is not None else ()
        pooler = family.pooler if self.pooler is not None else ()
        return family.encoder_names(self.num_hidden_layers) + projection + pooler

    @classmethod
    def _from_directory(cls, config: EncoderConfig, values: Mapping[str, Any], tensors: Tensors, **kwargs: Any) -> Self:
        pooler = config.family.pooler
        written = [prefix + name.tensor for prefix in ("", config.family.tensor_prefix) for name in pooler]
        return cls(config, add_pooler=any(name in tensors for name in written), **kwargs)
