"""Heads with named classes, and `SequenceClassifier`, which labels whole texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import keras

from tinybert_tf import features
from tinybert_tf.checkpoints.families import ClassifierHead
from tinybert_tf.checkpoints.hf_directory import CONFIG_FILE
from tinybert_tf.checkpoints.name_tables import TensorName
from tinybert_tf.checkpoints.tensors import Tensors
from tinybert_tf.errors import InputError
from tinybert_tf.labels import ID2LABEL, INTEGERS, POSITIVE, Labels, default_names, distinct, names_in_order
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.dropout import Dropout
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.layers.activations import ACTIVATIONS
from tinybert_tf.models.layers.dense import Dense

# Tensors in the directories of TinyBERT's authors: the projection of their hidden-state loss, and the classifier.
_AUTHORS_CLASSIFIER = ("fit_dense.weight", "classifier.weight")


class LabelledModel(TaskModel):
    """A task model whose head is dropout and one linear layer to named classes.

    A subclass implements `head` with `self.logits`; `head_design` describes the layers.

    Args:
        encoder: an encoder, or the config of a new one.
        num_labels: number of classes.
        id2label: the classes' names, in order; `LABEL_0`, `LABEL_1`, ... by default.
        dropout: fraction in [0, 1) that is dropped in front of the linear layer; by default the family's for its heads,
            or else `hidden_dropout_prob`.

    Raises:
        InputError: there is no label, or the number of names is not `num_labels`.
    """

    has_labels = True
    num_prediction_axes = 1  # the batch; a model that labels tokens has their axis too

    def __init__(
        self,
        encoder: TransformerEncoder | EncoderConfig,
        num_labels: int = 2,
        id2label: Mapping[int, str] | Sequence[str] | None = None,
        dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, **kwargs)
        if num_labels < 1:
            raise InputError(f"num_labels: expected an integer >= 1, got {num_labels}.")
        self.num_labels = num_labels
        self.labels = _labels(num_labels, id2label)
        design = self.head_design(self.config)
        default = self.config.hidden_dropout_prob if design.dropout is None else design.dropout
        self.dropout = Dropout(default if dropout is None else dropout, dtype=self.dtype_policy, name="dropout")
        self.dense = None
        self._activation = ACTIVATIONS[design.activation or "tanh"]
        if design.activation is not None:
            dense = {"follow_up": self._activation, **self._dense_arguments("dense")}
            self.dense = Dense(self.config.hidden_size, **dense)
        # This layer is never rounded: answers that are close to each other would become equal.
        self.classifier = keras.layers.Dense(num_labels, **self._dense_arguments("classifier"))
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Create the head's weights; the encoder has its own."""
        axes = (None,) * self.num_prediction_axes
        for layer in (self.dropout, self.dense, self.classifier):
            if layer is not None:
                layer.build((*axes, self.config.hidden_size))
        self.built = True

    @property
    def labels(self) -> Labels:
        """The classes' names, the meaning of integers in files, and the positive class; saved with the model."""
        return Labels(tuple(self.id2label.values()), self._integers, self._positive)

    @labels.setter
    def labels(self, labels: Labels) -> None:
        self.id2label: dict[int, str] = dict(enumerate(labels.names))
        self._integers, self._positive = labels.integers, labels.positive

    def logits(self, hidden: Any, training: bool | None) -> Any:
        """Map `(..., hidden_size)` to `(..., num_labels)`."""
        return self.classifier(self.dropout(hidden, training=training))

    @staticmethod
    def head_design(config: EncoderConfig) -> ClassifierHead:
        """Describe the head's layers and their names in the config's family."""
        raise NotImplementedError

    def _dense_arguments(self, name: str) -> dict[str, Any]:
        initializer = keras.initializers.TruncatedNormal(stddev=self.config.initializer_range)
        return {"kernel_initializer": initializer, "dtype": self.dtype_policy, "name": name}

    def head_arguments(self) -> dict[str, Any]:
        """Constructor arguments: the labels."""
        return {"num_labels": self.num_labels, "id2label": self.labels}

    def get_config(self) -> dict[str, Any]:
        """Arguments of `from_config`: the constructor's, and the meaning of the labels beside their names."""
        labels = {key: value for key, value in self.labels.to_config().items() if key in (INTEGERS, POSITIVE)}
        names = {"id2label": list(self.labels), **labels}
        return {**super().get_config(), **self.head_arguments(), **names, "dropout": self.dropout.rate}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A new, randomly initialised model of the same shape, with the same labels."""
        known = {ID2LABEL: dict(enumerate(config["id2label"]))} | {key: config.get(key) for key in (INTEGERS, POSITIVE)}
        others = {key: value for key, value in config.items() if key not in known}
        return super().from_config({**others, "id2label": Labels.from_config(known, cls.__name__)}, custom_objects)

    def directory_config(self) -> dict[str, Any]:
        """The encoder's fields and the labels."""
        return {
            **super().directory_config(),
            **self.labels.to_config(),
            self.head_design(self.config).dropout_field: self.dropout.rate,
        }

    @classmethod
    def _from_directory(
        cls,
        config: EncoderConfig,
        values: Mapping[str, Any],
        tensors: Tensors,
        num_labels: int | None = None,
        **kwargs: Any,
    ) -> Self:
        design = cls.head_design(config)
        kernel = next(name.tensor for name in design.names if name.variable == "classifier/kernel")
        labels = Labels.from_config(values, f"{tensors.path.parent / CONFIG_FILE}")
        if labels is None and kernel in tensors:
            labels = Labels(default_names(tensors.shape(kernel)[0]))
        if num_labels is None:
            num_labels = 2 if labels is None else len(labels)
        elif labels is not None and len(labels) != num_labels:
            labels = None
        dropout = values.get(design.dropout_field)
        return cls(config, num_labels=num_labels, id2label=labels, dropout=dropout, **kwargs)


