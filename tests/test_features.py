"""`FeatureRequest`: one object for what a call's arguments ask for, and the arguments again."""

from __future__ import annotations

import inspect

import pytest

from tinybert_tf import InputError, SequenceClassifier, Teacher, TeacherEnsemble, TransformerEncoder, features
from tinybert_tf.features import FeatureRequest


def test_arguments_and_back() -> None:
    arguments = {"output_hidden_states": (0, 2), "output_queries_keys_values": True, "last_layer": 2}
    request = FeatureRequest.of(**arguments)
    assert request.layers == {"hidden_states": (0, 2), "queries": True, "keys": True, "values": True}
    assert request.arguments == arguments
    assert FeatureRequest.of().arguments == {}


def test_numbers_within_a_model() -> None:
    request = FeatureRequest.of(output_hidden_states=True, output_attention_scores=[2, 1, 2], last_layer=2).within(4)
    assert request.layers == {"hidden_states": (0, 1, 2), "attention_scores": (1, 2)}
    assert [request.at(layer) for layer in (0, 2, 3)] == [["hidden_states"], ["hidden_states", "attention_scores"], []]
    with pytest.raises(InputError, match="`output_attention_scores` asks for layer 0; this model has layers 1 to 4"):
        FeatureRequest.of(output_attention_scores=(0,)).within(4)


def test_the_union_asks_for_everything_and_runs_as_high_as_any() -> None:
    one = FeatureRequest.of(output_hidden_states=(0, 2), last_layer=2)
    other = FeatureRequest.of(output_hidden_states=(1,), output_attention_scores=(3,), last_layer=3)
    union = FeatureRequest.union([one, other])
    assert union.arguments == {"output_hidden_states": (0, 1, 2), "output_attention_scores": (3,), "last_layer": 3}
    assert FeatureRequest.union([one, FeatureRequest.of()]).last_layer is None


def test_every_model_has_the_same_public_arguments() -> None:
    """In this order, since they may be given by position."""
    wanted = ["self", "inputs", "training", *dict.fromkeys(features.REQUESTED_BY.values()), "last_layer"]
    for model in (TransformerEncoder, SequenceClassifier, Teacher, TeacherEnsemble):
        assert list(inspect.signature(model.call).parameters) == wanted, model
