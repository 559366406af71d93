"""A student cut from its teacher: equal where it can be, close where it cannot, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import (
    EncoderConfig,
    InputError,
    MaskedLM,
    QuestionAnswering,
    SequenceClassifier,
    TokenClassifier,
    TransformerEncoder,
    cut_student,
    slow_work,
)
from tinybert_tf.models.cut.student import check_cut

TEACHER = EncoderConfig(
    vocab_size=40,
    hidden_size=24,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=16,
)
NARROW = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 32}


RELATIVES: dict[str, dict[str, Any]] = {
    "roberta": {"pad_token_id": 1},
    "distilbert": {"type_vocab_size": 0},
    "electra": {"embedding_size": 20},
}


def make(cls: Any = SequenceClassifier, **sizes: Any) -> Any:
    return cls(dataclasses.replace(TEACHER, **sizes), dtype="float32")


@pytest.fixture(scope="module")
def teacher() -> SequenceClassifier:
    """A model with weights of size."""
    return with_weights(make())


def with_weights(model: Any) -> Any:
    """Weights large enough that layers differ, LayerNorms and biases among them."""
    generator = np.random.default_rng(0)
    for name, variable in sorted(model.variables_by_name().items()):
        if name.endswith("gamma"):
            variable.assign(generator.uniform(0.8, 1.2, size=variable.shape))
        elif "embeddings/" in name or variable.ndim == 1:
            variable.assign(generator.normal(scale=0.3, size=variable.shape))
        else:
            variable.assign(generator.normal(scale=variable.shape[0] ** -0.5, size=variable.shape))
    return model


def texts(count: int = 40, seq_len: int = 10, padding: int = 0) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(1)
    batches = []
    for _ in range(2):
        mask = np.arange(seq_len) < generator.integers(3, seq_len + 1, size=(count, 1))
        ids = np.where(mask, generator.integers(1, 40, size=mask.shape), 0)
        both = (np.pad(values, ((0, 0), (0, padding))).astype(np.int32) for values in (ids, mask))
        batches.append(dict(zip(("input_ids", "attention_mask"), both, strict=True)))
    return batches


def logits(model: Any, batches: list[dict[str, np.ndarray]]) -> np.ndarray:
    return np.concatenate([model(batch)["logits"].numpy() for batch in batches])


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in model.variables_by_name().items()}


def test_at_full_size_it_is_the_teacher(teacher: SequenceClassifier) -> None:
    student = make()
    cut = cut_student(student, teacher, [(layer, layer) for layer in (1, 2, 3, 4)], texts())
    np.testing.assert_allclose(logits(student, texts()), logits(teacher, texts()), atol=1e-4)
    assert max(cut.unexplained.values()) < 1e-8


@pytest.mark.parametrize("cls", [TokenClassifier, QuestionAnswering])
def test_a_head_for_tokens_is_cut_too(teacher: SequenceClassifier, cls: Any) -> None:
    """At full size the teacher's logits; of a narrow student more than half of their variance."""
    of_tokens, batches = cls(teacher.encoder, dtype="float32"), texts()
    of_tokens.token_head.kernel.assign(np.random.default_rng(3).normal(size=of_tokens.token_head.kernel.shape))
    real = np.concatenate([batch["attention_mask"].ravel() for batch in batches]) == 1
    expected = logits(of_tokens, batches).reshape(len(real), -1)[real]
    missed = {}
    for name, sizes, pairs in (
        ("full", {}, [(layer, layer) for layer in range(1, 5)]),
        ("narrow", NARROW, [(1, 2), (2, 4)]),
    ):
        student = make(cls, **sizes)
        cut_student(student, of_tokens, pairs, batches, ridge=1e-6 if name == "full" else 1e-3)
        errors = logits(student, batches).reshape(len(real), -1)[real] - expected
        missed[name] = errors.var(axis=0).sum() / expected.var(axis=0).sum()
    assert missed["full"] < 1e-6
    assert missed["narrow"] < 0.5


@pytest.mark.parametrize("model_type", RELATIVES)
def test_relatives_of_bert(model_type: str) -> None:
    """At full size the teacher, and narrower most of it, the embeddings' projection and the head's own layer too."""
    family = {"model_type": model_type, **RELATIVES[model_type]}
    teacher = with_weights(make(**family))
    wanted = logits(teacher, texts())
    whole, narrow = make(**family), make(**family, **NARROW)
    cut_student(whole, teacher, [(layer, layer) for layer in (1, 2, 3, 4)], texts())
    np.testing.assert_allclose(logits(whole, texts()), wanted, atol=2e-4)
    before = np.abs(logits(narrow, texts()) - wanted).mean()
    cut = cut_student(narrow, teacher, [(1, 2), (2, 4)], texts())
    after = logits(narrow, texts())
    assert np.abs(after - wanted).mean() < 0.7 * before
    assert np.corrcoef(after.ravel(), wanted.ravel())[0, 1] > 0.7
    assert all(missed < 0.6 for missed in cut.unexplained.values())
    batch = texts()[0]
    mask = batch["attention_mask"].astype(bool)
    ours, theirs = (model(batch, output_hidden_states=True)["hidden_states"] for model in (narrow, teacher))
    for layer, of_teacher in ((0, 0), (1, 2), (2, 4)):
        held = theirs[of_teacher].numpy()[mask] @ cut.basis
        missed = ((ours[layer].numpy()[mask] - held) ** 2).sum() / ((held - held.mean(axis=0)) ** 2).sum()
        np.testing.assert_allclose(missed, cut.unexplained[layer], rtol=0.3, atol=1e-6)


