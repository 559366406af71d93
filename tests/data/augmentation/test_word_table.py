"""Words of a vocabulary with rows of a table: the nearest by hand; words of several tokens have no row."""

from __future__ import annotations

import numpy as np

from tinybert_tf import train_wordpiece
from tinybert_tf.data.augmentation.word_table import WordTable


def test_words_that_are_one_token() -> None:
    tokenizer = train_wordpiece(["good fine dull unfilmable"] * 3, vocab_size=40, min_frequency=2)
    ids = tokenizer.vocabulary()
    embeddings = np.zeros((tokenizer.vocab_size, 2), np.float32)
    one_token = [word for word in ("good", "fine", "dull") if word in ids]
    assert one_token, "the vocabulary has no whole word"
    for angle, word in enumerate(one_token):
        embeddings[ids[word]] = np.cos(angle / 2), np.sin(angle / 2)
    table = WordTable.of_tokens(["Good", "fine", "dull", "dull", "xyzzyq", "fine.", "7"], tokenizer, embeddings)
    assert sorted(table.words) == sorted(one_token)
    first, *others = one_token
    assert table.nearest([first, "xyzzyq"], 5) == {first: others}
