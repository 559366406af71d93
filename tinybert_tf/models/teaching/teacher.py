"""`Teacher`: a frozen model from which a student learns."""

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
    """A frozen model of this library or a bare encoder; a call is like the model's, but always in inference mode.

    It computes only the requested features, and with `last_layer` nothing above that layer. No gradient passes.

    Args:
        model: the model, which stops being trainable. If `precision` is another than its own, the teacher is a copy
            whose weights are cast once, and the model keeps its precision.
        precision: `float32`, `bfloat16` or `float16`, the type of its arithmetic and its stored weights. `auto` is the
            compute dtype of the global Keras policy, which `tinybert_tf.setup_devices` chooses.

    Raises:
        InputError: the precision is unknown.

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
        """Load a fine-tuned model as a teacher.

        Raises:
            InputError: the task is unknown; the directory has no head for it (run `tinybert finetune` first), or one
                with another kind of output; or as `from_pretrained` of the models.
        """
        return cls(load_teaching(dir_or_hub_id, task), precision=precision)

    @property
    def config(self) -> Any:
        """The model's `EncoderConfig`."""
        return self.model.config

    @property
    def id2label(self) -> dict[int, str] | None:
        """The names of the model's classes, by number; None if it has no classes."""
        return getattr(self.model, "id2label", None)

    @property
    def labels(self) -> Labels | None:
        """The model's classes with the meaning of integers and the positive class; None if it has no classes."""
        return getattr(self.model, "labels", None)

    @property
    def predicts(self) -> str | None:
        """The kind of the model's logits, see `tinybert_tf.features`; None if it has none."""
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
        """Return the model's output dict; `training`, which Keras passes, is ignored."""
        outputs = self.model(inputs, training=False, **request.arguments)
        return tree.map_structure(ops.stop_gradient, outputs)

    def check_inputs(self, inputs: Any) -> None:
        """Refuse inputs that the model cannot read."""
        self.model.check_inputs(inputs)

    def predict_step(self, data: Any) -> Any:
        """Return what the model's `predict` returns: only the logits, if it has any."""
        return self.model.predict_step(data)