@keras.saving.register_keras_serializable("tinybert_tf")
class SequenceClassifier(LabelledModel):
    """Labels or scores whole texts: dropout and a linear layer on the pooled output (`BertForSequenceClassification`).

    In the other families the head has its own dense layer on the first token, in the pooler's place. `logits` is
    `(batch, num_labels)`. Hugging Face's `problem_type` decides on their meaning and on the default loss:

    - `single_label_classification`: one label is right; the mean cross-entropy of integer labels `(batch,)`;
    - `multi_label_classification`: any number of labels is right; the mean binary cross-entropy of labels `(batch,
      num_labels)`, each 0 or 1;
    - `regression`: `logits` are scores, usually one; the mean squared error of labels `(batch,)` or `(batch,
      num_labels)`.

    Args:
        encoder: an encoder (a BERT needs its pooler), or the config of a new one.
        num_labels: number of classes, or of scores.
        id2label: the classes' names, in order; `LABEL_0`, `LABEL_1`, ... by default.
        dropout: fraction in [0, 1) that is dropped from the pooled output; by default the family's for its heads, or
            else `hidden_dropout_prob`.
        problem_type: as above; by default `regression` with one label, else `single_label_classification`.
        relu: whether a ReLU follows the pooled output, as in the classifiers of TinyBERT's authors; transformers has no
            class for it, so `save_pretrained` refuses such a model.

    Raises:
        InputError: there is no label, the number of names is not `num_labels`, `problem_type` is unknown or does not
            fit the number of labels; in `save_pretrained`, the model has `relu`.

    Example:
        >>> model = SequenceClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100), num_labels=2)
        >>> model.id2label, model.problem_type
        ({0: 'LABEL_0', 1: 'LABEL_1'}, 'single_label_classification')
    """

    architecture = "BertForSequenceClassification"

    def __init__(
        self,
        encoder: TransformerEncoder | EncoderConfig,
        num_labels: int = 2,
        id2label: Mapping[int, str] | Sequence[str] | None = None,
        dropout: float | None = None,
        problem_type: str | None = None,
        relu: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, num_labels, id2label, dropout, **kwargs)
        self.relu = relu
        if problem_type is None:
            problem_type = "regression" if num_labels == 1 else "single_label_classification"
        if problem_type not in PROBLEM_TYPES:
            raise InputError(f"problem_type={problem_type!r}; expected one of {', '.join(PROBLEM_TYPES)}")
        if problem_type == "single_label_classification" and num_labels == 1:
            raise InputError(f"problem_type={problem_type!r}: expected num_labels >= 2, got 1, which is a score.")
        self.problem_type = problem_type

    @staticmethod
    def head_design(config: EncoderConfig) -> ClassifierHead:
        """The classifier of the config's family."""
        return config.family.classifier

    @classmethod
    def needs_pooler(cls, config: EncoderConfig) -> bool:
        """Whether the head reads the pooled output, as it has no dense layer of its own."""
        return config.family.classifier.activation is None

    @property
    def predicts(self) -> str:  # type: ignore[override]
        """The meaning of the logits, one of the kinds in `tinybert_tf.features`."""
        return PROBLEM_TYPES[self.problem_type]

    def head(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """Compute `logits`, `(batch, num_labels)`, from the pooled output or from the first token."""
        if self.dense is None:
            pooled = outputs[features.POOLED_OUTPUT]
        else:
            first = outputs[features.LAST_HIDDEN_STATE][:, 0]
            if self.config.family.classifier.drops_input:
                first = self.dropout(first, training=training)
            pooled = self.dense(first)
        if self.relu:
            pooled = keras.activations.relu(pooled)
        return {features.LOGITS: self.logits(pooled, training)}

    @property
    def pooling(self) -> tuple[keras.layers.Dense, Callable[[Any], Any]]:
        """The dense layer on the first token (the head's own or the pooler) and the activation behind its product."""

        def activation(values: Any) -> Any:
            activated = self._activation(values)
            return keras.activations.relu(activated) if self.relu else activated

        return self.encoder.pooler if self.dense is None else self.dense, activation

    @property
    def has_loaded_head(self) -> bool:
        """Whether `from_pretrained` found all weights of the head, and the head can be saved again."""
        return super().has_loaded_head and not self.relu

    def head_arguments(self) -> dict[str, Any]:
        """Constructor arguments: the labels and the problem type."""
        return {**super().head_arguments(), "problem_type": self.problem_type}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `from_config`."""
        return {**super().get_config(), "relu": self.relu}

    def directory_config(self) -> dict[str, Any]:
        """The encoder's fields, the labels, and `problem_type` if it is not the default."""
        if self.relu:
            raise InputError(
                "a classifier of TinyBERT's authors cannot be saved: no class of transformers has its ReLU; distil a "
                "student from it, or give its encoder a new head."
            )
        is_usual = self.problem_type == "single_label_classification"
        return {**super().directory_config(), **({} if is_usual else {"problem_type": self.problem_type})}

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
        problem = values.get("problem_type")
        if problem is not None and problem not in list(PROBLEM_TYPES):
            raise InputError(
                f"{tensors.path.parent / CONFIG_FILE}: problem_type is {problem!r}; expected one of "
                f"{', '.join(PROBLEM_TYPES)}"
            )
        if num_labels is None or problem == "multi_label_classification":  # another size, another problem
            kwargs["problem_type"] = problem
        kwargs["relu"] = all(name in tensors for name in _AUTHORS_CLASSIFIER)
        return super()._from_directory(config, values, tensors, num_labels, **kwargs)


# The meaning of the logits.
PROBLEM_TYPES = {
    "single_label_classification": features.CLASSES,
    "multi_label_classification": features.LABELS,
    "regression": features.SCORES,
}


def _labels(num_labels: int, names: Mapping[int, str] | Sequence[str] | None) -> Labels:
    """Return the labels in the order of a mapping's numbers; `LABEL_i` if no names are given."""
    if names is None:
        return Labels(default_names(num_labels))
    if isinstance(names, Mapping):
        names = names_in_order(names, "id2label")
    if len(names) != num_labels:
        raise InputError(f"id2label has {len(names)} names for num_labels={num_labels}.")
    return names if isinstance(names, Labels) else Labels(tuple(distinct(list(names), "id2label")))
