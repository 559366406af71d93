from __future__ import annotations

from tinybert_tf.checkpoints.families import BERT
from tinybert_tf.checkpoints.name_tables import (
    CLASSIFIER,
    MASKED_LM,
    NEXT_SENTENCE,
    POOLER,
    TensorName,
)

# The state dict of transformers' BertModel with one layer, by hand.
ONE_LAYER = [
    "embeddings.word_embeddings.weight",
    "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings.weight",
    "embeddings.LayerNorm.weight",
    "embeddings.LayerNorm.bias",
    "encoder.layer.0.attention.self.query.weight",
    "encoder.layer.0.attention.self.query.bias",
    "encoder.layer.0.attention.self.key.weight",
    "encoder.layer.0.attention.self.key.bias",
    "encoder.layer.0.attention.self.value.weight",
    "encoder.layer.0.attention.self.value.bias",
    "encoder.layer.0.attention.output.dense.weight",
    "encoder.layer.0.attention.output.dense.bias",
    "encoder.layer.0.attention.output.LayerNorm.weight",
    "encoder.layer.0.attention.output.LayerNorm.bias",
    "encoder.layer.0.intermediate.dense.weight",
    "encoder.layer.0.intermediate.dense.bias",
    "encoder.layer.0.output.dense.weight",
    "encoder.layer.0.output.dense.bias",
    "encoder.layer.0.output.LayerNorm.weight",
    "encoder.layer.0.output.LayerNorm.bias",
    "pooler.dense.weight",
    "pooler.dense.bias",
]

MASKED_LM_HEAD = [
    "cls.predictions.transform.dense.weight",
    "cls.predictions.transform.dense.bias",
    "cls.predictions.transform.LayerNorm.weight",
    "cls.predictions.transform.LayerNorm.bias",
    "cls.predictions.bias",
]


def test_one_layer_and_pooler_are_complete() -> None:
    assert [name.tensor for name in (*BERT.encoder_names(1), *POOLER)] == ONE_LAYER


def test_the_heads() -> None:
    assert [name.tensor for name in MASKED_LM] == MASKED_LM_HEAD
    assert [name.variable for name in MASKED_LM] == [
        "transform/kernel",
        "transform/bias",
        "transform_layer_norm/gamma",
        "transform_layer_norm/beta",
        "predictions/bias",
    ]
    head = (
        TensorName("classifier/kernel", "classifier.weight", transposed=True, required=False),
        TensorName("classifier/bias", "classifier.bias", required=False),
    )
    assert head == CLASSIFIER
    assert [name.tensor for name in NEXT_SENTENCE] == ["cls.seq_relationship.weight", "cls.seq_relationship.bias"]
    assert [name.variable for name in NEXT_SENTENCE] == ["next_sentence/kernel", "next_sentence/bias"]


def test_layers_count_from_one_here_and_from_zero_there() -> None:
    names = {name.variable: name for name in BERT.encoder_names(3)}
    assert names["layer_3/attention/query/kernel"].tensor == "encoder.layer.2.attention.self.query.weight"
    assert names["layer_1/attention_layer_norm/beta"].tensor == "encoder.layer.0.attention.output.LayerNorm.bias"
    assert names["layer_2/output_layer_norm/gamma"].tensor == "encoder.layer.1.output.LayerNorm.weight"
    assert names["embeddings/layer_norm/gamma"].tensor == "embeddings.LayerNorm.weight"
    assert len(names) == 5 + 3 * 16


def test_dense_kernels_and_nothing_else_are_transposed() -> None:
    for name in (*BERT.encoder_names(2), *POOLER, *CLASSIFIER, *MASKED_LM, *NEXT_SENTENCE):
        assert name.transposed == name.variable.endswith("/kernel")


def test_the_encoder_is_required_and_prefixed_and_heads_are_neither() -> None:
    assert all(name.required and name.prefixed for name in BERT.encoder_names(2))
    assert all(name.prefixed and not name.required for name in POOLER)
    assert not any(name.required or name.prefixed for name in (*CLASSIFIER, *MASKED_LM, *NEXT_SENTENCE))
