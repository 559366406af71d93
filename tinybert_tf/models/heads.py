"""Task models: an encoder and a head, same call and same output dict as the encoder, plus `logits`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import keras

from tinybert_tf import features
from tinybert_tf.checkpoints.name_tables import TensorName
from tinybert_tf.checkpoints.tensors import Tensors
from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder import TransformerEncoder
from tinybert_tf.models.encoder_layer import ACTIVATIONS
from tinybert_tf.models.pretrained import PretrainedModel, relative_paths

# In the directories of TinyBERT's authors: the projection of their hidden-state loss, and the classifier.
_AUTHORS_CLASSIFIER = ("fit_dense.weight", "classifier.weight")


class TaskModel(PretrainedModel):
    """What the task models share: an encoder below, a head above.

    A subclass builds its head's layers and implements `head(inputs, outputs, training)`, which gives the logits, and
    whatever else it says in `answers`. Trained as any Keras model, `compile` and `fit`; losses and metrics see the
    logits, and without a `loss` it is the cross-entropy. An encoder that is frozen (`encoder.trainable = False`) is run
    without dropout.
    """

    add_pooler = True
    answers: ClassVar[tuple[str, ...]] = (features.LOGITS,)

    def __init__(self, encoder: TransformerEncoder | EncoderConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config = encoder if isinstance(encoder, EncoderConfig) else encoder.config
        needs_pooler = self.needs_pooler(config)
        if isinstance(encoder, EncoderConfig):
            encoder = TransformerEncoder(encoder, add_pooler=needs_pooler, dtype=self.dtype_policy, name="bert")
        if needs_pooler and encoder.pooler is None:
            raise InputError(f"{type(self).__name__} needs an encoder with a pooler; this one has none.")
        self.encoder = encoder
        self.config = config

    @classmethod
    def needs_pooler(cls, config: EncoderConfig) -> bool:
        """Whether the head reads the pooled output, in the config's family."""
        return cls.add_pooler

    @property
    def encoder_prefix(self) -> str:
        """The family's: `bert.`, `roberta.`, ..."""
        return self.config.family.tensor_prefix

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """The `answers`, from the model's inputs and the encoder's outputs."""
        raise NotImplementedError

    def call(
        self,
        inputs: Mapping[str, Any],
        training: bool | None = None,
        output_hidden_states: features.LayerRequest = False,
        output_attention_scores: features.LayerRequest = False,
        output_queries_keys_values: features.LayerRequest = False,
        last_layer: int | None = None,
    ) -> dict[str, Any]:
        """The encoder's dict and `logits`; with `last_layer`, nothing above that layer. See `TransformerEncoder`."""
        outputs = self.encoder(
            inputs,
            training=training if self.encoder.trainable else False,
            output_hidden_states=output_hidden_states,
            output_attention_scores=output_attention_scores,
            output_queries_keys_values=output_queries_keys_values,
            last_layer=last_layer,
        )
        if last_layer is None:
            outputs |= self.head(inputs, outputs, training)
        return outputs

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """`keras.Model.compile`; without a `loss`, cross-entropy of the logits with integer labels (-100: no label)."""
        if loss is None:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The compiled loss, on the logits."""
        return super().compute_loss(x, *self.compared(y, y_pred), sample_weight, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The compiled metrics, on the logits."""
        return super().compute_metrics(x, *self.compared(y, y_pred), sample_weight)

    def compared(self, labels: Any, outputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """What the compiled loss and metrics compare: the labels and the logits."""
        return labels, outputs[features.LOGITS]

    def predict_step(self, data: Any) -> Any:
        """`predict` gives the `answers` alone: the other outputs' lengths differ from batch to batch."""
        outputs = super().predict_step(data)
        return {name: outputs[name] for name in self.answers}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `from_config`."""
        return {
            "encoder": dataclasses.asdict(self.config),
            "dtype": self.dtype_policy.name,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A new, randomly initialised model of the same shape."""
        return cls(**{**config, "encoder": EncoderConfig(**config["encoder"])})

    def variables_by_name(self) -> dict[str, Any]:
        """The weights by path: the encoder's below the encoder, the head's below this model."""
        below = self.encoder.variables_by_name()
        in_encoder = {id(variable) for variable in below.values()}
        head = (variable for variable in self.weights if id(variable) not in in_encoder)
        return below | relative_paths(self, head)


@keras.saving.register_keras_serializable("tinybert_tf")
class SequenceClassifier(TaskModel):
    """One label for each text: dropout and a linear layer on the pooled output (`BertForSequenceClassification`).

    In the other families the head has a dense layer of its own on the first token, in the pooler's place. `logits` is
    `(batch, num_labels)`. With one label it is a score, and `compile` without a `loss` trains it with the mean squared
    error (Hugging Face's `problem_type` "regression").

    Args:
        encoder: an encoder, with a pooler where it is a BERT, or the config of a new one.
        num_labels: number of classes; 1 for a score.
        id2label: the classes' names, in order; `LABEL_0`, `LABEL_1`, ... by default.
        dropout: fraction in [0, 1) dropped from the pooled output; the family's default, or `hidden_dropout_prob`.
        relu: a ReLU on the pooled output, as in the classifiers of TinyBERT's authors; transformers has no class for
            it, so `save_pretrained` refuses.

    Raises:
        InputError: fewer than one label, or another number of names than labels; saving with `relu`.

    Example:
        >>> model = SequenceClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100), num_labels=2)
        >>> model.id2label
        {0: 'LABEL_0', 1: 'LABEL_1'}
    """

    architecture = "BertForSequenceClassification"
    has_labels = True

    def __init__(
        self,
        encoder: TransformerEncoder | EncoderConfig,
        num_labels: int = 2,
        id2label: Mapping[int, str] | Sequence[str] | None = None,
        dropout: float | None = None,
        relu: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, **kwargs)
        self.relu = relu
        if num_labels < 1:
            raise InputError(f"num_labels={num_labels}: at least 1 is wanted.")
        self.num_labels = num_labels
        self.id2label = _label_names(num_labels, id2label)
        design = self.config.family.classifier
        default = self.config.hidden_dropout_prob if design.dropout is None else design.dropout
        self.dropout = keras.layers.Dropout(
            default if dropout is None else dropout, dtype=self.dtype_policy, name="dropout"
        )
        self.dense = None
        self._activation = ACTIVATIONS[design.activation or "tanh"]
        if design.activation is not None:
            self.dense = self._dense(self.config.hidden_size, "dense")
        self.classifier = self._dense(num_labels, "classifier")
        self.build()

    @classmethod
    def needs_pooler(cls, config: EncoderConfig) -> bool:
        """Where the head has no dense layer of its own."""
        return config.family.classifier.activation is None

    def build(self, input_shape: Any = None) -> None:
        """Create the head's weights; the encoder has its own."""
        for layer in (self.dense, self.classifier):
            if layer is not None:
                layer.build((None, self.config.hidden_size))
        self.built = True

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """`keras.Model.compile`; without a `loss`, the mean squared error of a score, else as every task model."""
        if loss is None and self.num_labels == 1:
            loss = keras.losses.MeanSquaredError()
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """`(batch, num_labels)` from the pooled output, or from the first token."""
        if self.dense is None:
            pooled = outputs[features.POOLED_OUTPUT]
        else:
            first = outputs[features.LAST_HIDDEN_STATE][:, 0]
            if self.config.family.classifier.drops_input:
                first = self.dropout(first, training=training)
            pooled = self._activation(self.dense(first))
        if self.relu:
            pooled = keras.activations.relu(pooled)
        return {features.LOGITS: self.classifier(self.dropout(pooled, training=training))}

    @property
    def pooling(self) -> tuple[keras.layers.Dense, Callable[[Any], Any]]:
        """The dense layer on the first token and what follows it: the head's own, or the encoder's pooler."""

        def activation(values: Any) -> Any:
            activated = self._activation(values)
            return keras.activations.relu(activated) if self.relu else activated

        return self.encoder.pooler if self.dense is None else self.dense, activation

    @property
    def has_loaded_head(self) -> bool:
        """Whether `from_pretrained` found all of the head's weights, of a head that can be saved again."""
        missing = self.load_report.missing if self.load_report is not None else ()
        head = (name.tensor for name in self.config.family.classifier.names)
        return self.load_report is not None and not set(head) & set(missing) and not self.relu

    def _dense(self, units: int, name: str) -> keras.layers.Dense:
        initializer = keras.initializers.TruncatedNormal(stddev=self.config.initializer_range)
        return keras.layers.Dense(units, kernel_initializer=initializer, dtype=self.dtype_policy, name=name)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `from_config`."""
        return {
            **super().get_config(),
            "num_labels": self.num_labels,
            "id2label": list(self.id2label.values()),
            "dropout": self.dropout.rate,
            "relu": self.relu,
        }

    def directory_config(self) -> dict[str, Any]:
        """The encoder's fields and the labels."""
        if self.relu:
            raise InputError(
                "a classifier of TinyBERT's authors has a ReLU that no class of transformers has, and is not saved; "
                "distil a student from it, or give its encoder a new head."
            )
        return {
            **super().directory_config(),
            **({"problem_type": "regression"} if self.num_labels == 1 else {}),
            "id2label": {str(number): name for number, name in self.id2label.items()},
            "label2id": {name: number for number, name in self.id2label.items()},
            self.config.family.classifier.dropout_field: self.dropout.rate,
        }

    def tensor_names(self) -> tuple[TensorName, ...]:
        """The encoder's table and the classifier."""
        return self.encoder.tensor_names() + self.config.family.classifier.names

    @classmethod
    def _from_directory(
        cls,
        config: EncoderConfig,
        values: Mapping[str, Any],
        tensors: Tensors,
        num_labels: int | None = None,
        **kwargs: Any,
    ) -> Self:
        design = config.family.classifier
        kernel = next(name.tensor for name in design.names if name.variable == "classifier/kernel")
        names = values.get("id2label")
        if names is not None:
            names = _names_in_order(names, source=str(tensors.path))
        elif kernel in tensors:
            names = [f"LABEL_{number}" for number in range(tensors.shape(kernel)[0])]
        if num_labels is None:
            num_labels = len(names) if names is not None else 2
        elif names is not None and len(names) != num_labels:
            names = None
        dropout = values.get(design.dropout_field)
        is_authors = all(name in tensors for name in _AUTHORS_CLASSIFIER)
        return cls(config, num_labels=num_labels, id2label=names, dropout=dropout, relu=is_authors, **kwargs)


def _names_in_order(names: Any, source: str) -> list[str]:
    try:
        return [str(name) for _, name in sorted(names.items(), key=lambda item: int(item[0]))]
    except (AttributeError, ValueError):
        raise InputError(f"{source}: id2label is {names!r} in config.json; {{'0': name, ...}} is wanted.") from None


def _label_names(num_labels: int, names: Mapping[int, str] | Sequence[str] | None) -> dict[int, str]:
    if names is None:
        return {number: f"LABEL_{number}" for number in range(num_labels)}
    ordered = [names[number] for number in sorted(names)] if isinstance(names, Mapping) else list(names)
    if len(ordered) != num_labels:
        raise InputError(f"id2label has {len(ordered)} names for num_labels={num_labels}.")
    return dict(enumerate(ordered))
