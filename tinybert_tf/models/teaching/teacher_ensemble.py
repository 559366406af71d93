"""`TeacherEnsemble`: several teachers with averaged logits."""

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
    """Several teachers with the same labels and tokens; their logits are averaged.

    The logits are `sum_i s_i z_i` with shares `s_i` that sum to 1, so their softmax is the normalised weighted
    geometric mean of the teachers' (arXiv 1503.02531, section 1). Features inside of the teachers cannot be averaged,
    since their layers differ: hidden states, attention, queries, keys and values are the first teacher's.

    Args:
        teachers: two teachers or more.
        shares: the weight of each teacher, a number above 0; they are divided by their sum. Equal by default.

    Raises:
        InputError: there are fewer than two teachers, their labels or the order of these differ, their kinds of logits
            differ, or `shares` is not one positive number for each.

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
            raise InputError(f"teachers: expected equal labels, got {labels[0]} and {different}.")
        predicts = list(dict.fromkeys(teacher.predicts for teacher in teachers))
        if len(predicts) > 1:
            raise InputError(f"teachers: expected models that predict the same, got {predicts[0]} and {predicts[1]}.")
        given = [1.0] * len(teachers) if shares is None else [float(share) for share in shares]
        if len(given) != len(teachers) or not all(0 < share < math.inf for share in given):
            raise InputError(f"shares={given}: expected a finite number > 0 for each of {len(teachers)} teachers.")
        self.teachers = list(teachers)
        self.shares = tuple(share / sum(given) for share in given)
        self.trainable = False
        self.built = True

    @property
    def id2label(self) -> dict[int, str] | None:
        """The names of the classes, which are the same in all teachers."""
        return self.teachers[0].id2label

    @property
    def labels(self) -> Labels | None:
        """The first teacher's labels, whose names are the same in all teachers."""
        return self.teachers[0].labels

    @property
    def predicts(self) -> str | None:
        """The kind of the logits, which is the same in all teachers; see `tinybert_tf.features`."""
        return self.teachers[0].predicts

    @property
    def config(self) -> Any:
        """The `EncoderConfig` of the teacher that takes the fewest tokens."""
        return min((teacher.config for teacher in self.teachers), key=lambda config: config.max_tokens)

    @property
    def num_hidden_layers(self) -> int:
        """Number of the first teacher's encoder layers."""
        return self.teachers[0].num_hidden_layers

    @features.takes_feature_request
    def call(
        self, inputs: Mapping[str, Any], request: features.FeatureRequest, training: bool | None = None
    ) -> dict[str, Any]:
        """Return the first teacher's output dict with all teachers' averaged `logits`, float32.

        With `last_layer` only the first teacher computes, and there are no logits.
        """
        outputs = self.teachers[0](inputs, **request.arguments)
        if features.LOGITS not in outputs:
            return outputs
        others = [teacher(inputs)[features.LOGITS] for teacher in self.teachers[1:]]
        answers = zip(self.shares, [outputs[features.LOGITS], *others], strict=True)
        return {**outputs, features.LOGITS: sum(share * ops.cast(logits, "float32") for share, logits in answers)}

    def check_inputs(self, inputs: Any) -> None:
        """Refuse inputs that one of the teachers cannot read."""
        for teacher in self.teachers:
            teacher.check_inputs(inputs)

    def predict_step(self, data: Any) -> Any:
        """Return only the logits, for `predict`."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return {features.LOGITS: self(inputs)[features.LOGITS]}

    def get_config(self) -> dict[str, Any]:
        """The teachers' configs and shares, on which answers depend beside the weights; an ensemble is not saved."""
        models = [[type(teacher.model).__name__, teacher.model.get_config()] for teacher in self.teachers]
        return {"teachers": models, "shares": self.shares}
