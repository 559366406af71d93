"""Generated English reviews whose label is decided by their grammar, not by the words in them."""

from __future__ import annotations

import random
import re

from tinybert_tf.errors import InputError

# A grammar of opinions: "{clause}" has the opinion of the phrase it is part of, "{-clause}" the opposite one.
# "Although the plot is hollow, the acting is far from dull." is positive because its second clause is, and that one is
# because "far from" reverses "dull". A name that is listed twice is chosen twice as often.
PHRASES = {
    "review": [
        "{frame}, {clause}",
        "{frame}, {clause}",
        "{clause}, and {clause}",
        "{clause}, and on top of that {clause}",
        "{clause}, and what is more, {clause}",
        "{frame}, {clause}, and {clause}",
        # Opinions that agree, so that words tell a part of the label and a small model begins to learn.
        *["{clause}, and {clause}", "{frame}, {clause}, and {clause}"] * 4,
        "{-clause}, but {clause}",
        "{-clause}, yet {clause}",
        "{-clause}; all the same, {clause}",
        "although {-clause}, {clause}",
        "even if {-clause}, {clause}",
        "{clause}, even though {-clause}",
        "{clause}, although {frame} {-clause}",
        "{person} {liked} it; {frame}, {clause}",
        "{person} {-liked} it; for my part, {clause}",
        "{person} {-liked} it and was wrong, because {clause}",
    ],
    "clause": [
        "{claim}",
        "{claim}",
        "{claim}",
        "{claim}",
        "I found {subject} {degree} {adjective}",
        "I did not find {subject} {-adjective} at all",
    ],
    "claim": [*["{direct}"] * 4, "{reversed}"],
    "direct": [
        "{subject} is {adjective}",
        "{subject} is {degree} {adjective}",
        "this is {a thing}",
    ],
    "reversed": [
        "{subject} is not {-adjective}",
        "{subject} is hardly {-adjective}",
        "{subject} is anything but {-adjective}",
        "{subject} is far from {-adjective}",
    ],
    "a thing": ["a {adjective} {thing}", "a {degree} {adjective} {thing}"],
}

# Words, separated by commas: without an opinion, or with one as (positive, negative).
Words = dict[str, str | tuple[str, str]]
COMMON: Words = {
    "degree": "very, really, truly, quite, rather, remarkably",
    "person": "my sister, my brother, a friend of mine, a critic I follow, my neighbour, our teacher",
    "liked": ("loved, enjoyed, praised, admired", "hated, disliked, mocked, regretted"),
}
# A review is about one kind of thing, and keeps to its words.
FILM: Words = {
    "thing": "film, movie, picture, story, drama, comedy",
    "frame": (
        "all things considered, in the end, to my surprise, from the first minute on, for a film of this length, "
        "on a rainy Sunday, when the lights came on"
    ),
    "subject": (
        "the plot, the acting, the dialogue, the ending, the music, the pacing, the script, the camera work, "
        "the humour, the opening, the second half, the whole thing"
    ),
    "adjective": (
        "absorbing, brilliant, charming, clever, convincing, delightful, engaging, excellent, fresh, graceful, "
        "gripping, inspired, memorable, moving, rewarding, superb, thrilling, touching, vivid, witty",
        "awful, bland, boring, clumsy, contrived, dreadful, dreary, dull, forgettable, hollow, "
        "lazy, lifeless, messy, pointless, predictable, shallow, sloppy, stale, tedious, tiresome",
    ),
}
PRODUCT: Words = {
    "thing": "phone, radio, laptop, tablet, speaker, recorder",
    "frame": (
        "all things considered, in the end, to my surprise, from the first day on, for what it costs, "
        "after a week with it, when the box was open"
    ),
    "subject": (
        "the battery, the design, the case, the sound, the charger, the build, the manual, the display, "
        "the power switch, the stand, the finish, the whole thing"
    ),
    "adjective": (
        "brilliant, clever, dependable, durable, elegant, excellent, flawless, handy, impressive, outstanding, "
        "pleasing, practical, reliable, sleek, smart, solid, sturdy, superb, tidy, wonderful",
        "annoying, awful, awkward, cheap, clumsy, disappointing, dreadful, faulty, feeble, fiddly, "
        "flimsy, fragile, frustrating, poor, shoddy, sloppy, terrible, ugly, unreliable, useless",
    ),
}

SHORTEST, LONGEST = 8, 25  # words
LABELS = {True: "positive", False: "negative"}
# The grammar makes millions of reviews, but asking for nearly all of them would never end.
MOST_REVIEWS = 500_000


def make_reviews(num_reviews: int, seed: int) -> tuple[list[str], list[str]]:
    """`num_reviews` distinct film and product reviews, and "positive" or "negative" for each.

    A review has 8 to 25 words. Labels are free of noise. In each pair of rows (0 and 1, 2 and 3, ...) one is positive
    and one negative. The result is a function of the arguments alone. A count of words predicts about two
    labels in three; negation, contrast and other people's opinions decide the rest.

    Take train, dev and test sets as slices of one call: then no two of them share a review.

        >>> texts, labels = make_reviews(1200, seed=1)
        >>> train, dev = (texts[:1000], labels[:1000]), (texts[1000:], labels[1000:])
        >>> dev[1].count("positive")
        100

    Raises:
        InputError: `num_reviews` is not from 1 to 500,000.
    """
    if not 1 <= num_reviews <= MOST_REVIEWS:
        raise InputError(f"num_reviews: expected an integer from 1 to {MOST_REVIEWS}, got {num_reviews}")
    generator = random.Random(seed)
    reviews: dict[str, str] = {}
    while len(reviews) < num_reviews:
        positive_first = generator.random() < 0.5
        for positive in (positive_first, not positive_first):
            reviews[_new_review(generator, positive, reviews)] = LABELS[positive]
    return list(reviews)[:num_reviews], list(reviews.values())[:num_reviews]


def _new_review(generator: random.Random, positive: bool, known: dict[str, str]) -> str:
    while True:
        words = COMMON | generator.choice([FILM, PRODUCT])
        used: set[str] = set()
        words["thing"] = _choose("thing", positive, words, generator, used)
        phrase = _expand("review", positive, words, generator, used)
        # "an awful film", but "a useless phone".
        phrase = re.sub(r"\ba (?=[aeiou])(?!use)", "an ", phrase)
        review = phrase[0].upper() + phrase[1:] + "."
        if SHORTEST <= len(review.split()) <= LONGEST and review not in known:
            return review


def _expand(name: str, positive: bool, words: Words, generator: random.Random, used: set[str]) -> str:
    """One phrase or word for `name` that holds the given opinion."""
    if name not in PHRASES:
        return _choose(name, positive, words, generator, used)
    return re.sub(
        r"\{(-?)([a-z ]+)\}",
        lambda slot: _expand(slot[2], positive is not bool(slot[1]), words, generator, used),
        generator.choice(PHRASES[name]),
    )


def _choose(name: str, positive: bool, words: Words, generator: random.Random, used: set[str]) -> str:
    """A word that the review has not used yet, if there is one."""
    choices = words[name]
    side = choices if isinstance(choices, str) else choices[not positive]
    options = side.split(", ")
    word = generator.choice([option for option in options if option not in used] or options)
    used.add(word)
    return word
