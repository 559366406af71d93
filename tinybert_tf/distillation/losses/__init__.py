"""The losses of distillation, one small class each, and their names in a config."""

from __future__ import annotations

from tinybert_tf.distillation.losses.attention import AttentionLoss
from tinybert_tf.distillation.losses.base import DistillationLoss
from tinybert_tf.distillation.losses.cka import CKALoss
from tinybert_tf.distillation.losses.cosine import CosineLoss
from tinybert_tf.distillation.losses.dkd import DKDLoss
from tinybert_tf.distillation.losses.embedding import EmbeddingLoss
from tinybert_tf.distillation.losses.flow import FSPLoss, GramLoss
from tinybert_tf.distillation.losses.hidden_state import HiddenStateLoss
from tinybert_tf.distillation.losses.logits import KLLoss, LogitsMSELoss, StandardizedKLLoss
from tinybert_tf.distillation.losses.nst import NSTLoss
from tinybert_tf.distillation.losses.pkd import PKDLoss
from tinybert_tf.distillation.losses.prediction import PredictionLoss
from tinybert_tf.distillation.losses.relation import (
    AttentionKLLoss,
    KeyRelationLoss,
    QueryRelationLoss,
    ValueRelationLoss,
)
from tinybert_tf.distillation.losses.rkd import RKDLoss
from tinybert_tf.distillation.losses.weights import WeightSchedule

# By the names that a config writes under `losses`.
LOSSES: dict[str, type[DistillationLoss]] = {
    "embedding": EmbeddingLoss,
    "attention": AttentionLoss,
    "hidden_state": HiddenStateLoss,
    "prediction": PredictionLoss,
    "kl": KLLoss,
    "standardized_kl": StandardizedKLLoss,
    "logits_mse": LogitsMSELoss,
    "dkd": DKDLoss,
    "cosine": CosineLoss,
    "pkd": PKDLoss,
    "attention_kl": AttentionKLLoss,
    "query_relation": QueryRelationLoss,
    "key_relation": KeyRelationLoss,
    "value_relation": ValueRelationLoss,
    "rkd": RKDLoss,
    "cka": CKALoss,
    "nst": NSTLoss,
    "gram": GramLoss,
    "fsp": FSPLoss,
}

__all__ = ["LOSSES", "DistillationLoss", "WeightSchedule", *(loss.__name__ for loss in LOSSES.values())]
