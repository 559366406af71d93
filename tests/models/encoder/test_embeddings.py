"""Lookups outside of the tables: refused before a pass, NaN in a graph, and never another token's row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import (
    Distiller,
    HiddenStateLoss,
    InputError,
    MaskedLM,
    SequenceClassifier,
    Teacher,
    TeacherEnsemble,
    TransformerEncoder,
)
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts

Make = Callable[..., Any]
Inputs = dict[str, np.ndarray]


def under_xla(model: Any) -> Callable[[Inputs], np.ndarray]:
    """The model in a graph of the user's own that XLA compiles, of any length."""
    shape = tf.TensorSpec([None, None], tf.int32)
    names = ("input_ids", "attention_mask", "token_type_ids")

    @tf.function(input_signature=[dict.fromkeys(names, shape)], jit_compile=True)
    def run(inputs: Any) -> Any:
        return model(inputs)["last_hidden_state"]

    return lambda inputs: run(inputs).numpy()


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_under_xla_a_row_with_a_bad_id_type_or_position_is_nan(
    family: str, make_config: Make, make_inputs: Make
) -> None:
    types = {"type_vocab_size": 2}
    encoder = TransformerEncoder(make_config(model_type=family, num_hidden_layers=1, **types), add_pooler=False)
    run = under_xla(encoder)
    inputs = make_inputs([5, 4])
    expected = run(inputs)
    assert np.isfinite(expected).all()
    for name, bad in [("input_ids", 50), ("input_ids", -1), ("token_type_ids", 2), ("token_type_ids", -1)]:
        changed = {**inputs, name: inputs[name].copy()}
        changed[name][0, 2] = bad
        found = run(changed)
        assert np.isnan(found[0]).all(), (name, bad)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)
    too_long = {name: np.tile(values, (1, 3)) for name, values in inputs.items()}
    assert np.isnan(run(too_long)[0]).all()


def test_one_type_of_tokens_is_read_as_type_0(make_config: Make, make_inputs: Make) -> None:
    """`token_type_ids` are all 0, as from RoBERTa's tokenizers."""
    encoder = TransformerEncoder(make_config(type_vocab_size=1))
    inputs = make_inputs([5, 4])
    assert inputs["token_type_ids"].max() == 1
    expected = encoder({**inputs, "token_type_ids": np.zeros_like(inputs["input_ids"])})
    for given in (inputs, {name: inputs[name] for name in ("input_ids", "attention_mask")}):
        np.testing.assert_array_equal(encoder(given)["last_hidden_state"], expected["last_hidden_state"])
    SequenceClassifier(encoder).predict_on_batch(inputs)  # nothing to refuse


def test_a_masked_position_past_the_end_is_not_the_next_texts(make_config: Make, make_inputs: Make) -> None:
    model = MaskedLM(make_config())
    inputs = make_inputs([5, 4])
    found = np.asarray(model({**inputs, "masked_positions": np.array([[1, 5], [-1, 2]])})["logits"])
    expected = np.asarray(model(inputs)["logits"])
    np.testing.assert_allclose(found[[0, 1], [0, 1]], expected[[0, 1], [1, 2]], rtol=1e-5, atol=1e-5)
    assert np.isnan(found[[0, 1], [1, 0]]).all()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input_ids", 50, r"^input_ids: got 50; expected 0 to 49, since the model has vocab_size=50\.$"),
        ("input_ids", -3, r"^input_ids: got -3; expected 0 to 49"),
        ("token_type_ids", 2, r"^token_type_ids: got 2; expected 0 to 1, since the model has type_vocab_size=2\.$"),
    ],
)
def test_refused_on_the_host(name: str, value: int, message: str, make_config: Make, make_inputs: Make) -> None:
    model, labels = SequenceClassifier(make_config()), np.array([0, 1])
    model.compile("sgd")
    teacher = Teacher(SequenceClassifier(make_config()))
    distiller = Distiller(teacher, TransformerEncoder(make_config()), losses=[HiddenStateLoss()])
    distiller.compile("sgd")
    good, bad = make_inputs([5, 4]), make_inputs([5, 4])
    bad[name][1, 1] = value
    for refuse in (
        lambda: model.fit(bad, labels, verbose=0),
        lambda: model.fit(good, labels, validation_data=(bad, labels), verbose=0),
        lambda: model.evaluate(bad, labels, verbose=0),
        lambda: model.predict(bad, verbose=0),
        lambda: model.train_on_batch(bad, labels),
        lambda: teacher.predict(bad, verbose=0),
        lambda: TeacherEnsemble([teacher, teacher]).predict(bad, verbose=0),
        lambda: distiller.fit(bad, verbose=0),
    ):
        with pytest.raises(InputError, match=message):
            refuse()


def rows(ids: list[list[int]]) -> TokenizedTexts:
    flat = np.concatenate([np.asarray(row, np.int32) for row in ids])
    return TokenizedTexts(flat, np.zeros(len(flat), np.int8), np.cumsum([0, *map(len, ids)]))


def test_our_batches_are_looked_at_as_a_whole(make_config: Make) -> None:
    model = SequenceClassifier(make_config())
    for batches, message in [
        (Batches(rows([[1, 2], [3, 50]]), batch_size=1), "input_ids: got 50"),
        (Batches(rows([[1, 2], [3]]), pad_token_id=60, batch_size=1), "input_ids: got 60"),
        (Batches(rows([[1, 2], [3] * 13]), batch_size=1), "a sequence of 13 tokens; this model has max_position_emb"),
        (Batches(rows([[1, 2]]), padded_lengths=[16]), "a sequence of 16 tokens; this model has max_position_emb"),
    ]:
        with pytest.raises(InputError, match=message):
            model.predict(batches, verbose=0)


def test_a_teacher_that_is_not_run_is_not_looked_at(make_config: Make, make_inputs: Make) -> None:
    """With another tokenizer than its student's, its features are in the batch."""
    teacher, student = TransformerEncoder(make_config(vocab_size=20)), TransformerEncoder(make_config())
    distiller = Distiller(Teacher(teacher), student, losses=[HiddenStateLoss()])
    inputs = make_inputs([5, 4])
    with pytest.raises(InputError, match="expected 0 to 19"):
        distiller.check_inputs(inputs)
    distiller.check_inputs({**inputs, **dict.fromkeys(distiller.teacher_shapes, np.zeros((2, 5, 16), "float32"))})
