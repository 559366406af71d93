"""Augmented texts: which words are replaced, by what, and that nothing else decides it."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping

import numpy as np
import pytest

from tinybert_tf import Augmentation, Augmenter, InputError, train_wordpiece
from tinybert_tf.data.augmentation.augmentation import candidate_tokens
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

TEXTS = [
    "The film, in 1999, was a fine and funny thing!",
    "A dull story",
    "42 and the of",
    "an extraordinary film",
    "dull",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    words = "the film in was a fine and funny thing dull story an of train bus station actor play"
    letters = [f"{letter} q{letter}" for letter in string.ascii_lowercase]  # so that no word is unknown
    return train_wordpiece([words, *words.split(), *letters] * 3, vocab_size=150, min_frequency=4)


class Model:
    """Answers every masked place with the two tokens after the one that was masked, of all candidates; remembers."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.ids = np.flatnonzero(candidate_tokens(tokenizer))
        self.shapes: list[tuple[int, ...]] = []
        self.batches: list[Mapping[str, np.ndarray]] = []

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        self.shapes.append(inputs["input_ids"].shape)
        self.batches.append(inputs)
        # From what stands beside the mask, so that an answer belongs to its own row.
        return np.stack([self.ids[(ids.sum() + np.arange(2)) % len(self.ids)] for ids in inputs["input_ids"]])


def make(tokenizer: Tokenizer, nearest: object = None, **settings: object) -> tuple[Augmenter, Model]:
    model = Model(tokenizer)
    return Augmenter(tokenizer, model, nearest, Augmentation(**{"copies": 6, **settings})), model  # type: ignore[arg-type]


def shape(text: str) -> list[str]:
    """What stands between the words."""
    return re.split(r"[a-z]+", text.lower())


def test_words_that_may_be_replaced(tokenizer: Tokenizer) -> None:
    """Neither stop words, numbers nor punctuation; with p = 1 every other word that has candidates."""
    augmenter, _ = make(tokenizer, replace_probability=1.0, copies=8)
    for text, copies in zip(TEXTS, augmenter.augment(TEXTS), strict=True):
        assert len(set(copies)) == len(copies)
        assert text not in copies
        for copy in copies:
            assert shape(copy) == shape(text)
            for old, new in zip(re.findall("[A-Za-z]+", text), re.findall("[A-Za-z]+", copy), strict=True):
                may_change = old in ("film", "fine", "funny", "thing", "dull", "story")
                assert may_change or new == old
    copies = augmenter.augment(TEXTS)
    assert copies[2] == []
    assert {copy.split()[1] for copy in copies[3]} == {"extraordinary"}  # several pieces, and no vectors


def test_a_word_in_another_case_is_no_other_word(tokenizer: Tokenizer) -> None:
    """The model reads `Film` and `film` alike: where its answer is the word itself, the text stays as it is."""
    film = tokenizer.vocabulary()["film"]
    for text in ("FILM", "Film!", "fílm", unicodedata.normalize("NFD", "Fílm")):
        augmenter = Augmenter(tokenizer, lambda inputs: np.full((len(inputs["input_ids"]), 1), film))
        assert augmenter.augment([text]) == [[]]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_accent_goes_with_its_word(tokenizer: Tokenizer, form: str) -> None:
    """Also where it is a character of its own, inside the word or at its end."""
    text = unicodedata.normalize(form, "dull, fílm dulĺ story\u0301!")
    augmenter, _ = make(tokenizer, replace_probability=1.0)
    (copies,) = augmenter.augment([text])
    assert copies
    for copy in copies:
        assert re.fullmatch(r"[a-z]+, [a-z]+ [a-z]+ [a-z]+!", copy)


@pytest.mark.parametrize("apostrophe", ["'", "\u2019"])
def test_contractions_stay(tokenizer: Tokenizer, apostrophe: str) -> None:
    text = f"It{apostrophe}s fine, don{apostrophe}t we{apostrophe}ll n{apostrophe}t train{apostrophe}s"
    augmenter, _ = make(tokenizer, replace_probability=1.0)
    kept = re.escape(text).replace("fine", "[a-z]+").replace("train", "[a-z]+")
    (copies,) = augmenter.augment([text])
    assert copies
    for copy in copies:
        assert re.fullmatch(kept, copy)


def test_candidates_are_whole_words_of_letters(tokenizer: Tokenizer) -> None:
    tokens = {number: token for token, number in tokenizer.vocabulary().items()}
    words = {tokens[number] for number in np.flatnonzero(candidate_tokens(tokenizer))}
    assert {"film", "the", "a"} <= words
    assert all(word.isalpha() for word in words)
    assert not words & {"[MASK]", "[UNK]"}


