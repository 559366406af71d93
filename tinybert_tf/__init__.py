"""tinybert_tf: knowledge distillation of BERT for TensorFlow and Keras 3.

The public names are resolved when they are first used: `import tinybert_tf` imports neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinybert_tf.data.dataset import TextDataset
    from tinybert_tf.data.tokenizer import load_tokenizer, train_wordpiece
    from tinybert_tf.distillation.distiller import Distiller
    from tinybert_tf.distillation.layer_map import LayerMap
    from tinybert_tf.distillation.losses import (
        AttentionLoss,
        DistillationLoss,
        EmbeddingLoss,
        HiddenStateLoss,
        PredictionLoss,
    )
    from tinybert_tf.errors import InputError
    from tinybert_tf.export.predictor import Predictor
    from tinybert_tf.models.config import EncoderConfig
    from tinybert_tf.models.encoder import TransformerEncoder
    from tinybert_tf.models.heads import MaskedLM, SequenceClassifier
    from tinybert_tf.models.layer_copy import copy_layers
    from tinybert_tf.models.teacher import Teacher
    from tinybert_tf.pipeline.stages import Stage, distill, tinybert_stages
    from tinybert_tf.training.devices import setup_devices
    from tinybert_tf.training.optimizer import bert_optimizer

__version__ = "0.1.0"

_MODULE_OF = {
    "AttentionLoss": "distillation.losses",
    "DistillationLoss": "distillation.losses",
    "Distiller": "distillation.distiller",
    "EmbeddingLoss": "distillation.losses",
    "EncoderConfig": "models.config",
    "HiddenStateLoss": "distillation.losses",
    "InputError": "errors",
    "LayerMap": "distillation.layer_map",
    "MaskedLM": "models.heads",
    "PredictionLoss": "distillation.losses",
    "Predictor": "export.predictor",
    "SequenceClassifier": "models.heads",
    "Stage": "pipeline.stages",
    "Teacher": "models.teacher",
    "TextDataset": "data.dataset",
    "TransformerEncoder": "models.encoder",
    "bert_optimizer": "training.optimizer",
    "copy_layers": "models.layer_copy",
    "distill": "pipeline.stages",
    "load_tokenizer": "data.tokenizer",
    "setup_devices": "training.devices",
    "tinybert_stages": "pipeline.stages",
    "train_wordpiece": "data.tokenizer",
}

__all__ = [
    "AttentionLoss",
    "DistillationLoss",
    "Distiller",
    "EmbeddingLoss",
    "EncoderConfig",
    "HiddenStateLoss",
    "InputError",
    "LayerMap",
    "MaskedLM",
    "PredictionLoss",
    "Predictor",
    "SequenceClassifier",
    "Stage",
    "Teacher",
    "TextDataset",
    "TransformerEncoder",
    "bert_optimizer",
    "copy_layers",
    "distill",
    "load_tokenizer",
    "setup_devices",
    "tinybert_stages",
    "train_wordpiece",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
