"""What a BERT's weights are called: our variable paths beside Hugging Face's tensor names.

A variable path is relative to the model (`layer_1/attention/query/kernel`). A tensor name is written without the
`bert.` that task models put before their encoder. Hugging Face counts layers from 0, this library from 1 (0 is the
embedding output), and Hugging Face stores dense weights as (output, input), Keras as (input, output).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_BACKBONE = ("embeddings.", "encoder.", "pooler.")


@dataclass(frozen=True)
class TensorName:
    """One weight: our variable path, Hugging Face's tensor name, and how the two differ.

    `transposed`: the file holds the transpose. `required`: loading fails without it; otherwise the variable keeps its
    initial value and the report says so.
    """

    variable: str
    tensor: str
    transposed: bool = False
    required: bool = True

    @property
    def prefixed(self) -> bool:
        """Whether task models write `bert.` before the tensor's name: the encoder and the pooler, not the heads."""
        return self.tensor.startswith(_BACKBONE)


def _dense(variable: str, tensor: str) -> tuple[TensorName, ...]:
    return (
        TensorName(f"{variable}/kernel", f"{tensor}.weight", transposed=True),
        TensorName(f"{variable}/bias", f"{tensor}.bias"),
    )


def _layer_norm(variable: str, tensor: str) -> tuple[TensorName, ...]:
    return (
        TensorName(f"{variable}/gamma", f"{tensor}.weight"),
        TensorName(f"{variable}/beta", f"{tensor}.bias"),
    )


def _optional(names: tuple[TensorName, ...]) -> tuple[TensorName, ...]:
    return tuple(replace(name, required=False) for name in names)


_EMBEDDINGS = (
    TensorName("embeddings/word_embeddings/embeddings", "embeddings.word_embeddings.weight"),
    TensorName("embeddings/position_embeddings/embeddings", "embeddings.position_embeddings.weight"),
    TensorName("embeddings/token_type_embeddings/embeddings", "embeddings.token_type_embeddings.weight"),
    *_layer_norm("embeddings/layer_norm", "embeddings.LayerNorm"),
)

_LAYER = (
    *_dense("attention/query", "attention.self.query"),
    *_dense("attention/key", "attention.self.key"),
    *_dense("attention/value", "attention.self.value"),
    *_dense("attention/output", "attention.output.dense"),
    *_layer_norm("attention_layer_norm", "attention.output.LayerNorm"),
    *_dense("intermediate", "intermediate.dense"),
    *_dense("output", "output.dense"),
    *_layer_norm("output_layer_norm", "output.LayerNorm"),
)

POOLER = _optional(_dense("pooler", "pooler.dense"))
"""The pooler; masked language models have none."""

CLASSIFIER = _optional(_dense("classifier", "classifier"))
"""The head of sequence and token classifiers."""

SPANS = _optional(_dense("qa_outputs", "qa_outputs"))
"""The head of question answering: where the answer starts and ends."""

MASKED_LM = _optional(
    (
        *_dense("transform", "cls.predictions.transform.dense"),
        *_layer_norm("transform_layer_norm", "cls.predictions.transform.LayerNorm"),
        TensorName("predictions/bias", "cls.predictions.bias"),
    )
)
"""The head of masked language models; its output weights are the word embeddings and have no row of their own."""

NEXT_SENTENCE = _optional(_dense("next_sentence", "cls.seq_relationship"))
"""The head of next-sentence prediction."""


def encoder_names(num_hidden_layers: int) -> tuple[TensorName, ...]:
    """Return the names of the embeddings and of layers 1 to `num_hidden_layers`, all required."""
    layers = (
        replace(name, variable=f"layer_{layer}/{name.variable}", tensor=f"encoder.layer.{layer - 1}.{name.tensor}")
        for layer in range(1, num_hidden_layers + 1)
        for name in _LAYER
    )
    return (*_EMBEDDINGS, *layers)
