"""The losses of distillation, one small class each, and their names in a config."""

from __future__ import annotations

from tinybert_tf.distillation.losses.attention import AttentionLoss
from tinybert_tf.distillation.losses.base import DistillationLoss
from tinybert_tf.distillation.losses.embedding import EmbeddingLoss
from tinybert_tf.distillation.losses.hidden_state import HiddenStateLoss
from tinybert_tf.distillation.losses.prediction import PredictionLoss

# What a config writes under `losses`.
LOSSES: dict[str, type[DistillationLoss]] = {
    "embedding": EmbeddingLoss,
    "attention": AttentionLoss,
    "hidden_state": HiddenStateLoss,
    "prediction": PredictionLoss,
}

__all__ = ["LOSSES", "AttentionLoss", "DistillationLoss", "EmbeddingLoss", "HiddenStateLoss", "PredictionLoss"]
