"""`TaskModel`: an encoder and a head, with the encoder's call and output dict, plus `logits`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from keras import ops

from tinybert_tf import features
from tinybert_tf.checkpoints.name_tables import TensorName
from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.pretrained import PretrainedModel, relative_paths
from tinybert_tf.trainable.keras_losses import of_output
from tinybert_tf.trainable.label_losses import label_losses
from tinybert_tf.trainable.loss_terms import LossTerm
from tinybert_tf.trainable.trainable_model import ONLY


class TaskModel(PretrainedModel):
    """The base class of task models: an encoder below, a head above.

    A subclass builds its head's layers and implements `head(inputs, outputs, training)`, which returns the logits and
    whatever else `answers` names; `predicts` names the kind of its logits, see `tinybert_tf.features`. `compile` and
    `fit` train it as any Keras model; losses and metrics get the logits, and `compile` has a default loss. A frozen
    encoder (`encoder.trainable = False`) runs without dropout. With `keep_pooler`, an encoder made from a config
    has a pooler even if the head does not read it; a copy needs that to have the weights of its original.
    """

    config_argument = "encoder"
    add_pooler = True
    answers: ClassVar[tuple[str, ...]] = (features.LOGITS,)
    predicts: str = features.CLASSES

    def __init__(
        self, encoder: TransformerEncoder | EncoderConfig, *, keep_pooler: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        config = encoder if isinstance(encoder, EncoderConfig) else encoder.config
        needs_pooler = self.needs_pooler(config)
        if isinstance(encoder, EncoderConfig):
            has_pooler = needs_pooler or keep_pooler
            encoder = TransformerEncoder(encoder, add_pooler=has_pooler, dtype=self.dtype_policy, name="bert")
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
        """The family's prefix of tensor names: `bert.`, `roberta.`, ..."""
        return self.config.family.tensor_prefix

    def names_without_pooler(self) -> tuple[TensorName, ...]:
        """The encoder's table of tensor names without a pooler, for a head that does not read it."""
        return tuple(name for name in self.encoder.tensor_names() if name not in self.config.family.pooler)

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """Compute the `answers` from the model's inputs and the encoder's outputs."""
        raise NotImplementedError

    @features.takes_feature_request
    def call(
        self, inputs: Mapping[str, Any], request: features.FeatureRequest, training: bool | None = None
    ) -> dict[str, Any]:
        """Return the encoder's dict and `logits`; with `last_layer`, nothing above it. See `TransformerEncoder`."""
        outputs = self.encoder(
            inputs,
            training=training if self.encoder.trainable else False,
            **request.arguments,
        )
        if request.last_layer is None:
            outputs |= self.head(inputs, outputs, training)
        return outputs

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """Compile as `keras.Model.compile` does; without a `loss`, use the one that fits the kind of logits.

        This is the mean of the cross-entropy for `classes` and `positions`, of the binary cross-entropy for `labels`,
        and of the squared error for `scores`. A label below 0 and a score of NaN are left out of the mean.
        """
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    @property
    def trained_outputs(self) -> Mapping[str | None, str]:
        """The outputs that the default loss trains, by name (None for a single one), with the kind of their logits."""
        return {None: self.predicts}

    @property
    def num_classes(self) -> int | None:
        """The number of classes, if labels are classes and the loss is the model's own; else None."""
        are_classes = self.predicts == features.CLASSES and not self.losses_given
        return getattr(self, "num_labels", None) if are_classes else None

    def tracked_losses(self) -> Mapping[str, int]:
        """The names of the losses that Keras logs, and the number of means of each: one mean for each output."""
        return super().tracked_losses() or {
            ONLY if name is None else f"{name}_loss": 1 for name in self.trained_outputs
        }

    def loss_terms(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> list[LossTerm]:
        """The losses given to `compile`, or else those that fit the kind of logits."""
        labels, logits = self.compared(x, y, y_pred)
        if self.losses_given:
            return super().loss_terms(x, labels, logits, sample_weight, training)
        terms = []
        for tracker, (name, predicts) in zip(self.loss_trackers, self.trained_outputs.items(), strict=True):
            ours, theirs, weights = (of_output(name, each) for each in (logits, labels, sample_weight))
            losses, labelled = label_losses(predicts, ops.cast(ours, "float32"), theirs)
            terms.append(LossTerm.of(tracker, [(ops.sum(_weighted(losses, weights)), ops.sum(labelled))]))
        return terms

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The compiled metrics, on the logits."""
        return super().compute_metrics(x, *self.compared(x, y, y_pred), sample_weight)

    def compared(self, inputs: Mapping[str, Any], labels: Any, outputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the labels and the logits that the compiled loss and metrics compare."""
        return labels, outputs[features.LOGITS]

    def predict_step(self, data: Any) -> Any:
        """Return only the `answers`, for `predict`: the lengths of the other outputs differ from batch to batch."""
        outputs = super().predict_step(data)
        return {name: outputs[name] for name in self.answers}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `from_config`."""
        unread = self.encoder.pooler is not None and not self.needs_pooler(self.config)
        return {
            "encoder": dataclasses.asdict(self.config),
            **({"keep_pooler": True} if unread else {}),
            "dtype": self.dtype_policy.name,
            "name": self.name,
            **super().get_config(),
        }

    @classmethod
    def num_outputs(cls, num_labels: int) -> int:
        """The number of columns in the logits of a model with `num_labels` labels."""
        return num_labels

    @classmethod
    def new_head(cls, encoder: TransformerEncoder, label_names: Sequence[str], **kwargs: Any) -> Self:
        """Make a new model on an encoder that predicts these labels."""
        return cls(encoder, num_labels=len(label_names), id2label=Labels.of(label_names), **kwargs)

    def with_encoder(self, encoder: TransformerEncoder | EncoderConfig, **kwargs: Any) -> Self:
        """Make a model of the same kind, with the same labels, on another encoder or on a new one of this config."""
        return type(self)(encoder, **self.head_arguments(), **kwargs)

    def head_arguments(self) -> dict[str, Any]:
        """Constructor arguments that describe the head's predictions."""
        return {}

    @property
    def labels(self) -> Labels:
        """The model's classes; empty if it has none."""
        return Labels()

    @labels.setter
    def labels(self, labels: Labels) -> None:
        raise AttributeError(f"{type(self).__name__} has no classes")

    @property
    def label_names(self) -> list[str]:
        """The names of the model's classes, in order; empty if it has none."""
        return list(self.labels)

    @property
    def has_loaded_head(self) -> bool:
        """Whether `from_pretrained` found all of the head's weights."""
        if self.load_report is None:
            return False
        head = {name.tensor for name in self.tensor_names()} - {name.tensor for name in self.encoder.tensor_names()}
        return not head & set(self.load_report.missing)

    def variables_by_name(self) -> dict[str, Any]:
        """The weights by path: the encoder's relative to the encoder, the head's relative to this model."""
        below = self.encoder.variables_by_name()
        in_encoder = {id(variable) for variable in below.values()}
        head = (variable for variable in self.weights if id(variable) not in in_encoder)
        return below | relative_paths(self, head)


def _weighted(losses: Any, weights: Any) -> Any:
    """Multiply losses by the weights of rows, or of single losses; as in Keras, weights do not change the count."""
    if weights is None:
        return losses
    weights = ops.cast(weights, "float32")
    while len(weights.shape) < len(losses.shape):
        weights = weights[..., None]
    return losses * weights
