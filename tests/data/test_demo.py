import re
from collections import Counter

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from tinybert_tf import InputError
from tinybert_tf.data.demo import FILM, PRODUCT, make_reviews


def test_reviews_are_a_function_of_the_arguments():
    assert make_reviews(200, seed=3) == make_reviews(200, seed=3)
    assert make_reviews(200, seed=3)[0] != make_reviews(200, seed=4)[0]
    # Golden: the numbers in the documentation were measured on these sentences.
    texts, labels = make_reviews(2, seed=1)
    assert texts == [
        "The second half is quite engaging, and on top of that the script is rewarding.",
        "This is a gripping comedy, but this is a messy comedy.",
    ]
    assert labels == ["positive", "negative"]


def test_reviews_are_balanced_distinct_and_of_reading_length():
    texts, labels = make_reviews(5001, seed=1)
    assert len(texts) == len(labels) == 5001
    assert len({text.lower() for text in texts}) == 5001
    counts = Counter(labels)
    assert set(counts) == {"positive", "negative"}
    assert abs(counts["positive"] - counts["negative"]) <= 1
    assert all(first != second for first, second in zip(labels[:-1:2], labels[1::2], strict=True))
    assert all(8 <= len(text.split()) <= 25 for text in texts)


def test_every_rule_is_used_and_reads_like_english():
    texts, _ = make_reviews(5000, seed=2)
    everything = "\n".join(texts)
    for fragment in ("hardly", "anything but", "far from", "Although", "even though", "did not find"):
        assert fragment in everything
    assert "{" not in everything
    assert not re.search(r"\b[Aa] ([aeio]|ug|un)|\ban (?![aeiou])|an use", everything)


def test_the_grammar_decides():
    texts, labels = make_reviews(20_000, seed=5)
    good = set(FILM["adjective"][0].split(", "))

    def labels_by_adjective(pattern: str) -> set[tuple[bool, str]]:
        """(whether the adjective that `pattern` captures is a good one, label) of the film reviews it matches."""
        known = good | set(FILM["adjective"][1].split(", "))
        found = ((re.fullmatch(pattern, text), label) for text, label in zip(texts, labels, strict=True))
        return {(match[1] in good, label) for match, label in found if match and match[1] in known}

    as_it_says = {(True, "positive"), (False, "negative")}
    turned_round = {(True, "negative"), (False, "positive")}
    assert (
        labels_by_adjective(r"Although .*, the \w+ is (?:\w+ )?(?<!not )(?<!hardly )(?<!never )(\w+)\.") == as_it_says
    )
    assert labels_by_adjective(r"Although .*, the \w+ is hardly (\w+)\.") == turned_round
    assert labels_by_adjective(r"The \w+ is (\w+), even though .*") == as_it_says
    assert labels_by_adjective(r"The \w+ is (\w+)(?:, but|, yet|;) .*") == turned_round
    assert labels_by_adjective(r"\w+ \w+ \w+ it and was wrong, because .* is anything but (\w+)\.") <= turned_round


def test_counting_words_does_not_find_the_label():
    texts, labels = make_reviews(11_000, seed=1)
    counter = CountVectorizer()
    model = LogisticRegression(max_iter=1000).fit(counter.fit_transform(texts[:10_000]), labels[:10_000])
    accuracy = model.score(counter.transform(texts[10_000:]), labels[10_000:])
    assert 0.55 < accuracy < 0.75


def test_both_opinions_have_as_many_words():
    for kind in (FILM, PRODUCT):
        positive, negative = (set(side.split(", ")) for side in kind["adjective"])
        assert len(positive) == len(negative) == 20
        assert not positive & negative


@pytest.mark.parametrize("num_reviews", [0, 10_000_000])
def test_a_number_of_reviews_that_cannot_be_made(num_reviews):
    with pytest.raises(InputError, match=f"num_reviews: expected an integer from 1 to 500000, got {num_reviews}"):
        make_reviews(num_reviews, seed=1)
