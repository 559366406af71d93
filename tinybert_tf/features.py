"""The names in a model's output dict, the numbers of its layers, and requests for features of layers.

Every model of this library, teacher or student, answers one call with one dict. Layer numbers are the same everywhere:
0 is the embedding output, 1..N are the encoder layers, N+1 is the prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tinybert_tf.errors import InputError

LAST_HIDDEN_STATE = "last_hidden_state"  # (batch, seq_len, hidden_size)
POOLED_OUTPUT = "pooled_output"  # (batch, hidden_size)
LOGITS = "logits"  # (batch, num_labels), or (batch, seq_len, columns) if every token has a prediction
NEXT_SENTENCE_LOGITS = "next_sentence_logits"  # (batch, 2): B follows A, or does not

# The kinds of logits, one of which is a model's `predicts`; it decides answers and losses.
CLASSES = "classes"  # (..., classes): one of them is right, softmax over the last axis
SCORES = "scores"  # (batch, 1): a number
LABELS = "labels"  # (batch, labels): each is right or not, sigmoid
POSITIONS = "positions"  # (batch, seq_len, columns): for each column one token is right, softmax over real tokens

# An input of masked language models: the places to predict, (batch, predictions); logits are then only of these.
MASKED_POSITIONS = "masked_positions"

# The labels of BERT's pretraining.
MASKED_TOKENS = "masked_tokens"  # (batch, predictions), -100 for no label
NEXT_SENTENCE = "next_sentence"  # (batch,): 0 where B follows A, else 1

HIDDEN_STATES = "hidden_states"  # {layer: (batch, seq_len, hidden_size)}, layers 0..N
ATTENTION_SCORES = "attention_scores"  # {layer: (batch, heads, seq_len, seq_len)}, layers 1..N
QUERIES = "queries"  # {layer: (batch, heads, seq_len, head_size)}, layers 1..N
KEYS = "keys"
VALUES = "values"

# The argument of a model's call that asks for a feature. Every call returns the features that are not here.
REQUESTED_BY = {
    HIDDEN_STATES: "output_hidden_states",
    ATTENTION_SCORES: "output_attention_scores",
    QUERIES: "output_queries_keys_values",
    KEYS: "output_queries_keys_values",
    VALUES: "output_queries_keys_values",
}
# The lowest layer that has each feature.
FIRST_LAYER = {HIDDEN_STATES: 0, ATTENTION_SCORES: 1, QUERIES: 1, KEYS: 1, VALUES: 1}

# Keys of inputs that hold a teacher's features of the same rows, computed before: "teacher/hidden_states/3".
TEACHER = "teacher/"

LayerRequest = bool | tuple[int, ...]


def is_per_layer(feature: str) -> bool:
    """Whether the output dict holds `{layer: tensor}` under this name, rather than one tensor."""
    return feature in REQUESTED_BY


def teacher_key(feature: str, layer: int | None = None) -> str:
    """The key of a teacher's feature in a batch, for one layer or for the whole model."""
    return f"{TEACHER}{feature}" if layer is None else f"{TEACHER}{feature}/{layer}"


