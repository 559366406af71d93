"""Words with tags to tokens with labels, and back."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf import InputError, TaggedDataset, train_wordpiece
from tinybert_tf.data.tags.tagging import EncodedTags, entities
from tinybert_tf.data.tokenizers.alignment import encode_words
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

NAMES = ["O", "B-loc", "I-loc"]
WORDS = [["in", "yorkin", "now"], ["now"]]
TAGS = [["O", "B-loc", "O"], ["I-loc"]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """It knows `in`, `york` and `now`; `yorkin` is several pieces."""
    tokenizer = train_wordpiece(["in york now ,"] * 9 + ["yorkin"], vocab_size=99)
    assert encode_words(tokenizer, [["yorkin"]], 9)[0].lengths[0] > 3
    return tokenizer


@pytest.fixture
def dataset() -> TaggedDataset:
    return TaggedDataset(WORDS, TAGS, "a.conll", [3, 9])


def test_labels_are_at_first_pieces(dataset: TaggedDataset, tokenizer: Tokenizer) -> None:
    encoded = dataset.encode(tokenizer, NAMES, max_length=16)
    pieces = [len(tokenizer.pieces([word])[0]) for word in WORDS[0]]
    assert pieces[1] > 1
    expected = [-100]
    for number, count in zip([0, 1, 0], pieces, strict=True):
        expected += [number] + [-100] * (count - 1)
    assert encoded.labels is not None
    assert encoded.labels.padded([0], len(expected) + 1).tolist() == [[*expected, -100]]
    assert encoded.labels.padded([1, 0], 16)[0].tolist() == [-100, 2] + [-100] * 14


def test_batches_are_padded_together(dataset: TaggedDataset, tokenizer: Tokenizer) -> None:
    inputs, labels = dataset.batches(tokenizer, batch_size=2, max_length=16, label_names=NAMES)[0]
    assert labels.shape == inputs["input_ids"].shape
    assert (labels[inputs["attention_mask"] == 0] == -100).all()
    assert sorted(labels[labels >= 0].tolist()) == [0, 0, 1, 2]


def test_labels_are_padded_as_their_batch(dataset: TaggedDataset, tokenizer: Tokenizer) -> None:
    batches = dataset.batches(tokenizer, batch_size=2, max_length=16, label_names=NAMES, padded_lengths=[16])
    inputs, labels = batches[0]
    assert labels.shape == inputs["input_ids"].shape == (2, 16)
    assert (labels[inputs["attention_mask"] == 0] == -100).all()


def answered(encoded: EncodedTags, tags: list[list[int]]) -> np.ndarray:
    """Logits that say these tags at first pieces, and something else at all other tokens."""
    longest = int(encoded.tokens.lengths.max())
    logits = np.zeros((len(tags), longest, 3), "float32")
    logits[..., 2] = 1.0
    for row, numbers in enumerate(tags):
        of_row = encoded.words[encoded.tokens.offsets[row] : encoded.tokens.offsets[row + 1]]
        for place, word in enumerate(of_row):
            if word >= 0:
                logits[row, place] = np.log([0.1, 0.1, 0.1])
                logits[row, place, numbers[word]] = np.log(0.8)
    return logits


def test_answers_are_those_at_first_pieces(dataset: TaggedDataset, tokenizer: Tokenizer) -> None:
    encoded = dataset.encode(tokenizer, NAMES, max_length=16)
    logits = answered(encoded, [[1, 2, 0], [1]])
    assert encoded.answers(logits) == [["B-loc", "I-loc", "O"], ["B-loc"]]
    assert encoded.expected == TAGS
    first, second = encoded.predictions(logits)
    assert first["tokens"] == WORDS[0]
    assert first["scores"] == pytest.approx([0.8] * 3)
    assert first["entities"] == [{"type": "loc", "text": "in yorkin", "start": 0, "end": 9}]
    assert second["entities"] == [{"type": "loc", "text": "now", "start": 0, "end": 3}]


def test_words_that_are_cut_off_are_outside(dataset: TaggedDataset, tokenizer: Tokenizer) -> None:
    encoded = dataset.encode(tokenizer, NAMES, max_length=3)
    assert encoded.tokens.num_truncated == 1
    logits = answered(encoded, [[1, 2, 2], [1]])
    assert encoded.answers(logits) == [["B-loc", "O", "O"], ["B-loc"]]
    assert encoded.predictions(logits)[0]["scores"][1:] == [0.0, 0.0]


def test_texts_are_taken_apart_at_punctuation(tokenizer: Tokenizer) -> None:
    dataset = TaggedDataset.from_texts(["in York, now"], tokenizer)
    assert dataset.words == [["in", "York", ",", "now"]]
    assert dataset.written(0) == ("in York, now", [(0, 2), (3, 7), (7, 8), (9, 12)])
    assert dataset.encode(tokenizer, NAMES, 16).labels is None


def test_entities_by_the_conll_definition() -> None:
    text, spans = "a b c d e", [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    found = entities(["I-x", "I-x", "B-x", "I-y", "O"], text, spans)
    assert [(one["type"], one["text"], one["start"], one["end"]) for one in found] == [
        ("x", "a b", 0, 3), ("x", "c", 4, 5), ("y", "d", 6, 7),
    ]  # fmt: skip


def test_label_names_have_both_tags_of_every_type() -> None:
    dataset = TaggedDataset([["a", "b", "c"]], [["B-z", "O", "B-a"]], "s", [1])
    assert dataset.label_names() == ["O", "B-a", "I-a", "B-z", "I-z"]


def test_a_tag_that_the_model_does_not_have(dataset: TaggedDataset, tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match=r"^a\.conll:9: tag 'I-loc'; expected one of O, B-loc$"):
        dataset.encode(tokenizer, ["O", "B-loc"], 16)


def test_entities_are_those_that_are_measured() -> None:
    """Of random tags, valid or not, they are what seqeval counts."""
    from seqeval.metrics.sequence_labeling import get_entities

    generator = np.random.default_rng(0)
    for _ in range(300):
        tags = generator.choice(["O", "B-x", "I-x", "B-y", "I-y"], 8).tolist()
        spans = [(3 * word, 3 * word + 2) for word in range(8)]
        found = [
            (each["type"], each["start"] // 3, (each["end"] - 2) // 3) for each in entities(tags, "ab " * 8, spans)
        ]
        assert found == get_entities(tags)


def test_a_word_without_a_piece_has_no_label_and_is_outside(tokenizer: Tokenizer) -> None:
    """U+00A0 and a zero-width joiner are tokens of some data sets, and white space to a tokenizer."""
    dataset = TaggedDataset([["in", "\u00a0", "york", "\u200d"]], [["O", "O", "B-loc", "O"]], "a.conll", [1])
    encoded = dataset.encode(tokenizer, NAMES, max_length=16)
    assert encoded.labels is not None
    labels = encoded.labels.padded([0], int(encoded.tokens.lengths[0]))[0]
    assert labels[labels >= 0].tolist() == [0, 1]
    logits = np.eye(3)[np.where(labels == 1, 1, 2)][None]  # I-loc but for `york`
    assert encoded.answers(logits) == [["I-loc", "O", "B-loc", "O"]]
