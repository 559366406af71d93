"""BERT and its relatives: the names of their fields and tensors, and the kinds of their embeddings and heads.

The encoder's layers are the same in all of them. `FAMILIES` describes each family, by the `model_type` of its
`config.json`, with everything in which it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tinybert_tf.checkpoints.name_tables import (
    CLASSIFIER,
    EMBEDDINGS,
    LAYER,
    MASKED_LM,
    NEXT_SENTENCE,
    POOLER,
    WORD_EMBEDDINGS,
    TensorName,
    dense_names,
    layer_names,
    layer_norm_names,
    optional,
)


@dataclass(frozen=True)
class ClassifierHead:
    """A sequence classifier's head: `classifier(dropout(activation(dense(first token))))`.

    `activation`: the activation of the head's own dense layer; without one the head reads the pooled output, which is
    the same layer with tanh, stored with the encoder. `drops_input`: whether there is dropout before that layer too.
    `dropout_field`, `dropout`: the key of the fraction in `config.json`, and its default; None is
    `hidden_dropout_prob`.
    """

    names: tuple[TensorName, ...]
    activation: str | None = None
    drops_input: bool = False
    dropout_field: str = "classifier_dropout"
    dropout: float | None = None


@dataclass(frozen=True)
class MaskedLMHead:
    """A masked LM's head: `layer_norm(activation(dense(hidden)))` times the word embeddings, plus a bias.

    `activation`: the activation if it is not the encoder's `hidden_act`. `tied`: copies of the word embeddings and of
    the bias, which files may hold.
    """

    names: tuple[TensorName, ...]
    tied: tuple[str, ...]
    activation: str | None = None


@dataclass(frozen=True)
class Family:
    """One family of checkpoints.

    `class_prefix` begins the names of its classes in transformers, `tensor_prefix` those of a task model's encoder
    tensors. `field_names`: the names of our fields in its `config.json`, where they differ; `absent`: our fields that
    it does not have, and their values; `defaults`: defaults that differ from BERT's.

    `embeddings`, `projection` (embeddings of another width than the layers), `layer`, `pooler`, and the heads are name
    tables; an empty one, or None, stands for a part that the family does not have. `positions_after_padding`: whether
    positions count only real tokens, from `pad_token_id + 1`, and padding has position `pad_token_id`.
    """

    model_type: str
    class_prefix: str
    tensor_prefix: str
    classifier: ClassifierHead
    masked_lm: MaskedLMHead
    next_sentence: tuple[TensorName, ...] = ()
    embeddings: tuple[TensorName, ...] = EMBEDDINGS
    projection: tuple[TensorName, ...] = ()
    layer: tuple[TensorName, ...] = LAYER
    layer_path: str = "encoder.layer"
    pooler: tuple[TensorName, ...] = POOLER
    field_names: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    positions_after_padding: bool = False

    def encoder_names(self, num_hidden_layers: int) -> tuple[TensorName, ...]:
        """The names of the embeddings and of layers 1 to `num_hidden_layers`, all required."""
        return self.embeddings + layer_names(self.layer, self.layer_path, num_hidden_layers)


BERT = Family(
    "bert",
    "Bert",
    "bert.",
    classifier=ClassifierHead(CLASSIFIER),
    masked_lm=MaskedLMHead(MASKED_LM, tied=("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")),
    next_sentence=NEXT_SENTENCE,
    absent={"embedding_size": None},
)

# arXiv 1907.11692. It has no segments, but a table of token types with one row.
ROBERTA = Family(
    "roberta",
    "Roberta",
    "roberta.",
    classifier=ClassifierHead(
        optional((*dense_names("dense", "classifier.dense"), *dense_names("classifier", "classifier.out_proj"))),
        activation="tanh",
        drops_input=True,
    ),
    masked_lm=MaskedLMHead(
        optional(
            (
                *dense_names("transform", "lm_head.dense"),
                *layer_norm_names("transform_layer_norm", "lm_head.layer_norm"),
                TensorName("predictions/bias", "lm_head.bias"),
            )
        ),
        tied=("lm_head.decoder.weight", "lm_head.decoder.bias"),
        activation="gelu",
    ),
    absent={"embedding_size": None},
    defaults={"vocab_size": 50265, "pad_token_id": 1},
    positions_after_padding=True,
)

# arXiv 1910.01108. It has neither segments nor a pooler.
DISTILBERT = Family(
    "distilbert",
    "DistilBert",
    "distilbert.",
    classifier=ClassifierHead(
        optional((*dense_names("dense", "pre_classifier"), *dense_names("classifier", "classifier"))),
        activation="relu",
        dropout_field="seq_classif_dropout",
        dropout=0.2,
    ),
    masked_lm=MaskedLMHead(
        optional(
            (
                *dense_names("transform", "vocab_transform"),
                *layer_norm_names("transform_layer_norm", "vocab_layer_norm"),
                TensorName("predictions/bias", "vocab_projector.bias"),
            )
        ),
        tied=("vocab_projector.weight",),
    ),
    embeddings=tuple(name for name in EMBEDDINGS if "token_type" not in name.tensor),
    layer=(
        *dense_names("attention/query", "attention.q_lin"),
        *dense_names("attention/key", "attention.k_lin"),
        *dense_names("attention/value", "attention.v_lin"),
        *dense_names("attention/output", "attention.out_lin"),
        *layer_norm_names("attention_layer_norm", "sa_layer_norm"),
        *dense_names("intermediate", "ffn.lin1"),
        *dense_names("output", "ffn.lin2"),
        *layer_norm_names("output_layer_norm", "output_layer_norm"),
    ),
    layer_path="transformer.layer",
    pooler=(),
    field_names={
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
    },
    absent={"embedding_size": None, "type_vocab_size": 0, "layer_norm_eps": 1e-12},
    defaults={"num_hidden_layers": 6},
)

# arXiv 2003.10555. The generator's masked-LM head works in the width of the embeddings.
ELECTRA = Family(
    "electra",
    "Electra",
    "electra.",
    classifier=replace(ROBERTA.classifier, activation="gelu"),
    masked_lm=MaskedLMHead(
        optional(
            (
                *dense_names("transform", "generator_predictions.dense"),
                *layer_norm_names("transform_layer_norm", "generator_predictions.LayerNorm"),
                TensorName("predictions/bias", "generator_lm_head.bias"),
            )
        ),
        tied=("generator_lm_head.weight",),
        activation="gelu",
    ),
    projection=dense_names("embeddings/projection", "embeddings_project"),
    pooler=(),
    defaults={"embedding_size": 128, "num_attention_heads": 4, "intermediate_size": 1024},
)

FAMILIES: Mapping[str, Family] = {family.model_type: family for family in (BERT, ROBERTA, DISTILBERT, ELECTRA)}


def family_of_names(has: Callable[[str], bool]) -> Family | None:
    """The family of a checkpoint without a `model_type`, by the names of its tensors; None if it is unknown.

    Args:
        has: whether the checkpoint has a tensor of this name.
    """
    for family in FAMILIES.values():
        prefixed = has(f"{family.tensor_prefix}{WORD_EMBEDDINGS}")
        # Bare encoders have no prefix: ROBERTA's and ELECTRA's look like BERT's, and need a `model_type`.
        bare = has(WORD_EMBEDDINGS) and has(f"{family.layer_path}.0.{family.layer[0].tensor}")
        if prefixed or bare:
            return family
    return None