def by_teacher_key(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """A teacher's output dict as a flat one, `{teacher_key: tensor}`."""
    flat = {}
    for name, value in outputs.items():
        layers = value.items() if isinstance(value, Mapping) else [(None, value)]
        flat.update({teacher_key(name, layer): tensor for layer, tensor in layers})
    return flat


def from_teacher_keys(flat: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The output dict from which these keys of a flat one were made; the inverse of `by_teacher_key`."""
    outputs: dict[str, Any] = {}
    for key in keys:
        name, _, layer = key.removeprefix(TEACHER).partition("/")
        if layer:
            outputs.setdefault(name, {})[int(layer)] = flat[key]
        else:
            outputs[name] = flat[key]
    return outputs


def requested_layers(request: LayerRequest | Iterable[int], first: int, last: int, argument: str) -> tuple[int, ...]:
    """The layer numbers that an `output_*` argument asks for: all of `first..last`, none, or those given.

    Raises:
        InputError: a number is outside `first..last`.
    """
    if isinstance(request, bool):
        return tuple(range(first, last + 1)) if request else ()
    layers = tuple(sorted(set(request)))
    outside = [layer for layer in layers if not first <= layer <= last]
    if outside:
        raise InputError(f"`{argument}` asks for layer {outside[0]}; this model has layers {first} to {last}.")
    return layers


@dataclass(frozen=True)
class FeatureRequest:
    """The layers whose features one pass of a model returns; nothing else is computed.

    `layers`: for each feature of `REQUESTED_BY` its layers, True for all of them. `last_layer` is the highest layer
    that is run; None runs them all and everything above them (pooler and head).
    """

    layers: Mapping[str, LayerRequest]
    last_layer: int | None = None

    @classmethod
    def of(cls, last_layer: int | None = None, **arguments: LayerRequest) -> FeatureRequest:
        """Make a request from the `output_*` arguments of a model's call; an absent argument asks for nothing."""
        asked = {feature: arguments.get(argument, False) for feature, argument in REQUESTED_BY.items()}
        return cls({feature: layers for feature, layers in asked.items() if layers is not False}, last_layer)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a model's call that make this request; one that asks for nothing is left out."""
        last_layer = {} if self.last_layer is None else {"last_layer": self.last_layer}
        return {REQUESTED_BY[feature]: layers for feature, layers in self.layers.items()} | last_layer

    def within(self, num_hidden_layers: int) -> FeatureRequest:
        """The same request for so many layers, with numbers in place of True, without features that have no layer.

        Raises:
            InputError: the model does not have a layer, or it is above `last_layer`.
        """
        top = num_hidden_layers
        if self.last_layer is not None:
            top = requested_layers((self.last_layer,), 0, num_hidden_layers, "last_layer")[0]
        found = {
            feature: requested_layers(layers, FIRST_LAYER[feature], top, REQUESTED_BY[feature])
            for feature, layers in self.layers.items()
        }
        return FeatureRequest({feature: layers for feature, layers in found.items() if layers}, self.last_layer)

    def at(self, layer: int) -> list[str]:
        """The features that a request with numbers asks of one layer."""
        return [feature for feature, layers in self.layers.items() if not isinstance(layers, bool) and layer in layers]

    @classmethod
    def union(cls, requests: Iterable[FeatureRequest]) -> FeatureRequest:
        """One request for everything that several requests with numbers ask for."""
        merged: dict[str, set[int]] = {}
        tops = []
        for request in requests:
            tops.append(request.last_layer)
            for feature, layers in request.layers.items():
                merged.setdefault(feature, set()).update(() if isinstance(layers, bool) else layers)
        numbers = [top for top in tops if top is not None]
        last_layer = max(numbers) if len(numbers) == len(tops) else None
        return cls({feature: tuple(sorted(layers)) for feature, layers in merged.items()}, last_layer)


def takes_feature_request(call: Callable[..., Any]) -> Callable[..., Any]:
    """Make `call(self, inputs, request, training)` a Keras `call` with the public `output_*` arguments."""

    def with_arguments(
        self: Any,
        inputs: Mapping[str, Any],
        training: bool | None = None,
        output_hidden_states: LayerRequest = False,
        output_attention_scores: LayerRequest = False,
        output_queries_keys_values: LayerRequest = False,
        last_layer: int | None = None,
    ) -> Any:
        request = FeatureRequest.of(
            last_layer,
            output_hidden_states=output_hidden_states,
            output_attention_scores=output_attention_scores,
            output_queries_keys_values=output_queries_keys_values,
        )
        return call(self, inputs, request, training)

    for name in ("__doc__", "__name__", "__qualname__", "__module__"):  # not __wrapped__: the signature is this one
        setattr(with_arguments, name, getattr(call, name))
    return with_arguments
