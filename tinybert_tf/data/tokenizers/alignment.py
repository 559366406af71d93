"""Tokens aligned with their origin: the words of a sentence, the characters of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers

from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.errors import InputError

# The least `max_length`: [CLS], [SEP] and a piece; and for a question and a text.
SHORTEST = 3
SHORTEST_PAIR = 8


def encode_words(
    tokenizer: Tokenizer, sentences: Sequence[Sequence[str]], max_length: int
) -> tuple[TokenizedTexts, np.ndarray]:
    """Ids of sentences given as words, cut at `max_length` tokens, and the words' first pieces.

    Returns:
        The rows; and an array `(tokens,)` int32 over all rows: for the first piece of a word the word's number in its
        sentence, -1 for other pieces and special tokens.

    Raises:
        InputError: `max_length` leaves no room for text; the tokenizer is not a WordPiece one.
    """
    tokenizer.require_wordpiece()  # in others a word's pieces depend on the space before it
    if max_length < SHORTEST:
        raise InputError(f"max_length={max_length} leaves no room for text; expected at least {SHORTEST}")
    firsts: list[int] = []

    def noting_words() -> Iterator[list[tokenizers.Encoding]]:
        for chunk in tokenizer.encodings([list(words) for words in sentences], max_length, words=True):
            for encoding in chunk:
                before = [None, *encoding.word_ids]
                firsts.extend(
                    -1 if word is None or word == last else word
                    for last, word in zip(before, encoding.word_ids, strict=False)
                )
            yield chunk

    tokens = TokenizedTexts.of(noting_words())
    return tokens, np.array(firsts, np.int32)


@dataclass(frozen=True)
class Windows:
    """Pairs of a question and a text as rows of the question and a part of the text.

    `pairs`: the number of each row's pair; `begins`: the place in the row at which the part begins; `parts`: the number
    of the part's first token in its text; each `(rows,)`. `spans`: for each pair's text the first and the end character
    of each token, `(tokens, 2)`.
    """

    tokens: TokenizedTexts
    pairs: np.ndarray
    begins: np.ndarray
    parts: np.ndarray
    spans: list[np.ndarray]


def encode_windows(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], max_length: int) -> Windows:
    """Rows of at most `max_length` tokens, `[CLS] question [SEP] part [SEP]`, that together hold each whole text.

    Neighbours share a third of the room beside the question. A question takes at most half of a row, and is cut there.

    Raises:
        InputError: `max_length` leaves no room for both; the tokenizer is not a WordPiece one.
    """
    tokenizer.require_wordpiece()  # in others a word's pieces depend on the space before it
    if max_length < SHORTEST_PAIR:
        raise InputError(
            f"max_length={max_length} leaves no room for question and text; expected at least {SHORTEST_PAIR}"
        )
    questions = tokenizer.pieces_and_spans([question for question, _ in pairs])
    texts = tokenizer.pieces_and_spans([text for _, text in pairs])
    longest_question = (max_length - 3) // 2
    rows: list[tuple[int, int, int]] = []
    input_ids: list[int] = []
    token_type_ids: list[int] = []
    lengths: list[int] = []
    for pair, ((question, _), (text, _)) in enumerate(zip(questions, texts, strict=True)):
        first = [tokenizer.cls_token_id, *question[:longest_question], tokenizer.sep_token_id]
        room = max_length - len(first) - 1
        for part in _part_begins(len(text), room):
            second = [*text[part : part + room], tokenizer.sep_token_id]
            rows.append((pair, len(first), part))
            input_ids += first + second
            token_type_ids += [0] * len(first) + [1] * len(second)
            lengths.append(len(first) + len(second))
    tokens = TokenizedTexts(
        np.array(input_ids, np.int32),
        np.array(token_type_ids, np.int8),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        sum(len(question) > longest_question for question, _ in questions),
    )
    numbers, begins, parts = np.array(rows, np.int64).reshape(-1, 3).T
    return Windows(tokens, numbers, begins, parts, [spans for _, spans in texts])


def _part_begins(length: int, room: int) -> list[int]:
    """Where parts of `room` tokens begin; the last part ends with the text."""
    step = room - room // 3
    return list(range(0, max(length - room, 0) + step, step)) if length > room else [0]
