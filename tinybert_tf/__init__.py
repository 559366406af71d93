"""tinybert_tf: knowledge distillation of BERT for TensorFlow and Keras 3.

Public names are imported when they are first used: `import tinybert_tf` imports neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tinybert_tf.version import __version__ as __version__

if TYPE_CHECKING:
    from tinybert_tf.compression.clustering import cluster_weights
    from tinybert_tf.compression.pruning import MagnitudePruning
    from tinybert_tf.compression.quantization import quantize_aware, set_quantization
    from tinybert_tf.compression.structured_pruning import prune_structure
    from tinybert_tf.data.answers.questions import QuestionDataset
    from tinybert_tf.data.augmentation.augmentation import Augmentation, Augmenter
    from tinybert_tf.data.batches.multi_task_batches import MultiTaskBatches
    from tinybert_tf.data.corpus.corpus import Corpus
    from tinybert_tf.data.corpus.masking import Masking
    from tinybert_tf.data.corpus.pretraining_batches import PretrainingBatches
    from tinybert_tf.data.tags.tagging import TaggedDataset
    from tinybert_tf.data.text.dataset import TextDataset
    from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer, train_wordpiece
    from tinybert_tf.distillation.cache.teacher_cache import TeacherCache
    from tinybert_tf.distillation.distiller import Distiller
    from tinybert_tf.distillation.layer_map import LayerMap
    from tinybert_tf.distillation.losses import (
        AttentionKLLoss,
        AttentionLoss,
        CKALoss,
        CosineLoss,
        DistillationLoss,
        DKDLoss,
        EmbeddingLoss,
        FSPLoss,
        GramLoss,
        HiddenStateLoss,
        KeyRelationLoss,
        KLLoss,
        LogitsMSELoss,
        NSTLoss,
        PKDLoss,
        PredictionLoss,
        QueryRelationLoss,
        RKDLoss,
        StandardizedKLLoss,
        ValueRelationLoss,
        WeightSchedule,
    )
    from tinybert_tf.distillation.multi_task import MultiTaskDistiller
    from tinybert_tf.errors import InputError
    from tinybert_tf.export.predictor import Predictor
    from tinybert_tf.models.config import EncoderConfig
    from tinybert_tf.models.cut.student import cut_student
    from tinybert_tf.models.encoder.encoder import TransformerEncoder
    from tinybert_tf.models.heads.masked_lm import BertPretraining, MaskedLM
    from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
    from tinybert_tf.models.heads.token_heads import QuestionAnswering, TokenClassifier
    from tinybert_tf.models.layer_copy import copy_layers
    from tinybert_tf.models.layers.fast import set_fast_layers
    from tinybert_tf.models.teaching.teacher import Teacher
    from tinybert_tf.models.teaching.teacher_ensemble import TeacherEnsemble
    from tinybert_tf.pipeline.parts.stages import Stage, distill, tinybert_stages
    from tinybert_tf.training.devices import setup_devices
    from tinybert_tf.training.optimizer import bert_optimizer

_MODULE_OF = {
    "AttentionKLLoss": "distillation.losses",
    "AttentionLoss": "distillation.losses",
    "Augmentation": "data.augmentation.augmentation",
    "Augmenter": "data.augmentation.augmentation",
    "BertPretraining": "models.heads.masked_lm",
    "CKALoss": "distillation.losses",
    "Corpus": "data.corpus.corpus",
    "CosineLoss": "distillation.losses",
    "DKDLoss": "distillation.losses",
    "DistillationLoss": "distillation.losses",
    "Distiller": "distillation.distiller",
    "EmbeddingLoss": "distillation.losses",
    "EncoderConfig": "models.config",
    "FSPLoss": "distillation.losses",
    "GramLoss": "distillation.losses",
    "HiddenStateLoss": "distillation.losses",
    "InputError": "errors",
    "KLLoss": "distillation.losses",
    "KeyRelationLoss": "distillation.losses",
    "LayerMap": "distillation.layer_map",
    "LogitsMSELoss": "distillation.losses",
    "MagnitudePruning": "compression.pruning",
    "MaskedLM": "models.heads.masked_lm",
    "Masking": "data.corpus.masking",
    "MultiTaskBatches": "data.batches.multi_task_batches",
    "MultiTaskDistiller": "distillation.multi_task",
    "NSTLoss": "distillation.losses",
    "PKDLoss": "distillation.losses",
    "PredictionLoss": "distillation.losses",
    "Predictor": "export.predictor",
    "PretrainingBatches": "data.corpus.pretraining_batches",
    "QueryRelationLoss": "distillation.losses",
    "QuestionAnswering": "models.heads.token_heads",
    "QuestionDataset": "data.answers.questions",
    "RKDLoss": "distillation.losses",
    "SequenceClassifier": "models.heads.sequence_classifier",
    "Stage": "pipeline.parts.stages",
    "StandardizedKLLoss": "distillation.losses",
    "TaggedDataset": "data.tags.tagging",
    "Teacher": "models.teaching.teacher",
    "TeacherCache": "distillation.cache.teacher_cache",
    "TeacherEnsemble": "models.teaching.teacher_ensemble",
    "TextDataset": "data.text.dataset",
    "TokenClassifier": "models.heads.token_heads",
    "TransformerEncoder": "models.encoder.encoder",
    "ValueRelationLoss": "distillation.losses",
    "WeightSchedule": "distillation.losses",
    "bert_optimizer": "training.optimizer",
    "cluster_weights": "compression.clustering",
    "copy_layers": "models.layer_copy",
    "cut_student": "models.cut.student",
    "distill": "pipeline.parts.stages",
    "load_tokenizer": "data.tokenizers.tokenizer",
    "prune_structure": "compression.structured_pruning",
    "quantize_aware": "compression.quantization",
    "set_fast_layers": "models.layers.fast",
    "set_quantization": "compression.quantization",
    "setup_devices": "training.devices",
    "tinybert_stages": "pipeline.parts.stages",
    "train_wordpiece": "data.tokenizers.tokenizer",
}

__all__ = [
    "AttentionKLLoss",
    "AttentionLoss",
    "Augmentation",
    "Augmenter",
    "BertPretraining",
    "CKALoss",
    "Corpus",
    "CosineLoss",
    "DKDLoss",
    "DistillationLoss",
    "Distiller",
    "EmbeddingLoss",
    "EncoderConfig",
    "FSPLoss",
    "GramLoss",
    "HiddenStateLoss",
    "InputError",
    "KLLoss",
    "KeyRelationLoss",
    "LayerMap",
    "LogitsMSELoss",
    "MagnitudePruning",
    "MaskedLM",
    "Masking",
    "MultiTaskBatches",
    "MultiTaskDistiller",
    "NSTLoss",
    "PKDLoss",
    "PredictionLoss",
    "Predictor",
    "PretrainingBatches",
    "QueryRelationLoss",
    "QuestionAnswering",
    "QuestionDataset",
    "RKDLoss",
    "SequenceClassifier",
    "Stage",
    "StandardizedKLLoss",
    "TaggedDataset",
    "Teacher",
    "TeacherCache",
    "TeacherEnsemble",
    "TextDataset",
    "TokenClassifier",
    "TransformerEncoder",
    "ValueRelationLoss",
    "WeightSchedule",
    "bert_optimizer",
    "cluster_weights",
    "copy_layers",
    "cut_student",
    "distill",
    "load_tokenizer",
    "prune_structure",
    "quantize_aware",
    "set_fast_layers",
    "set_quantization",
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