def test_a_layer_left_out_is_made_up_for(teacher: SequenceClassifier) -> None:
    """Nearer to the teacher than its layers 2 and 4 as they are."""
    from tinybert_tf import copy_layers

    pairs, batches = [(1, 2), (2, 4)], texts()
    cut_one, copied = make(num_hidden_layers=2), make(num_hidden_layers=2)
    cut = cut_student(cut_one, teacher, pairs, batches)
    copy_layers(copied, teacher, pairs)
    wanted = logits(teacher, batches)
    errors = [np.abs(logits(model, batches) - wanted).mean() for model in (cut_one, copied)]
    assert errors[0] < 0.5 * errors[1]
    assert cut.unexplained[0] < 1e-8 < cut.unexplained[2] < 1.0


@pytest.mark.parametrize("basis", ["components", "channels"])
def test_a_narrow_student_holds_most_of_its_teacher(teacher: SequenceClassifier, basis: str) -> None:
    student, batches = make(**NARROW), texts()
    before = logits(student, batches)
    cut = cut_student(student, teacher, [(1, 2), (2, 4)], batches, basis=basis)
    wanted = logits(teacher, batches)
    after = logits(student, batches)
    assert np.abs(after - wanted).mean() < 0.7 * np.abs(before - wanted).mean()
    assert np.corrcoef(after.ravel(), wanted.ravel())[0, 1] > 0.7
    assert all(missed < 0.6 for missed in cut.unexplained.values())


def test_the_expansion_leads_back_to_the_teachers_hidden_states(teacher: SequenceClassifier) -> None:
    student, batches = make(**NARROW), texts()
    cut = cut_student(student, teacher, [(1, 2), (2, 4)], batches)
    kernel, bias = cut.expansion([0, 1, 2])
    missed = total = 0.0
    for batch in batches:
        theirs = teacher(batch, output_hidden_states=True)["hidden_states"]
        mask = batch["attention_mask"].astype(bool)
        for layer in (0, 2, 4):
            values = theirs[layer].numpy()[mask]
            missed += ((values @ cut.basis @ kernel + bias - values) ** 2).sum()
            total += ((values - values.mean(axis=0)) ** 2).sum()
    assert missed < 0.35 * total  # a third of the directions is gone


def test_fewer_heads_of_the_same_size(teacher: SequenceClassifier) -> None:
    student, batches = make(num_hidden_layers=2, hidden_size=12, num_attention_heads=2), texts()
    before = np.abs(logits(student, batches) - logits(teacher, batches)).mean()
    cut_student(student, teacher, [(1, 2), (2, 4)], batches)
    assert np.abs(logits(student, batches) - logits(teacher, batches)).mean() < before


def test_padding_and_order_do_not_matter_and_nothing_is_random(teacher: SequenceClassifier) -> None:
    pairs = [(1, 2), (2, 4)]
    students = [make(**NARROW) for _ in range(2)]
    cut_student(students[0], teacher, pairs, texts())
    cut_student(students[1], teacher, pairs, texts(padding=3)[::-1])
    np.testing.assert_allclose(logits(students[1], texts()), logits(students[0], texts()), atol=2e-3)


def test_batches_as_fit_takes_them(teacher: SequenceClassifier) -> None:
    students = [make(**NARROW) for _ in range(2)]
    cut_student(students[0], teacher, [(1, 2), (2, 4)], texts())
    cut_student(students[1], teacher, [(1, 2), (2, 4)], ((batch, np.zeros(3)) for batch in texts()))
    np.testing.assert_allclose(logits(students[1], texts()), logits(students[0], texts()), atol=1e-5)


def test_the_teacher_is_left_alone(teacher: SequenceClassifier) -> None:
    before = weights(teacher)
    cut_student(make(**NARROW), teacher, [(1, 2), (2, 4)], texts())
    for name, value in weights(teacher).items():
        np.testing.assert_array_equal(value, before[name])


def test_fewer_heads_of_the_same_width(teacher: SequenceClassifier) -> None:
    # Two heads of 12 in place of four of 6: what two of them said is lost, and made up for as far as a fit can.
    layers = [(layer, layer) for layer in range(1, 5)]
    fewer = cut_student(make(num_attention_heads=2), teacher, layers, texts())
    narrower = cut_student(make(num_attention_heads=2, head_dim=6), teacher, layers, texts())
    assert fewer.unexplained[4] == pytest.approx(narrower.unexplained[4], abs=0.02)


