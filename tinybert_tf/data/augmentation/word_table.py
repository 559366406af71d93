"""`WordTable`: words with vectors, and the words nearest to a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

WORDS_AT_A_TIME = 256


class WordTable:
    """Words and their vectors; words that differ only in case are one word, the first.

    Args:
        words: the words.
        vectors: `(words, size)` float32; they are scaled to length 1.

    Example:
        >>> table = WordTable(["good", "fine", "dull"], np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], np.float32))
        >>> table.nearest(["good"], count=1)
        {'good': ['fine']}
    """

    def __init__(self, words: Sequence[str], vectors: np.ndarray) -> None:
        self.words = list(words)
        self.vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self._place: dict[str, int] = {}
        for place, word in enumerate(self.words):
            self._place.setdefault(word.lower(), place)

    @classmethod
    def of_tokens(cls, words: Iterable[str], tokenizer: Tokenizer, embeddings: np.ndarray) -> WordTable:
        """Those of the words, in lowercase, that are one token, with its row of a model's table `(vocab_size, width)`.

        A word has only letters.
        """
        candidates = sorted({word.lower() for word in words if word.isalpha()})
        ids = [tokenizer.words(f" {word}")[0] for word in candidates]
        special = set(tokenizer.special_token_ids())
        token_of = {
            word: of_word[0]
            for word, of_word in zip(candidates, ids, strict=True)
            if len(of_word) == 1 and of_word[0] not in special
        }
        return cls(list(token_of), embeddings[list(token_of.values())])

    def nearest(self, words: Iterable[str], count: int) -> dict[str, list[str]]:
        """For each lowercase word that has a vector, the `count` other words of the highest cosine, nearest first."""
        known = [word for word in dict.fromkeys(words) if word in self._place]
        count = min(count, len(self.words) - 1)
        found = {}
        for start in range(0, len(known), WORDS_AT_A_TIME):
            chunk = known[start : start + WORDS_AT_A_TIME]
            places = [self._place[word] for word in chunk]
            cosines = self.vectors[places] @ self.vectors.T
            cosines[np.arange(len(places)), places] = -np.inf
            best = np.sort(np.argpartition(-cosines, count - 1, axis=1)[:, :count], axis=1)
            order = np.take_along_axis(
                best, np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1, kind="stable"), axis=1
            )
            found.update({word: [self.words[place] for place in row] for word, row in zip(chunk, order, strict=True)})
        return found
