"""The names of a BERT's weights: our variable paths beside Hugging Face's tensor names.

A variable path is relative to the model (`layer_1/attention/query/kernel`). A tensor name is written without the
`bert.` that task models put before their encoder. Hugging Face counts layers from 0, this library from 1 (0 is the
embedding output), and Hugging Face stores dense weights as (output, input), Keras as (input, output). The names of
BERT's relatives are in `families.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_BACKBONE = ("embeddings.", "embeddings_project.", "encoder.", "transformer.", "pooler.")


@dataclass(frozen=True)
class TensorName:
    """One weight: our variable path, Hugging Face's tensor name, and how the two differ.

    `transposed`: the file holds the transpose. `required`: loading fails without the tensor; otherwise the variable
    keeps its initial value, and the report lists it.
    """

    variable: str
    tensor: str
    transposed: bool = False
    required: bool = True

    @property
    def prefixed(self) -> bool:
        """Whether task models write `bert.`, or their family's prefix, before the name; heads have no prefix."""
        return self.tensor.startswith(_BACKBONE)


def dense_names(variable: str, tensor: str) -> tuple[TensorName, ...]:
    """The kernel and the bias of a dense layer, required."""
    return (
        TensorName(f"{variable}/kernel", f"{tensor}.weight", transposed=True),
        TensorName(f"{variable}/bias", f"{tensor}.bias"),
    )


def layer_norm_names(variable: str, tensor: str) -> tuple[TensorName, ...]:
    """The scale and the offset of a LayerNorm, required."""
    return (
        TensorName(f"{variable}/gamma", f"{tensor}.weight"),
        TensorName(f"{variable}/beta", f"{tensor}.bias"),
    )


def optional(names: tuple[TensorName, ...]) -> tuple[TensorName, ...]:
    """The same names as tensors that a file need not have."""
    return tuple(replace(name, required=False) for name in names)


WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
"""The one tensor that every family has, under this name."""

EMBEDDINGS = (
    TensorName("embeddings/word_embeddings/embeddings", WORD_EMBEDDINGS),
    TensorName("embeddings/position_embeddings/embeddings", "embeddings.position_embeddings.weight"),
    TensorName("embeddings/token_type_embeddings/embeddings", "embeddings.token_type_embeddings.weight"),
    *layer_norm_names("embeddings/layer_norm", "embeddings.LayerNorm"),
)
"""The embedding tables."""

LAYER = (
    *dense_names("attention/query", "attention.self.query"),
    *dense_names("attention/key", "attention.self.key"),
    *dense_names("attention/value", "attention.self.value"),
    *dense_names("attention/output", "attention.output.dense"),
    *layer_norm_names("attention_layer_norm", "attention.output.LayerNorm"),
    *dense_names("intermediate", "intermediate.dense"),
    *dense_names("output", "output.dense"),
    *layer_norm_names("output_layer_norm", "output.LayerNorm"),
)
"""One encoder layer, by names within it."""

POOLER = optional(dense_names("pooler", "pooler.dense"))
"""The pooler; masked language models have none."""

CLASSIFIER = optional(dense_names("classifier", "classifier"))
"""The head of sequence and token classifiers."""

SPANS = optional(dense_names("qa_outputs", "qa_outputs"))
"""The head of question answering: where the answer starts and ends."""

MASKED_LM = optional(
    (
        *dense_names("transform", "cls.predictions.transform.dense"),
        *layer_norm_names("transform_layer_norm", "cls.predictions.transform.LayerNorm"),
        TensorName("predictions/bias", "cls.predictions.bias"),
    )
)
"""The head of masked language models; its output weights are the word embeddings and have no row of their own."""

NEXT_SENTENCE = optional(dense_names("next_sentence", "cls.seq_relationship"))
"""The head of next-sentence prediction."""


def layer_names(layer: tuple[TensorName, ...], path: str, num_hidden_layers: int) -> tuple[TensorName, ...]:
    """The names of layers 1 to `num_hidden_layers`; their tensors are under `path.0`, `path.1`, ..."""
    return tuple(
        replace(name, variable=f"layer_{number}/{name.variable}", tensor=f"{path}.{number - 1}.{name.tensor}")
        for number in range(1, num_hidden_layers + 1)
        for name in layer
    )