def test_wider_heads_change_nothing(teacher: SequenceClassifier) -> None:
    student = make(head_dim=9)
    cut_student(student, teacher, [(layer, layer) for layer in range(1, 5)], texts())
    inputs = texts(4)[0]
    np.testing.assert_allclose(student(inputs)["logits"], teacher(inputs)["logits"], atol=1e-3)


def test_bare_encoders() -> None:
    teacher = make(TransformerEncoder)
    student = make(TransformerEncoder, **NARROW)
    cut = cut_student(student, teacher, [(1, 2), (2, 4)], texts())
    assert cut.unexplained[2] < 0.7


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_hidden_layers": 5}, "num_hidden_layers=5: .* at most the teacher's 4"),
        ({"hidden_size": 28}, "hidden_size=28: .* at most the teacher's 24"),
        ({"num_attention_heads": 6}, "num_attention_heads=6: .* at most the teacher's 4"),
        ({"intermediate_size": 49}, "intermediate_size=49: .* at most the teacher's 48"),
        ({"model_type": "roberta"}, "model_type=roberta: .* has the teacher's, bert"),
        ({"vocab_size": 41}, "vocab_size=41: .* has the teacher's, 40"),
    ],
)
def test_a_student_that_is_larger(teacher: SequenceClassifier, sizes: dict[str, int], message: str) -> None:
    layers = sizes.get("num_hidden_layers", 4)
    with pytest.raises(InputError, match=message):
        cut_student(make(**sizes), teacher, [(layer, layer) for layer in range(1, layers + 1)], texts())


@pytest.mark.parametrize("pairs", [[(1, 2)], [(1, 4), (2, 2)], [(1, 2), (2, 5)], [(1, 2), (2, 2)]])
def test_layers_without_their_teacher_layer(teacher: SequenceClassifier, pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(InputError, match=r"student's layers 1 to 2, each above .* at most 4"):
        cut_student(make(**NARROW), teacher, pairs, texts())


def test_other_things_that_cannot_be(teacher: SequenceClassifier) -> None:
    pairs = [(1, 2), (2, 4)]
    with pytest.raises(InputError, match="basis: got 'pca'; expected one of components, channels"):
        cut_student(make(**NARROW), teacher, pairs, texts(), basis="pca")
    with pytest.raises(InputError, match="expected at least one batch of texts to cut the student on, got none"):
        cut_student(make(**NARROW), teacher, pairs, [])
    with pytest.raises(InputError, match="student: expected the teacher's class, SequenceClassifier, got MaskedLM"):
        cut_student(make(MaskedLM, **NARROW), teacher, pairs, texts())


def test_a_student_as_wide_as_its_teachers_embeddings_is_refused() -> None:
    """It would have no projection of them, and its teacher has one."""
    teacher = EncoderConfig(**{**dataclasses.asdict(TEACHER), "model_type": "electra", "embedding_size": 20})
    student = dataclasses.replace(teacher, hidden_size=20)
    with pytest.raises(InputError, match=r"^hidden_size=20: expected another width than the teacher's embedding_size"):
        check_cut(student, teacher)
    check_cut(dataclasses.replace(teacher, hidden_size=16), teacher)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_in_any_precision_the_cut_is_computed_in_float32(policy: str, teacher: SequenceClassifier) -> None:
    expected = make(**NARROW)
    exact = cut_student(expected, teacher, [(1, 2), (2, 4)], texts())
    student = SequenceClassifier(dataclasses.replace(TEACHER, **NARROW), dtype=policy)
    cut = cut_student(student, teacher.copy(dtype="mixed_bfloat16"), [(1, 2), (2, 4)], texts())
    assert cut.unexplained == pytest.approx(exact.unexplained, rel=1e-5)
    rounding = 0.0 if policy == "mixed_bfloat16" else 2**-8  # of what the weights are stored in
    for ours, theirs in zip(student.weights, expected.weights, strict=True):
        found = np.asarray(keras.ops.cast(ours, "float32"))
        np.testing.assert_allclose(found, theirs, rtol=rounding + 1e-4, atol=1e-5)


def test_batches_beyond_max_tokens_are_left_out(
    teacher: SequenceClassifier, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = texts()
    expected, student = make(**NARROW), make(**NARROW)
    cut_student(expected, teacher, [(1, 2), (2, 4)], [first])
    capsys.readouterr()
    enough = int(first["attention_mask"].sum())
    cut_student(student, teacher, [(1, 2), (2, 4)], iter([first, second]), max_tokens=enough)
    assert capsys.readouterr().err == (f"cut: uses the first 40 texts, up to max_tokens={enough}\n")
    for ours, theirs in zip(student.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)  # the same sums, of as many texts


def test_a_cut_says_how_far_it_is(
    teacher: SequenceClassifier, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_work, "SECONDS_BETWEEN_LINES", 0.0)
    cut_student(make(**NARROW), teacher, [(1, 2), (2, 4)], texts())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 16  # four layers of two batches, twice
    assert lines[3].startswith("cut: 25% done after ")
    assert lines[-1].startswith("cut: 100% done after ")
