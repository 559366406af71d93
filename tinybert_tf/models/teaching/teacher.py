"""`Teacher`: a frozen model that only answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import keras
from keras import ops, tree

from tinybert_tf import features
from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels
from tinybert_tf.models.heads.tasks import load_teaching
from tinybert_tf.models.pretrained import PretrainedModel, in_precision
from tinybert_tf.traced_model import TracedModel

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


class Teacher(TracedModel):
    """Any model of this library, or a bare encoder, frozen: called like it, always in inference mode.

    Only the features asked for are computed, and with `last_layer` nothing above that layer. No gradient passes.

    Args:
        model: the model. It stops being trainable. In another precision it is copied, its weights cast once; the model
            itself keeps its own.
        precision: `float32`, `bfloat16` or `float16`: what the teacher is computed in and its weights are stored in.
            `auto` is the compute dtype of the global Keras policy, which `tinybert_tf.setup_devices` chooses.

    Raises:
        InputError: an unknown precision.

    Example:
        >>> from tinybert_tf.models.config import EncoderConfig
        >>> from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
        >>> teacher = Teacher(SequenceClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100)))
        >>> len(teacher.trainable_variables)
        0
    """

    def __init__(self, model: PretrainedModel, precision: str = "auto", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if precision not in PRECISIONS:
            raise InputError(f"teacher precision: got {precision!r}; expected one of {', '.join(PRECISIONS)}.")
        if precision == "auto":
            precision = keras.config.dtype_policy().compute_dtype
        self.model = in_precision(model, precision)
        self.precision = precision
        self.trainable = False
        self.built = True

    @classmethod
    def from_pretrained(
        cls, dir_or_hub_id: str | Path, task: str = "sequence_classification", precision: str = "auto"
    ) -> Self:
        """Load a fine-tuned model.

        Raises:
            InputError: an unknown task; a directory without that task's head (run `tinybert finetune` first), or with
                one that gives something else; and as `from_pretrained` of the models.
        """
        return cls(load_teaching(dir_or_hub_id, task), precision=precision)

    @property
    def config(self) -> Any:
        """The model's `EncoderConfig`."""
        return self.model.config

    @property
    def id2label(self) -> dict[int, str] | None:
        """The names of the model's classes, where it has classes."""
        return getattr(self.model, "id2label", None)

    @property
    def labels(self) -> Labels | None:
        """The model's classes and what is known of them, where it has classes."""
        return getattr(self.model, "labels", None)

    @property
    def predicts(self) -> str | None:
        """What the model's logits are, see `tinybert_tf.features`; None where it has none."""
        return getattr(self.model, "predicts", None)

    @property
    def num_hidden_layers(self) -> int:
        """Number of encoder layers."""
        return self.model.num_hidden_layers

    @property
    def num_attention_heads(self) -> int:
        """Number of attention heads in each layer."""
        return self.model.num_attention_heads

    @features.takes_feature_request
    def call(
        self, inputs: Mapping[str, Any], request: features.FeatureRequest, training: bool | None = None
    ) -> dict[str, Any]:
        """The model's output dict; `training` is accepted, because Keras passes it, and never heeded."""
        outputs = self.model(inputs, training=False, **request.arguments)
        return tree.map_structure(ops.stop_gradient, outputs)

    def check_inputs(self, inputs: Any) -> None:
        """As the model's."""
        self.model.check_inputs(inputs)

    def predict_step(self, data: Any) -> Any:
        """As the model's: the logits alone, where it has any."""
        return self.model.predict_step(data)
