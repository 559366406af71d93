"""TinyBERT's data augmentation: copies of a text in which words are replaced by words that fit in their place.

Source: Jiao et al., arXiv 1909.10351, Algorithm 1, and the authors' `data_augmentation.py`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from tinybert_tf.data.corpus.masking import MaskingVocabulary
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.errors import InputError

VARIANTS = ("paper", "authors")
# Pieces of contractions such as "don't", which no word can replace; the authors' stop words have them too.
STOP_WORDS = ENGLISH_STOP_WORDS | frozenset({
    "ain", "aren", "couldn", "d", "didn", "doesn", "don", "hadn", "hasn", "haven", "isn", "ll", "m", "mightn", "mustn",
    "n", "needn", "re", "s", "shan", "shouldn", "t", "ve", "wasn", "weren", "won", "wouldn",
})  # fmt: skip

# From `input_ids`, `attention_mask`, `token_type_ids` `(batch, length)` and `masked_positions` `(batch, 1)` to the
# likeliest tokens there, the likeliest first, `(batch, candidates)`.
PredictTokens = Callable[[Mapping[str, np.ndarray]], np.ndarray]
# From words to the words nearest to each; a word without any is left out.
NearestWords = Callable[[Sequence[str]], Mapping[str, Sequence[str]]]

# The token ids of a text, and the place of the masked one.
Query = tuple[Sequence[int], int]


@dataclass(frozen=True)
class Augmentation:
    """How texts are augmented.

    `variant`: the input of the masked LM, either the text with a word masked (`paper`), or that and the whole text as a
    second segment (`authors`), which shows it the word. `copies`: copies of each text (the paper's N_a).
    `replace_probability`: the probability that a word of a copy is replaced (p_t). `candidates`: the number of words
    that may replace one (K). `max_length`: tokens that the masked LM sees; later words of one token stay. `batch_size`:
    masked words in one batch. `seed`: the seed of all choices.

    Raises:
        InputError: a value out of range.
    """

    variant: str = "paper"
    copies: int = 20
    replace_probability: float = 0.4
    candidates: int = 15
    max_length: int = 128
    batch_size: int = 64
    seed: int = 1

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise InputError(f"variant: expected one of {', '.join(VARIANTS)}, got {self.variant!r}")
        for name, least in (("copies", 1), ("candidates", 1), ("max_length", 8), ("batch_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected an integer >= {least}, got {getattr(self, name)}")
        if not 0 < self.replace_probability <= 1:
            raise InputError(f"replace_probability: expected a number > 0 and <= 1, got {self.replace_probability}")


@dataclass(frozen=True)
class _Word:
    """A word that may be replaced: its place in the text, and in the tokens, `pieces` of them."""

    start: int
    end: int
    token: int
    pieces: int


class Augmenter:
    """Augments texts, the masked words of many of them in one batch.

    A word is replaced if it has only letters and is neither an English stop word (scikit-learn's) nor part of a
    contraction (`don't`). A word of one token is replaced by one of the masked LM's likeliest words in its place, given
    the original's other words (as in the authors' code, each word is asked for once). A word of several pieces is
    replaced by one of the nearest words in a table of vectors. A word that the vocabulary does not have stays.

    Args:
        tokenizer: the masked LM's tokenizer.
        predict: the masked LM; for a `MaskedLM`, use `PredictMasked` of `tinybert_tf.pipeline.augment`.
        nearest: the table of word vectors; without one, words of several pieces stay.
        settings: how texts are augmented; by default `Augmentation()`.

    Example:
        >>> from tinybert_tf.data.tokenizers.tokenizer import train_wordpiece
        >>> tokenizer = train_wordpiece(["a fine film", "a dull film"], vocab_size=100, min_frequency=1)
        >>> dull = tokenizer.vocabulary()["dull"]
        >>> augmenter = Augmenter(tokenizer, lambda inputs: np.full((len(inputs["input_ids"]), 1), dull))
        >>> sorted(augmenter.augment(["A fine film!"])[0])
        ['A dull dull!', 'A dull film!', 'A fine dull!']
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        predict: PredictTokens,
        nearest: NearestWords | None = None,
        settings: Augmentation | None = None,
    ) -> None:
        self.settings = settings or Augmentation()
        self._tokenizer = tokenizer
        self._predict = predict
        self._nearest = nearest
        self._special = set(tokenizer.special_token_ids())  # a word can be `[UNK]`
        self._token_of = {number: token for token, number in tokenizer.vocabulary().items()}

    def augment(self, texts: Sequence[str], first_row: int = 0) -> list[list[str]]:
        """Distinct copies of each text, at most `copies`, in the order of their draws, without the text itself.

        The draws of text `i` depend on its row `first_row + i`, not on the other texts.
        """
        encoded = [self._tokenizer.words(text) for text in texts]
        words = [self._replaceable(text, spans) for text, (_, spans) in zip(texts, encoded, strict=True)]
        candidates = self._candidates(texts, [ids for ids, _ in encoded], words)
        return [
            self._copies(text, ours, theirs, first_row + row)
            for row, (text, ours, theirs) in enumerate(zip(texts, words, candidates, strict=True))
        ]

    def _replaceable(self, text: str, spans: Sequence[tuple[int, int, int, int]]) -> list[_Word]:
        words = []
        for start, end, token, pieces in spans:
            while end < len(text) and unicodedata.combining(text[end]):
                end += 1  # an accent, a character of its own behind its letter, belongs to the word
            spelled = unicodedata.normalize("NFC", text[start:end])
            if spelled.isalpha() and spelled.lower() not in STOP_WORDS:
                words.append(_Word(start, end, token, pieces))
        return words

    def _candidates(
        self, texts: Sequence[str], token_ids: Sequence[Sequence[int]], words: Sequence[Sequence[_Word]]
    ) -> list[list[Sequence[str]]]:
        """For each word the words that may replace it; empty if there are none."""
        found: list[list[Sequence[str]]] = [[()] * len(ours) for ours in words]
        places = [(row, number) for row, ours in enumerate(words) for number in range(len(ours))]
        masked: dict[tuple[int, int], Query] = {}
        spelled: dict[tuple[int, int], str] = {}
        for row, number in places:
            word = words[row][number]
            if word.pieces > 1:
                spelled[row, number] = unicodedata.normalize("NFC", texts[row][word.start : word.end]).lower()
            elif word.token < self._room() and token_ids[row][word.token] not in self._special:
                masked[row, number] = token_ids[row], word.token
        for (row, number), tokens in zip(masked, self._likeliest(list(masked.values())), strict=True):
            word = words[row][number]
            # The word itself keeps its spelling: in another case the copy would be the same text to the model.
            spelling = {token_ids[row][word.token]: texts[row][word.start : word.end]}
            found[row][number] = [spelling.get(int(token), self._token_of[int(token)]) for token in tokens]
        nearest = {} if self._nearest is None else self._nearest(sorted(set(spelled.values())))
        for (row, number), text in spelled.items():
            found[row][number] = nearest.get(text, ())
        return found

    def _room(self) -> int:
        """The number of a text's tokens that the masked LM sees, without special tokens."""
        length = self.settings.max_length
        return length - 2 if self.settings.variant == "paper" else (length - 3) // 2

    def _likeliest(self, queries: Sequence[Query]) -> list[np.ndarray]:
        """The masked LM's answers; texts of similar length share a batch, so that there is little padding."""
        answers: list[np.ndarray] = [np.empty(0, np.int32)] * len(queries)
        size = self.settings.batch_size
        order = sorted(range(len(queries)), key=lambda place: len(queries[place][0]))
        for start in range(0, len(order), size):
            places = order[start : start + size]
            batch = [queries[place] for place in places]
            # The last batch is not filled up to the others' size: it has the longest texts.
            for place, answer in zip(places, self._predict(self._inputs(batch)), strict=True):
                answers[place] = answer
        return answers

    def _inputs(self, queries: Sequence[Query]) -> dict[str, np.ndarray]:
        tokenizer, room = self._tokenizer, self._room()
        texts = [ids[:room] for ids, _ in queries]
        segments = 1 if self.settings.variant == "paper" else 2
        length = max(1 + segments * (len(ids) + 1) for ids in texts)
        input_ids = np.full((len(texts), length), tokenizer.pad_token_id, np.int32)
        attention_mask, token_type_ids = np.zeros_like(input_ids), np.zeros_like(input_ids)
        positions = np.zeros((len(texts), 1), np.int32)
        for row, (ids, (_, token)) in enumerate(zip(texts, queries, strict=True)):
            first = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
            second = [] if segments == 1 else [*ids, tokenizer.sep_token_id]
            end = len(first) + len(second)
            input_ids[row, :end] = first + second
            attention_mask[row, :end] = 1
            token_type_ids[row, len(first) : end] = 1
            positions[row, 0] = token + 1
            input_ids[row, token + 1] = tokenizer.mask_token_id
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "masked_positions": positions,
        }

    def _copies(self, text: str, words: Sequence[_Word], candidates: Sequence[Sequence[str]], row: int) -> list[str]:
        generator = np.random.default_rng((self.settings.seed, row))
        copies: dict[str, None] = {}
        for _ in range(self.settings.copies):
            is_replaced = generator.random(len(words)) < self.settings.replace_probability
            choices = generator.random(len(words))
            parts, end = [], 0
            for word, options, replaced, choice in zip(words, candidates, is_replaced, choices, strict=True):
                if replaced and options:
                    parts += [text[end : word.start], options[int(choice * len(options))]]
                    end = word.end
            copies["".join([*parts, text[end:]])] = None
        copies.pop(text, None)
        return list(copies)


def candidate_tokens(tokenizer: Tokenizer) -> np.ndarray:
    """Which tokens may replace a word, `(vocab_size,)` bool: whole words of letters."""
    vocabulary = MaskingVocabulary(tokenizer)
    is_word = np.zeros(tokenizer.vocab_size, bool)
    for token, number in tokenizer.vocabulary().items():
        is_word[number] = token.isalpha()
    return is_word & ~vocabulary.is_special & ~vocabulary.continues_word