def test_the_two_variants_inputs(tokenizer: Tokenizer) -> None:
    """Padded to the longest text of the batch."""
    of = tokenizer.vocabulary()
    ids = [of["dull"], of["story"]]
    start, end, mask, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id, 0
    expected = {
        "paper": [[start, mask, end, pad], [start, mask, ids[1], end], [start, ids[0], mask, end]],
        "authors": [
            [start, mask, end, ids[0], end, pad, pad],
            [start, mask, ids[1], end, *ids, end],
            [start, ids[0], mask, end, *ids, end],
        ],
    }
    for variant, rows in expected.items():
        augmenter, model = make(tokenizer, variant=variant)
        augmenter.augment(["dull story", "dull"])
        (batch,) = model.batches
        assert batch["input_ids"].tolist() == rows
        assert batch["attention_mask"].tolist() == [[int(token != pad) for token in row] for row in rows]
        assert batch["token_type_ids"].sum(axis=1).tolist() == ([0, 0, 0] if variant == "paper" else [2, 3, 3])
        assert batch["masked_positions"].tolist() == [[1], [1], [2]]


def test_words_of_several_pieces_come_from_the_vectors(tokenizer: Tokenizer) -> None:
    asked = []

    def nearest(words: list[str]) -> dict[str, list[str]]:
        asked.extend(words)
        return {"extraordinary": ["unusual", "rare"]}

    augmenter, _ = make(tokenizer, nearest, replace_probability=1.0)
    copies = augmenter.augment(["An Extraordinary, unforgettable film"])[0]
    assert asked == ["extraordinary", "unforgettable"]
    assert {copy.split()[1] for copy in copies} == {"unusual,", "rare,"}
    assert {copy.split()[2] for copy in copies} == {"unforgettable"}


def test_each_place_has_a_candidate_of_its_own(tokenizer: Tokenizer) -> None:
    """A copy's words are among the model's answers for exactly that place."""
    augmenter, model = make(tokenizer, replace_probability=1.0, batch_size=3, copies=20)
    tokens = {number: token for token, number in tokenizer.vocabulary().items()}
    for text in ("dull story", "fine film", "story"):
        (copies,) = augmenter.augment([text])
        ids, _ = tokenizer.words(text)
        for place in range(len(ids)):
            row = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
            row[place + 1] = tokenizer.mask_token_id
            answers = [tokens[number] for number in model({"input_ids": np.array([row])})[0]]
            assert {copy.split()[place] for copy in copies} <= set(answers)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_neither_batches_nor_company_matter(tokenizer: Tokenizer, batch_size: int) -> None:
    expected = make(tokenizer)[0].augment(TEXTS, first_row=10)
    augmenter, model = make(tokenizer, batch_size=batch_size)
    assert augmenter.augment(TEXTS[:2], first_row=10) + augmenter.augment(TEXTS[2:], first_row=12) == expected
    assert max(rows for rows, _ in model.shapes) <= batch_size
    assert all(batch["attention_mask"].sum(axis=1).max() == batch["input_ids"].shape[1] for batch in model.batches)
    assert make(tokenizer, seed=2)[0].augment(TEXTS, first_row=10) != expected
    assert make(tokenizer)[0].augment(TEXTS, first_row=11) != expected


def test_words_beyond_the_models_length_stay(tokenizer: Tokenizer) -> None:
    text = " ".join(["dull"] * 12)
    for variant, room, length in (("paper", 6, 8), ("authors", 2, 7)):
        augmenter, model = make(tokenizer, variant=variant, max_length=8, replace_probability=1.0)
        for copy in augmenter.augment([text])[0]:
            assert copy.split()[room:] == ["dull"] * (12 - room)
        assert {columns for _, columns in model.shapes} == {length}


def test_a_fraction_of_the_words_is_replaced(tokenizer: Tokenizer) -> None:
    text = " ".join(["zzzz"] * 200)
    augmenter, _ = make(tokenizer, lambda words: {word: ["other"] for word in words}, replace_probability=0.3, copies=5)
    (copies,) = augmenter.augment([text])
    assert len(copies) == 5
    share = np.mean([copy.split().count("other") / 200 for copy in copies])
    assert 0.25 < share < 0.35


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "mine"}, "variant: expected one of paper, authors, got 'mine'"),
        ({"copies": 0}, "copies: expected an integer >= 1, got 0"),
        ({"candidates": 0}, "candidates: expected an integer >= 1, got 0"),
        ({"max_length": 7}, "max_length: expected an integer >= 8, got 7"),
        ({"batch_size": 0}, "batch_size: expected an integer >= 1, got 0"),
        ({"seed": -1}, "seed: expected an integer >= 0, got -1"),
        ({"replace_probability": 0.0}, "replace_probability: expected a number > 0 and <= 1, got 0.0"),
        ({"replace_probability": 1.5}, "replace_probability: expected a number > 0 and <= 1, got 1.5"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Augmentation(**settings)  # type: ignore[arg-type]


def test_a_word_that_the_vocabulary_does_not_know_stays(tokenizer: Tokenizer) -> None:
    augmenter, model = make(tokenizer, replace_probability=1.0)
    (copies,) = augmenter.augment(["\u043a\u0438\u043d\u043e film"])
    assert copies
    assert all(copy.startswith("\u043a\u0438\u043d\u043e ") for copy in copies)
    assert [len(batch["input_ids"]) for batch in model.batches] == [1]
