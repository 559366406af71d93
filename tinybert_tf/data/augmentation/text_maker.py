"""`TextMaker`: makes texts from texts, for a teacher to answer: parts, mixtures, and texts with other words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Words = tuple[str, ...]
# A text, or the two texts of a pair, as words.
Parts = tuple[Words, ...]

# The probability that a word is replaced in a text with other words.
REPLACED = 0.3


# Scripts that are written without spaces: each of their characters is a word here.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_SPACE_BETWEEN = re.compile(f"(?<=[{_UNSPACED}]) (?=[{_UNSPACED}])")


def split_words(text: str) -> Words:
    """The words of a text, at spaces; a character of a script without spaces, such as Chinese, is a word.

    Example:
        >>> split_words("a fine film.")
        ('a', 'fine', 'film.')
    """
    return tuple(_WORD.findall(text))


def join_words(words: Words) -> str:
    """The text of words: spaces between them, but not inside of Chinese and its like."""
    return _SPACE_BETWEEN.sub("", " ".join(words))


@dataclass(frozen=True)
class TextMaker:
    """Makes new texts from the texts of a data set. They need no sense of their own: a teacher answers any text.

    Each new text is made of one text, in one of three ways, which are equally frequent: a contiguous part of it; its
    beginning with the end of another text; or the text with some words replaced by others that `nearest` names. In a
    pair, one of its two texts is changed. Parts teach what the words of a text say by themselves, as n-grams do in
    Tang et al. 2019 (arXiv 1903.12136, section 3.3).

    Args:
        texts: the texts, each as its parts, and each part as its words.
        nearest: for words in lowercase, those that may replace them; a word without an entry stays.
        seed: the seed of all draws.

    Example:
        >>> maker = TextMaker([(("a", "fine", "film"),), (("a", "dull", "film"),)], {"dull": ["boring"]}, seed=3)
        >>> [" ".join(words) for (words,) in maker.texts_made(12)]
        ['a', 'a boring film', 'film', 'a a fine']
    """

    texts: Sequence[Parts]
    nearest: Mapping[str, Sequence[str]]
    seed: int = 1

    def texts_made(self, count: int) -> Iterator[Parts]:
        """Distinct new texts, none of them one of `texts`.

        At most `count`: the texts take turns to be changed, and a draw that gives nothing new is dropped.
        """
        generator = np.random.default_rng(self.seed)
        seen = set(self.texts)
        for turn in range(count):
            made = self._made(self.texts[turn % len(self.texts)], generator)
            if made not in seen:
                seen.add(made)
                yield made

    def _made(self, text: Parts, generator: np.random.Generator) -> Parts:
        """One new text; `text` itself if the draw changes nothing."""
        way = WAYS[generator.integers(len(WAYS))]
        place = int(generator.integers(len(text)))
        return (*text[:place], way(self, text[place], generator), *text[place + 1 :])

    def _part(self, words: Words, generator: np.random.Generator) -> Words:
        """A contiguous part, of any length."""
        length = int(generator.integers(1, len(words) + 1))
        start = int(generator.integers(len(words) - length + 1))
        return words[start : start + length]

    def _mixture(self, words: Words, generator: np.random.Generator) -> Words:
        """The beginning of the words and the end of another text's, no longer than the longer one."""
        other_text = self.texts[int(generator.integers(len(self.texts)))]
        other = other_text[int(generator.integers(len(other_text)))]
        kept = int(generator.integers(1, len(words) + 1))
        start = int(generator.integers(len(other)))
        return (words[:kept] + other[start:])[: max(len(words), len(other))]

    def _with_other_words(self, words: Words, generator: np.random.Generator) -> Words:
        """The words, some replaced by one of their nearest."""
        replaced, choices = generator.random(len(words)) < REPLACED, generator.random(len(words))

        def chosen(word: str, choice: float) -> str:
            options = self.nearest.get(word.lower(), ())
            return options[int(choice * len(options))] if options else word

        triples = zip(words, replaced, choices, strict=True)
        return tuple(chosen(word, choice) if is_replaced else word for word, is_replaced, choice in triples)


WAYS: tuple[Callable[[TextMaker, Words, np.random.Generator], Words], ...] = (
    TextMaker._part,
    TextMaker._mixture,
    TextMaker._with_other_words,
)
