"""The rows of an epoch of pretraining: the tokens of a corpus that become segments A and B of each row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinybert_tf.data.corpus.corpus import Corpus

# One row, by places in `Corpus.tokens`. Segment B is empty in rows of one segment.
SEGMENTS = np.dtype(
    [
        ("a_start", np.int64),
        ("b_start", np.int64),
        ("a_length", np.int32),
        ("b_length", np.int32),
        ("is_random", np.bool_),  # B is from another document
    ]
)
# The number of documents that are cut at the same time, one row of each in every round.
DOCUMENTS_ABREAST = 4096
RANDOM_NEXT_PROBABILITY = 0.5


def draw_segments(
    corpus: Corpus,
    room: int,
    next_sentence: bool,
    short_sequence_probability: float,
    generator: np.random.Generator,
) -> Iterator[np.ndarray]:
    """One pass over a corpus: every sentence is in a segment A, or in the B that follows an A.

    It follows `create_pretraining_data.py` of google-research/bert (Devlin et al., arXiv 1810.04805, A.2). A row
    takes consecutive sentences of a document until they are `room` tokens or more, or the document ends; with
    `short_sequence_probability` until they are a random number of tokens from 2 to `room`. With `next_sentence` a
    random number of these sentences, at least one, are A. The others are B; or, with probability 0.5 or if there are
    no others, B is from another document and the others begin the next row. Without it, all of them are A. A row that
    is too long is shortened, the longer segment first, each token from a random end.

    Two things differ: whether a row is short is drawn for each row, not for each document, so that a long document
    is not short as a whole; and a random B begins at any sentence of the other documents with the same probability, so
    that short documents do not come more often than they are long (as in the BERT script of Hugging Face and in
    TinyBERT's).

    Args:
        corpus: the corpus; with `next_sentence` of at least two documents.
        room: the most tokens of A and B together, at least 2.
        next_sentence: whether rows have two segments or only A.
        short_sequence_probability: the probability that a row is not filled up, in [0, 1].
        generator: the source of all draws.

    Yields:
        Arrays of `SEGMENTS`, the next row of each of many documents. Memory does not grow with the corpus.
    """
    documents = corpus.document_offsets
    num_begun = min(DOCUMENTS_ABREAST, corpus.num_documents)
    abreast = np.arange(num_begun)
    position = documents[abreast]  # the first sentence of each document's next row
    while len(abreast):
        start, end = documents[abreast], documents[abreast + 1]
        is_short = generator.random(len(abreast)) < short_sequence_probability
        target = np.where(is_short, generator.integers(2, room + 1, len(abreast)), room)
        chunk_end = _first_end(corpus, position, target, end)
        if next_sentence:
            rows, position = _pairs(corpus, start, end, position, chunk_end, target, generator)
        else:
            rows, position = _token_rows(corpus, position, chunk_end, chunk_end, chunk_end), chunk_end
        _shorten(rows, room, generator)
        yield rows
        is_open = position < end
        begun = np.arange(num_begun, min(num_begun + len(abreast) - is_open.sum(), corpus.num_documents))
        num_begun += len(begun)
        abreast = np.concatenate([abreast[is_open], begun])
        position = np.concatenate([position[is_open], documents[begun]])


def _pairs(
    corpus: Corpus,
    start: np.ndarray,
    end: np.ndarray,
    position: np.ndarray,
    chunk_end: np.ndarray,
    target: np.ndarray,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A row of each document (sentences `start` to `end`), and the first sentence of its next row."""
    sentences = corpus.sentence_offsets
    num_sentences = chunk_end - position
    a_end = position + generator.integers(1, np.maximum(num_sentences, 2))
    is_random = (num_sentences == 1) | (generator.random(len(position)) < RANDOM_NEXT_PROBABILITY)
    # A sentence of any other document: the numbers from the document's start on skip its own sentences.
    elsewhere = generator.integers(0, corpus.num_sentences - (end - start))
    elsewhere += (elsewhere >= start) * (end - start)
    elsewhere_end = corpus.document_offsets[np.searchsorted(corpus.document_offsets, elsewhere, side="right")]
    b_target = target - (sentences[a_end] - sentences[position])
    b_start = np.where(is_random, elsewhere, a_end)
    b_end = np.where(is_random, _first_end(corpus, elsewhere, b_target, elsewhere_end), chunk_end)
    rows = _token_rows(corpus, position, a_end, b_start, b_end)
    rows["is_random"] = is_random
    return rows, np.where(is_random, a_end, chunk_end)


def _first_end(corpus: Corpus, start: np.ndarray, num_tokens: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """The end (exclusive) of the fewest sentences from `start` on that have `num_tokens`; at least one sentence."""
    sentences = corpus.sentence_offsets
    end = np.searchsorted(sentences, sentences[start] + num_tokens)
    return np.clip(end, start + 1, limit)


def _token_rows(
    corpus: Corpus, a_start: np.ndarray, a_end: np.ndarray, b_start: np.ndarray, b_end: np.ndarray
) -> np.ndarray:
    """Rows of `SEGMENTS` from numbers of sentences."""
    sentences = corpus.sentence_offsets
    rows = np.zeros(len(a_start), SEGMENTS)
    rows["a_start"], rows["b_start"] = sentences[a_start], sentences[b_start]
    rows["a_length"], rows["b_length"] = sentences[a_end] - rows["a_start"], sentences[b_end] - rows["b_start"]
    return rows


def _shorten(rows: np.ndarray, room: int, generator: np.random.Generator) -> None:
    """Take tokens from a random end of the longer segment, one by one, until both have `room`."""
    a_length = np.minimum(rows["a_length"], np.maximum(room - rows["b_length"], (room + 1) // 2))
    b_length = np.minimum(rows["b_length"], room - a_length)
    for name, length in (("a", a_length), ("b", b_length)):
        rows[f"{name}_start"] += generator.binomial(rows[f"{name}_length"] - length, 0.5)
        rows[f"{name}_length"] = length
