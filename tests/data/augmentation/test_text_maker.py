"""Texts made of texts: what each way can give, drawn once for a seed, and never a text that is there."""

from __future__ import annotations

import pytest

from tinybert_tf.data.augmentation.text_maker import TextMaker, Words, join_words, split_words

SHORT: Words = ("a", "fine", "film")
LONG: Words = ("this", "dull", "story", "never", "ends")
NEAREST = {"dull": ["boring", "slow"], "film": ["movie"]}


def is_part(words: Words, whole: Words) -> bool:
    return any(whole[start : start + len(words)] == words for start in range(len(whole)))


def is_mixture(words: Words) -> bool:
    """Whether it is a beginning of one text and a piece of another up to its end, which the longest length may cut."""
    texts = (SHORT, LONG)
    return any(
        words[:kept] == one[:kept] and is_part(words[kept:], other)
        for one in texts
        for other in texts
        for kept in range(1, len(words) + 1)
    )


def has_other_words(words: Words) -> bool:
    return any(
        len(words) == len(text)
        and all(made in (word, *NEAREST.get(word, ())) for made, word in zip(words, text, strict=True))
        for text in (SHORT, LONG)
    )


def test_each_way_and_nothing_else() -> None:
    made = list(TextMaker([(SHORT,), (LONG,)], NEAREST, seed=3).texts_made(4000))
    assert len(made) == len(set(made))
    assert not {(SHORT,), (LONG,)}.intersection(made)
    words = [text for (text,) in made]
    assert all(map(len, words))
    assert all(
        is_part(text, SHORT) or is_part(text, LONG) or is_mixture(text) or has_other_words(text) for text in words
    )
    assert ("dull", "story") in words  # a part from the middle
    assert ("a", "never", "ends") in words  # a beginning and an end
    assert ("this", "slow", "story", "never", "ends") in words
    assert max(map(len, words)) <= len(LONG)


def test_a_seed_decides() -> None:
    def made(seed: int) -> list[tuple[Words, ...]]:
        return list(TextMaker([(SHORT,), (LONG,)], NEAREST, seed).texts_made(20))

    assert made(1) == made(1) != made(2)


def test_one_text_of_a_pair_changes() -> None:
    pairs = [(SHORT, LONG), (LONG, SHORT)]
    made = list(TextMaker(pairs, NEAREST, seed=1).texts_made(200))
    assert {sum(one == other for one, other in zip(text, pair, strict=True)) for text in made for pair in pairs} <= {
        0,
        1,
    }
    assert all(any(one == other for pair in pairs for one, other in zip(text, pair, strict=True)) for text in made)


def test_a_text_of_one_word_gives_no_copy_of_itself() -> None:
    assert list(TextMaker([(("film",),)], {}, seed=1).texts_made(50)) == []


@pytest.mark.parametrize("text", ["a fine film .", "我喜欢这部电影", "我看 film 两次"])
def test_words_and_back(text: str) -> None:
    assert join_words(split_words(text)) == text


def test_characters_of_chinese_are_words() -> None:
    assert split_words("好film 看") == ("好", "film", "看")
