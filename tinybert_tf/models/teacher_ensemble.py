"""`TeacherEnsemble`: several teachers that answer as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tinybert_tf import features
from tinybert_tf.errors import InputError
from tinybert_tf.models.teacher import Teacher


class TeacherEnsemble(keras.Model):
    """Teachers of the same labels and tokens, whose logits are averaged: `sum_i s_i z_i`, with shares that sum to 1.

    Its softmax is the weighted geometric mean of theirs (arXiv 1503.02531, section 1). What is inside of them has no
    mean, since their layers differ: only losses of predictions learn from it.

    Args:
        teachers: two or more.
        shares: how much each counts, above 0 and of any sum; by default all alike.

    Raises:
        InputError: fewer than two teachers, other labels or another order of them, other predictions, shares
            that are not one positive number for each; in a call, features that are asked for.

    Example:
        >>> from tinybert_tf.models.config import EncoderConfig
        >>> from tinybert_tf.models.heads import SequenceClassifier
        >>> config = EncoderConfig.from_preset("bert-tiny", vocab_size=100)
        >>> teachers = [Teacher(SequenceClassifier(config)) for _ in range(2)]
        >>> TeacherEnsemble(teachers, shares=[3, 1]).shares
        (0.75, 0.25)
    """

    def __init__(self, teachers: Sequence[Teacher], shares: Sequence[float] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(teachers) < 2:
            raise InputError(f"an ensemble of {len(teachers)}: at least 2 teachers are wanted.")
        labels = [list((teacher.id2label or {}).values()) for teacher in teachers]
        different = next((names for names in labels if names != labels[0]), None)
        if different is not None:
            raise InputError(f"teachers with the labels {labels[0]} and {different}: all of them must be equal.")
        predicts = list(dict.fromkeys(teacher.predicts for teacher in teachers))
        if len(predicts) > 1:
            raise InputError(f"teachers that predict {predicts[0]} and {predicts[1]}: all of them must be alike.")
        given = [1.0] * len(teachers) if shares is None else [float(share) for share in shares]
        if len(given) != len(teachers) or not all(share > 0 for share in given):
            raise InputError(f"shares={given} of {len(teachers)} teachers: one number above 0 for each is wanted.")
        self.teachers = list(teachers)
        self.shares = tuple(share / sum(given) for share in given)
        self.trainable = False
        self.built = True

    @property
    def id2label(self) -> dict[int, str] | None:
        """The names of the classes, which all have."""
        return self.teachers[0].id2label

    @property
    def predicts(self) -> str | None:
        """What the logits are, which all agree on."""
        return self.teachers[0].predicts

    @property
    def num_hidden_layers(self) -> int:
        """The first teacher's, for a layer map to have an end: its prediction is the ensemble's."""
        return self.teachers[0].num_hidden_layers

    def call(
        self,
        inputs: Mapping[str, Any],
        training: bool | None = None,
        output_hidden_states: features.LayerRequest = False,
        output_attention_scores: features.LayerRequest = False,
        output_queries_keys_values: features.LayerRequest = False,
    ) -> dict[str, Any]:
        """`logits` alone, float32."""
        if output_hidden_states or output_attention_scores or output_queries_keys_values:
            raise InputError("a TeacherEnsemble has predictions only; hidden states and attention are of one teacher.")
        answers = [ops.cast(teacher(inputs)[features.LOGITS], "float32") for teacher in self.teachers]
        return {features.LOGITS: sum(share * logits for share, logits in zip(self.shares, answers, strict=True))}

    def get_config(self) -> dict[str, Any]:
        """What its answers depend on beside the weights; an ensemble is not saved."""
        models = [[type(teacher.model).__name__, teacher.model.get_config()] for teacher in self.teachers]
        return {"teachers": models, "shares": self.shares}
