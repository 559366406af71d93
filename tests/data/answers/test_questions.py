"""Questions to rows of tokens with positions, and from logits back to answers."""

from __future__ import annotations

import numpy as np
import pytest
import tokenizers

from tinybert_tf import InputError, QuestionDataset, train_wordpiece
from tinybert_tf.data.answers.questions import LONGEST_ANSWER, EncodedQuestions
from tinybert_tf.data.answers.squad import Question
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

WORDS = [f"{first}{second}" for first in "abcdefg" for second in "xyz"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_wordpiece([" ".join([*WORDS, "who"])] * 9, vocab_size=200)


def encoded(tokenizer: Tokenizer, *questions: Question, max_length: int = 32) -> EncodedQuestions:
    return QuestionDataset(list(questions), "questions").encode(tokenizer, max_length)


def with_answer(text: str, start: int, context: str) -> Question:
    return Question("who", context, [(text, start)], "questions[0]")


def logits_of(rows: EncodedQuestions, *spans: tuple[int, int, int, float]) -> np.ndarray:
    """0 but for the start and the end, each half of what (row, first, last, worth) says."""
    logits = np.zeros((len(rows.tokens), int(rows.tokens.lengths.max()), 2), np.float32)
    for row, first, last, worth in spans:
        logits[row, first, 0] += worth / 2
        logits[row, last, 1] += worth / 2
    return logits


def test_the_first_and_last_token_of_the_answer(tokenizer: Tokenizer) -> None:
    rows = encoded(tokenizer, with_answer("ay az", 3, "ax ay az bx"), Question("who", "ax ay", [], "questions[1]"))
    assert rows.tokens.lengths.tolist() == [8, 6]  # [CLS] who [SEP] ax ay az bx [SEP]
    assert np.asarray(rows.labels).tolist() == [[4, 5], [0, 0]]
    assert rows.expected == [["ay az"], [""]]


def test_a_long_text_is_read_in_parts_that_overlap(tokenizer: Tokenizer) -> None:
    context = " ".join(WORDS[:10])
    rows = encoded(tokenizer, with_answer(WORDS[8], context.index(WORDS[8]), context), max_length=10)
    # Of 10 tokens 6 are left beside [CLS] who [SEP] [SEP]; the next part begins 4 further.
    assert rows.windows.parts.tolist() == [0, 4]
    assert np.asarray(rows.labels).tolist() == [[0, 0], [3 + 4, 3 + 4]]


def test_the_best_span_of_all_parts(tokenizer: Tokenizer) -> None:
    context = " ".join(WORDS[:10])
    rows = encoded(tokenizer, with_answer(WORDS[8], context.index(WORDS[8]), context), max_length=10)
    logits = logits_of(rows, (0, 3, 4, 5.0), (1, 6, 7, 8.0), (0, 0, 0, 6.0), (1, 0, 0, 2.0))
    assert rows.answers(logits) == [f"{WORDS[7]} {WORDS[8]}"]
    (prediction,) = rows.predictions(logits)
    assert prediction["answer"] == context[prediction["start"] : prediction["end"]] == f"{WORDS[7]} {WORDS[8]}"
    assert len(prediction["n_best"]) == 5
    assert prediction["n_best"][0] == {name: prediction[name] for name in ("answer", "score", "start", "end")}


def test_no_answer_where_the_first_tokens_of_all_parts_say_so(tokenizer: Tokenizer) -> None:
    rows = encoded(tokenizer, Question("who", " ".join(WORDS[:10]), [], "questions[0]"), max_length=10)
    spans = ((0, 3, 4, 5.0), (0, 0, 0, 9.0), (1, 0, 0, 8.0))
    assert rows.answers(logits_of(rows, *spans)) == [""]
    assert rows.predictions(logits_of(rows, *spans))[0]["start"] is None
    assert rows.answers(logits_of(rows, *spans[:2])) == [" ".join(WORDS[:2])]  # the second part does not


def test_a_file_with_an_answer_to_every_question_has_no_other_ones(tokenizer: Tokenizer) -> None:
    context = " ".join(WORDS[:10])
    answered = with_answer(WORDS[0], 0, context)
    spans = ((0, 3, 4, 5.0), (0, 0, 0, 9.0))
    one = encoded(tokenizer, answered, max_length=32)
    assert one.answers(logits_of(one, *spans)) == [" ".join(WORDS[:2])]
    two = encoded(tokenizer, answered, Question("who", context, [], "questions[1]"), max_length=32)
    assert two.answers(logits_of(two, *spans))[0] == ""


def test_an_answer_ends_behind_its_start_and_is_not_too_long(tokenizer: Tokenizer) -> None:
    rows = encoded(tokenizer, Question("who", " ".join(WORDS * 2), [], "questions[0]"), max_length=64)
    backwards = logits_of(rows, (0, 5, 6, 3.0), (0, 9, 9, 0.0))
    backwards[0, 8, 0], backwards[0, 4, 1] = 4.0, 4.0
    first, last = (int(np.argmax(backwards[0, :, column])) for column in (0, 1))
    assert first > last
    (answer,) = rows.answers(backwards)
    assert answer
    far = logits_of(rows, (0, 3, 3 + LONGEST_ANSWER, 8.0))
    assert len(rows.answers(far)[0].split()) <= LONGEST_ANSWER
    near = logits_of(rows, (0, 3, 2 + LONGEST_ANSWER, 8.0))
    assert len(rows.answers(near)[0].split()) == LONGEST_ANSWER


def test_a_tokenizer_that_has_no_words() -> None:
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE({"<s>": 0, "</s>": 1, "<pad>": 2, "<unk>": 3, "<mask>": 4}, [])
    )
    byte_level = Tokenizer(backend)
    with pytest.raises(InputError, match="a BPE tokenizer does not say which pieces are one word; expected a Word"):
        encoded(byte_level, Question("who", "ax", [], "questions[0]"))


def test_too_short_a_row(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="max_length=7 leaves no room for question and text; expected at least 8"):
        encoded(tokenizer, Question("who", "ax", [], "questions[0]"), max_length=7)
