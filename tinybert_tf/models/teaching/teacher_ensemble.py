"""`TeacherEnsemble`: several teachers that answer as one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tinybert_tf import features
from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels
from tinybert_tf.models.teaching.teacher import Teacher
from tinybert_tf.traced_model import TracedModel


class TeacherEnsemble(TracedModel):
    """Teachers of the same labels and tokens, whose logits are averaged: `sum_i s_i z_i`, with shares that sum to 1.

    Its softmax is the weighted geometric mean of theirs (arXiv 1503.02531, section 1). What is inside of them has no
    mean, since their layers differ: hidden states, attention, queries, keys and values are the first teacher's.

    Args:
        teachers: two or more.
        shares: how much each counts, above 0 and of any sum; by default all alike.

    Raises:
        InputError: fewer than two teachers, other labels or another order of them, other predictions, shares
            that are not one positive number for each.

    Example:
        >>> from tinybert_tf.models.config import EncoderConfig
        >>> from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
        >>> config = EncoderConfig.from_preset("bert-tiny", vocab_size=100)
        >>> teachers = [Teacher(SequenceClassifier(config)) for _ in range(2)]
        >>> TeacherEnsemble(teachers, shares=[3, 1]).shares
        (0.75, 0.25)
    """

    def __init__(self, teachers: Sequence[Teacher], shares: Sequence[float] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(teachers) < 2:
            raise InputError(f"an ensemble: expected 2 teachers or more, got {len(teachers)}.")
        labels = [list((teacher.id2label or {}).values()) for teacher in teachers]
        different = next((names for names in labels if names != labels[0]), None)
        if different is not None:
            raise InputError(f"teachers with the labels {labels[0]} and {different}: all of them must be equal.")
        predicts = list(dict.fromkeys(teacher.predicts for teacher in teachers))
        if len(predicts) > 1:
            raise InputError(f"teachers that predict {predicts[0]} and {predicts[1]}: all of them must be alike.")
        given = [1.0] * len(teachers) if shares is None else [float(share) for share in shares]
        if len(given) != len(teachers) or not all(0 < share < math.inf for share in given):
            raise InputError(f"shares={given}: expected a finite number > 0 for each of {len(teachers)} teachers.")
        self.teachers = list(teachers)
        self.shares = tuple(share / sum(given) for share in given)
        self.trainable = False
        self.built = True

    @property
    def id2label(self) -> dict[int, str] | None:
        """The names of the classes, which all have."""
        return self.teachers[0].id2label

    @property
    def labels(self) -> Labels | None:
        """The first teacher's, whose names all have."""
        return self.teachers[0].labels

    @property
    def predicts(self) -> str | None:
        """What the logits are, which all agree on."""
        return self.teachers[0].predicts

    @property
    def config(self) -> Any:
        """The `EncoderConfig` of the teacher that takes the fewest tokens."""
        return min((teacher.config for teacher in self.teachers), key=lambda config: config.max_tokens)

    @property
    def num_hidden_layers(self) -> int:
        """The first teacher's."""
        return self.teachers[0].num_hidden_layers

    @features.takes_feature_request
    def call(
        self, inputs: Mapping[str, Any], request: features.FeatureRequest, training: bool | None = None
    ) -> dict[str, Any]:
        """The first teacher's output dict with the `logits` of all, float32; up to `last_layer`, it alone is asked."""
        outputs = self.teachers[0](inputs, **request.arguments)
        if features.LOGITS not in outputs:
            return outputs
        others = [teacher(inputs)[features.LOGITS] for teacher in self.teachers[1:]]
        answers = zip(self.shares, [outputs[features.LOGITS], *others], strict=True)
        return {**outputs, features.LOGITS: sum(share * ops.cast(logits, "float32") for share, logits in answers)}

    def check_inputs(self, inputs: Any) -> None:
        """As every teacher's."""
        for teacher in self.teachers:
            teacher.check_inputs(inputs)

    def predict_step(self, data: Any) -> Any:
        """As a model's: the logits alone."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return {features.LOGITS: self(inputs)[features.LOGITS]}

    def get_config(self) -> dict[str, Any]:
        """What its answers depend on beside the weights; an ensemble is not saved."""
        models = [[type(teacher.model).__name__, teacher.model.get_config()] for teacher in self.teachers]
        return {"teachers": models, "shares": self.shares}
