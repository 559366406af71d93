"""Every public object shows itself in two lines; tables are for `print`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinybert_tf as tb
from tinybert_tf.models.cut.student import Cut
from tinybert_tf.short_repr import LONGEST, short_repr

WORDS = [f"{number}th film of a long series" for number in range(500)]


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """One of each public class, with as much in it as a user has."""
    directory = tmp_path_factory.mktemp("repr")
    tokenizer = tb.train_wordpiece(WORDS, vocab_size=120)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 16}
    config = tb.EncoderConfig(vocab_size=tokenizer.vocab_size, num_hidden_layers=2, **sizes)
    labels = [f"a label with a long name, number {number}" for number in range(500)]
    texts = tb.TextDataset.from_lists(WORDS, labels=labels)
    model = tb.SequenceClassifier(config, num_labels=2, id2label=["negative", "positive"])
    model.save_pretrained(directory / "model", tokenizer=tokenizer)
    teacher = tb.Teacher(model)
    batches = texts.batches(tokenizer, batch_size=4, seed=1, label_names=labels)
    (directory / "corpus.txt").write_text("\n\n".join("\n".join(WORDS[at : at + 5]) for at in range(0, 500, 5)))
    corpus = tb.Corpus.tokenize(directory / "corpus.txt", tokenizer, directory / "corpus")
    losses = [getattr(tb, name)() for name in tb.__all__ if name.endswith("Loss") and name != "DistillationLoss"]
    distiller = tb.Distiller(teacher, model, layer_map="uniform", losses=[tb.AttentionLoss()])
    return [
        *losses,
        config,
        tokenizer,
        texts,
        model,
        model.encoder,
        teacher,
        batches,
        corpus,
        distiller,
        tb.Augmentation(),
        tb.Augmenter(tokenizer, lambda inputs: np.zeros((1, 1))),
        tb.BertPretraining(config),
        tb.LayerMap.uniform(12, 24),
        tb.MagnitudePruning(0.5, end_step=100),
        tb.MaskedLM(config),
        tb.Masking(),
        tb.MultiTaskBatches({f"task {number}": batches for number in range(30)}),
        tb.Predictor(directory / "model"),
        tb.PretrainingBatches(corpus, tokenizer, max_length=16, next_sentence=False),
        tb.QuestionAnswering(config),
        tb.QuestionDataset([], "questions.json"),
        *tb.tinybert_stages(),
        tb.TaggedDataset([WORDS], [["O"] * 500], "tags.conll", [1]),
        tb.TeacherCache(directory / "cache"),
        tb.TeacherEnsemble([teacher, teacher]),
        tb.TokenClassifier(config, num_labels=3),
        tb.WeightSchedule(1.0, 0.0, 100),
        Cut(np.zeros((768, 312)), dict.fromkeys(range(13), 0.25), {}),
    ]


def test_every_public_object_fits_two_lines(instances: list[object]) -> None:
    classes = {getattr(tb, name) for name in tb.__all__ if inspect.isclass(getattr(tb, name))}
    shown = tuple(type(each) for each in instances)
    left_out = {each.__name__ for each in classes if not any(issubclass(kind, each) for kind in shown)}
    assert left_out <= {"InputError", "MultiTaskDistiller"}  # an exception, and a Keras model as `Distiller` is one
    long = {type(each).__name__: repr(each) for each in instances if len(repr(each)) > LONGEST or "\n" in repr(each)}
    assert long == {}


def test_what_is_shown(instances: list[object]) -> None:
    def of(kind: type) -> Any:
        return next(each for each in instances if type(each) is kind)

    assert repr(of(tb.TextDataset)) == (
        "TextDataset(source='texts', rows=500, has_labels=True, texts=['0th film of a long series'])"
    )
    assert repr(of(tb.EncoderConfig)).startswith("EncoderConfig(vocab_size=")
    assert "hidden_act" not in repr(of(tb.EncoderConfig))  # as it is by default
    assert repr(of(tb.AttentionLoss)).startswith("AttentionLoss(weight=1.0, name='attention_loss'")


def test_tables_are_printed() -> None:
    assert str(tb.LayerMap.uniform(12, 24)).count("\n") == 14
    assert str(Cut(np.zeros((4, 2)), {0: 0.0, 1: 0.125}, {})).splitlines() == [
        "student  unexplained",
        "      0        0.0%",
        "      1       12.5%",
    ]


def test_long_values_are_cut() -> None:
    shown = short_repr([], **{f"key{number}": "x" * 100 for number in range(9)})
    assert len(shown) == LONGEST
    assert shown.endswith("...)")


def test_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("text\tlabel\na\tb\n", encoding="utf-8")
    assert "rows=1, has_labels=True, texts=['a']" in repr(tb.TextDataset.from_file(path, text="text", label="label"))
