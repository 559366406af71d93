"""The student of a config: its size, where its first weights come from, and what does not fit a teacher."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import (
    EncoderConfig,
    InputError,
    SequenceClassifier,
    TransformerEncoder,
    load_tokenizer,
    train_wordpiece,
)
from tinybert_tf.config.schema import StudentSection
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.pipeline.parts.student import build_student, cut_from_teacher, resolved_init, student_config

TEACHER = EncoderConfig(
    vocab_size=60,
    hidden_size=16,
    num_hidden_layers=5,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=24,
    hidden_act="relu",
)
LABELS = ["negative", "positive"]


@pytest.fixture(scope="module")
def teacher() -> SequenceClassifier:
    """Four layers; every weight its own, LayerNorms and biases too."""
    teacher = SequenceClassifier(dataclasses.replace(TEACHER, num_hidden_layers=4), id2label=LABELS, dtype="float32")
    generator = np.random.default_rng(0)
    for _, variable in sorted(teacher.variables_by_name().items()):
        variable.assign(generator.normal(size=variable.shape))
    return teacher


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_wordpiece(["good bad fine dull film"], vocab_size=60, min_frequency=1)


# === Sizes ===


def test_half_the_layers_and_everything_else_the_teachers() -> None:
    assert student_config(StudentSection(), TEACHER) == dataclasses.replace(TEACHER, num_hidden_layers=2)
    one_layer = dataclasses.replace(TEACHER, num_hidden_layers=1)
    assert student_config(StudentSection(), one_layer) == one_layer


def test_a_presets_sizes_and_the_teachers_rest() -> None:
    section = StudentSection(preset="tinybert-4l-312d", intermediate_size=600)
    assert student_config(section, TEACHER) == dataclasses.replace(
        TEACHER, num_hidden_layers=4, hidden_size=312, num_attention_heads=12, intermediate_size=600
    )


def test_a_named_size_and_own_sizes_beside_it() -> None:
    wide = dataclasses.replace(TEACHER, hidden_size=32, intermediate_size=64)
    assert student_config(StudentSection(size="small"), wide) == dataclasses.replace(
        wide, num_hidden_layers=2, hidden_size=20, intermediate_size=40
    )
    assert student_config(StudentSection(size="medium"), wide) == student_config(StudentSection(), wide)
    section = StudentSection(size="small", num_hidden_layers=4, intermediate_size=8)
    assert student_config(section, wide) == dataclasses.replace(
        wide, num_hidden_layers=4, hidden_size=20, intermediate_size=8
    )


def test_own_sizes() -> None:
    section = StudentSection(num_hidden_layers=3, hidden_size=8, num_attention_heads=4)
    assert student_config(section, TEACHER) == dataclasses.replace(
        TEACHER, num_hidden_layers=3, hidden_size=8, num_attention_heads=4
    )


def test_a_directorys_sizes(tmp_path: Path) -> None:
    own = dataclasses.replace(TEACHER, num_hidden_layers=1, hidden_act="gelu")
    own.to_json(tmp_path / "config.json")
    assert student_config(StudentSection(dir=str(tmp_path)), TEACHER) == own


def test_sizes_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="preset 'tiny': expected one of tinybert-4l-312d"):
        student_config(StudentSection(preset="tiny"), TEACHER)
    with pytest.raises(InputError, match="num_attention_heads=3 must divide hidden_size=16"):
        student_config(StudentSection(num_attention_heads=3), TEACHER)
    with pytest.raises(InputError, match=r"student\.num_hidden_layers is given beside student\.dir"):
        student_config(StudentSection(dir=str(tmp_path), num_hidden_layers=2), TEACHER)
    with pytest.raises(InputError, match=r"found no config\.json in it"):
        student_config(StudentSection(dir=str(tmp_path)), TEACHER)


# === First weights ===


@pytest.mark.parametrize(
    ("section", "init"),
    [
        (StudentSection(), "cut"),
        (StudentSection(num_hidden_layers=5), "cut"),
        (StudentSection(hidden_size=8), "cut"),
        (StudentSection(intermediate_size=8), "cut"),
        (StudentSection(hidden_size=8, num_attention_heads=1), "cut"),
        (StudentSection(num_attention_heads=1), "cut"),
        (StudentSection(init="cut", hidden_size=8), "cut"),
        (StudentSection(init="random"), "random"),
        (StudentSection(init="layers"), "layers"),
        # larger than the teacher in one way
        (StudentSection(num_attention_heads=4), "random"),
        (StudentSection(intermediate_size=33), "random"),
        (StudentSection(num_hidden_layers=6), "random"),
    ],
)
def test_where_weights_come_from(section: StudentSection, init: str) -> None:
    assert resolved_init(section, student_config(section, TEACHER), TEACHER) == init


def test_inits_that_cannot_be() -> None:
    section = StudentSection(init="layers", hidden_size=8)
    with pytest.raises(InputError, match="hidden_size differs: student 8, teacher 16; use init 'cut' or 'random'"):
        resolved_init(section, student_config(section, TEACHER), TEACHER)
    section = StudentSection(init="cut", num_hidden_layers=6)
    with pytest.raises(
        InputError, match=r"student\.num_hidden_layers=6: a student cut from its teacher has at most the teacher's 5"
    ):
        resolved_init(section, student_config(section, TEACHER), TEACHER)
    with pytest.raises(InputError, match=r"student.init='random' is given beside student\.dir"):
        resolved_init(StudentSection(dir="somewhere", init="random"), TEACHER, TEACHER)


@pytest.mark.parametrize(
    ("layer_map", "layers"),
    [
        ("uniform", [2, 4]),
        ("top", [3, 4]),
        ("bottom", [1, 2]),
        (((0, 0), (1, 4), (2, 1)), [4, 1]),
        (((2, 3),), [None, 3]),
    ],
)
def test_exactly_the_mapped_layers_are_copied(
    teacher: SequenceClassifier, tokenizer: Tokenizer, layer_map: Any, layers: list[int | None]
) -> None:
    student = build_student(StudentSection(init="layers"), teacher, tokenizer, layer_map)
    theirs = {name: variable.numpy() for name, variable in teacher.variables_by_name().items()}
    for name, variable in student.variables_by_name().items():
        place, _, rest = name.partition("/")
        source = layers[int(place[-1]) - 1] if place.startswith("layer_") else place
        if source is None:
            assert not np.array_equal(variable, theirs[f"layer_1/{rest}"])
            continue
        expected = theirs[f"layer_{source}/{rest}"] if isinstance(source, int) else theirs[name]
        np.testing.assert_array_equal(variable.numpy(), expected, err_msg=name)
    assert list(student.id2label.values()) == LABELS


def texts() -> list[dict[str, np.ndarray]]:
    ids = np.random.default_rng(0).integers(5, 60, size=(40, 12)).astype(np.int32)
    return [{"input_ids": ids, "attention_mask": np.ones_like(ids)}]


@pytest.mark.parametrize(("layer_map", "layers"), [("uniform", [2, 4]), ("top", [3, 4]), (((2, 1),), [2, 4])])
def test_a_cut_student_comes_from_the_mapped_layers(
    teacher: SequenceClassifier, tokenizer: Tokenizer, layer_map: Any, layers: list[int], caplog: Any
) -> None:
    """A map without one of the layers is of no use here: the uniform one is taken, and the log names its layers."""
    section = StudentSection(hidden_size=8, intermediate_size=16)
    student = build_student(section, teacher, tokenizer, layer_map)
    with caplog.at_level("INFO"):
        cut = cut_from_teacher(student, teacher, layer_map, texts(), section.cut)
    assert f"student: cut from the teacher's layers {layers} on 40 texts; before training it explains" in caplog.text
    assert sorted(cut.unexplained) == [0, 1, 2]
    hidden = student(texts()[0], output_hidden_states=True)["hidden_states"]
    theirs = teacher(texts()[0], output_hidden_states=True)["hidden_states"]
    for ours, layer in ((1, layers[0]), (2, layers[1])):
        wanted = theirs[layer].numpy() @ cut.basis
        missed = ((hidden[ours].numpy() - wanted) ** 2).sum() / ((wanted - wanted.mean(axis=(0, 1))) ** 2).sum()
        np.testing.assert_allclose(missed, cut.unexplained[ours], rtol=0.01)


def test_a_student_of_another_precision_is_cut_in_float32(teacher: SequenceClassifier, tokenizer: Tokenizer) -> None:
    section = StudentSection(hidden_size=8)
    exact = build_student(section, teacher, tokenizer, "uniform")
    mixed = SequenceClassifier(exact.config, id2label=LABELS, dtype="mixed_bfloat16")
    for student in (exact, mixed):
        cut_from_teacher(student, teacher, "uniform", texts(), section.cut)
    theirs = exact.variables_by_name()
    for name, variable in mixed.variables_by_name().items():
        np.testing.assert_array_equal(variable.numpy(), theirs[name].numpy(), err_msg=name)


def test_a_preset_starts_at_random_and_it_is_said_why(
    teacher: SequenceClassifier, tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="tinybert_tf"):
        student = build_student(StudentSection(preset="bert-tiny"), teacher, tokenizer, "uniform")
    assert "student: starts from random weights: hidden_size=128: a student cut from its teacher has at" in caplog.text
    assert (student.config.hidden_size, student.num_hidden_layers, student.config.vocab_size) == (128, 2, 60)
    assert list(student.id2label.values()) == LABELS
    assert 0 < student.encoder.embeddings.word_embeddings.embeddings.numpy().std() < 0.05


def saved_student(directory: Path, tokenizer: Tokenizer | None, labels: list[str], **sizes: int) -> SequenceClassifier:
    model = SequenceClassifier(
        dataclasses.replace(TEACHER, num_hidden_layers=1, **sizes), len(labels), labels, dtype="float32"
    )
    model.save_pretrained(directory, tokenizer=tokenizer)
    return model


@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_a_directorys_weights(
    teacher: SequenceClassifier, tokenizer: Tokenizer, tmp_path: Path, with_tokenizer: bool
) -> None:
    saved = saved_student(tmp_path, tokenizer if with_tokenizer else None, LABELS)
    student = build_student(StudentSection(dir=str(tmp_path)), teacher, tokenizer, "uniform")
    ours, theirs = saved.variables_by_name(), student.variables_by_name()
    assert ours.keys() == theirs.keys()
    for name, variable in ours.items():
        np.testing.assert_array_equal(variable.numpy(), theirs[name].numpy(), err_msg=name)


def test_a_directory_without_a_head_gets_the_teachers_labels(
    teacher: SequenceClassifier, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    encoder = TransformerEncoder(dataclasses.replace(TEACHER, num_hidden_layers=1), dtype="float32")
    encoder.save_pretrained(tmp_path, tokenizer=tokenizer)
    student = build_student(StudentSection(dir=str(tmp_path)), teacher, tokenizer, "uniform")
    assert list(student.id2label.values()) == LABELS
    np.testing.assert_array_equal(student.encoder.pooler.kernel.numpy(), encoder.pooler.kernel.numpy())


def refusal(directory: Path, teacher: SequenceClassifier, tokenizer: Tokenizer) -> str:
    with pytest.raises(InputError) as caught:
        build_student(StudentSection(dir=str(directory)), teacher, tokenizer, "uniform")
    return str(caught.value)


def test_directories_that_do_not_fit(teacher: SequenceClassifier, tokenizer: Tokenizer, tmp_path: Path) -> None:
    saved_student(tmp_path / "order", tokenizer, LABELS[::-1])
    assert (
        refusal(tmp_path / "order", teacher, tokenizer)
        == f"student {tmp_path / 'order'}: its labels ['positive', 'negative'] are in another order than the teacher's "
        "['negative', 'positive']; they must be equal."
    )
    saved_student(tmp_path / "labels", tokenizer, ["a", "b", "c"])
    assert "are other ones than the teacher's" in refusal(tmp_path / "labels", teacher, tokenizer)

    other = train_wordpiece(["another vocabulary altogether"], vocab_size=60, min_frequency=1)
    saved_student(tmp_path / "words", other, LABELS)
    message = refusal(tmp_path / "words", teacher, tokenizer)
    sizes = f"({len(other.vocabulary())} and {len(tokenizer.vocabulary())} tokens"
    assert message.startswith(f"student {tmp_path / 'words'}: its vocabulary differs from the teacher's {sizes}")


def test_another_order_of_the_same_tokens_is_another_vocabulary(
    teacher: SequenceClassifier, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    saved_student(tmp_path, tokenizer, LABELS)
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    vocabulary["good"], vocabulary["bad"] = vocabulary["bad"], vocabulary["good"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert load_tokenizer(tmp_path).vocabulary() != tokenizer.vocabulary()
    assert "2 of the student's with another id or none" in refusal(tmp_path, teacher, tokenizer)
