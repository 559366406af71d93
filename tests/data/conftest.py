"""A corpus in which every word is a token of its own, so that ids say where they are from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tinybert_tf import Corpus, load_tokenizer
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

NUM_WORDS = 2000
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="session")
def word_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Tokens: 0 to 4 `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]`; then `w0`, `w1`, ...; then `##s`, `##ing`."""
    directory = tmp_path_factory.mktemp("words")
    words = [f"w{number}" for number in range(NUM_WORDS)]
    (directory / "vocab.txt").write_text("\n".join([*SPECIAL, *words, "##s", "##ing"]) + "\n")
    return load_tokenizer(directory)


@pytest.fixture
def make_corpus(word_tokenizer: Tokenizer, tmp_path: Path) -> Callable[[Sequence[Sequence[int]]], Corpus]:
    """Makes a corpus of documents, given by their sentences' numbers of tokens; token `i` of it has the id `5 + i`."""

    def make(documents: Sequence[Sequence[int]]) -> Corpus:
        words = iter(range(NUM_WORDS))
        texts = [
            "\n".join(" ".join(f"w{next(words)}" for _ in range(length)) for length in document)
            for document in documents
        ]
        path = tmp_path / "corpus.txt"
        path.write_text("\n\n".join(texts) + "\n")
        return Corpus.tokenize(path, word_tokenizer, tmp_path / "tokens")

    return make
