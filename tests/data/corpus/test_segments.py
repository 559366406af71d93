from collections.abc import Iterator

import numpy as np
import pytest

from tinybert_tf import Corpus
from tinybert_tf.data.corpus import segments
from tinybert_tf.data.corpus.segments import draw_segments

GENERATOR = np.random.default_rng(3)
# 30 documents of 1 to 12 sentences of 1 to 9 tokens; and the same with one token a sentence.
DOCUMENTS = [GENERATOR.integers(1, 10, GENERATOR.integers(1, 13)).tolist() for _ in range(30)]
SHORT_SENTENCES = [[1] * (5 * len(document)) for document in DOCUMENTS]
ROOM = 20


def cut(corpus: Corpus, room: int = ROOM, pairs: bool = True, short: float = 0.1, seed: int = 1) -> np.ndarray:
    return np.concatenate(list(draw_segments(corpus, room, pairs, short, np.random.default_rng(seed))))


def in_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(rows["a_start"], kind="stable")]


def document_of(corpus: Corpus, token: int) -> int:
    sentence = np.searchsorted(corpus.sentence_offsets, token, side="right") - 1
    return int(np.searchsorted(corpus.document_offsets, sentence, side="right") - 1)


def spans(rows: np.ndarray) -> Iterator[tuple[range, range, bool]]:
    for row in rows:
        a = range(row["a_start"], row["a_start"] + row["a_length"])
        yield a, range(row["b_start"], row["b_start"] + row["b_length"]), bool(row["is_random"])


@pytest.mark.parametrize("abreast", [1, 2, 7, 4096])
@pytest.mark.parametrize("pairs", [True, False])
def test_every_sentence_comes_once_in_the_order_of_its_document(make_corpus, monkeypatch, abreast, pairs):
    monkeypatch.setattr(segments, "DOCUMENTS_ABREAST", abreast)
    corpus = make_corpus(SHORT_SENTENCES)
    own = [
        token
        for a, b, is_random in spans(in_order(cut(corpus, pairs=pairs)))
        for token in [*a, *([] if is_random else b)]
    ]
    assert own == list(range(corpus.num_tokens))  # with one token a sentence nothing is too long


def test_single_segments_by_hand(make_corpus):
    rows = in_order(cut(make_corpus([[2, 2, 3], [1, 1, 1, 1, 1], [4]]), room=4, pairs=False, short=0.0))
    # Sentences 0 and 1 are four tokens; the third is alone; then four of five, the rest, and a sentence that fits.
    assert rows["a_start"].tolist() == [0, 4, 7, 11, 12]
    assert rows["a_length"].tolist() == [4, 3, 4, 1, 4]
    assert not rows["b_length"].any()
    assert not rows["is_random"].any()


def test_a_row_is_filled_until_it_is_full_or_the_document_ends(make_corpus):
    corpus = make_corpus(DOCUMENTS)
    ends = corpus.sentence_offsets[corpus.document_offsets]
    for a, _, _ in spans(cut(corpus, pairs=False, short=0.0)):
        assert len(a) == ROOM or a.stop in ends


def test_b_follows_a_or_is_from_another_document(make_corpus):
    corpus = make_corpus(SHORT_SENTENCES)
    rows = cut(corpus)
    for a, b, is_random in spans(rows):
        assert len(a) >= 1
        assert len(b) >= 1
        assert len(a) + len(b) <= ROOM
        assert document_of(corpus, a[0]) == document_of(corpus, a[-1])
        assert document_of(corpus, b[0]) == document_of(corpus, b[-1])
        if is_random:
            assert document_of(corpus, a[0]) != document_of(corpus, b[0])
        else:
            assert b.start == a.stop


def test_segments_stay_within_their_sentences_when_they_are_shortened(make_corpus):
    corpus = make_corpus([[30, 8, 25, 40], [50], [3, 60, 2]])
    lengths = set()
    for seed in range(50):
        for a, b, is_random in spans(cut(corpus, seed=seed)):
            lengths.add((len(a), len(b)))
            assert 1 <= len(a) <= ROOM - 1
            assert 1 <= len(b) <= ROOM - len(a)
            assert document_of(corpus, a[0]) == document_of(corpus, a[-1])
            assert (document_of(corpus, b[0]) != document_of(corpus, a[0])) == is_random
            assert is_random or b.start >= a.stop
    assert (ROOM // 2, ROOM // 2) in lengths


@pytest.mark.parametrize(
    ("a", "b", "kept"),
    [
        (3, 4, (3, 4)),
        (10, 10, (10, 10)),
        (15, 15, (10, 10)),
        (4, 90, (4, 16)),
        (90, 4, (16, 4)),
        (12, 10, (10, 10)),
        (10, 12, (10, 10)),
        (13, 9, (11, 9)),
        (90, 0, (20, 0)),
    ],
)
def test_the_longer_segment_is_shortened_first_and_at_random_ends(a, b, kept):
    rows = np.zeros(2000, segments.SEGMENTS)
    rows["a_start"], rows["b_start"], rows["a_length"], rows["b_length"] = 1000, 5000, a, b
    segments._shorten(rows, ROOM, np.random.default_rng(1))
    assert set(zip(rows["a_length"].tolist(), rows["b_length"].tolist(), strict=True)) == {kept}
    for name, begin, length, left in (("a", 1000, a, kept[0]), ("b", 5000, b, kept[1])):
        taken_in_front = rows[f"{name}_start"] - begin
        assert taken_in_front.min() >= 0
        assert taken_in_front.max() <= length - left
        assert taken_in_front.mean() == pytest.approx((length - left) / 2, abs=0.3)


def test_an_odd_room_leaves_the_odd_token_to_a():
    rows = np.zeros(1, segments.SEGMENTS)
    rows["a_length"] = rows["b_length"] = 100
    segments._shorten(rows, 125, np.random.default_rng(1))
    assert (rows["a_length"][0], rows["b_length"][0]) == (63, 62)


def test_half_of_the_rows_have_a_random_b_and_a_tenth_are_short(make_corpus):
    corpus = make_corpus([[1] * 500, [1] * 700])
    rows = np.concatenate([cut(corpus, seed=seed) for seed in range(40)])
    assert rows["is_random"].mean() == pytest.approx(0.5, abs=0.03)
    ends = corpus.sentence_offsets[corpus.document_offsets]
    b_ends = rows["b_start"] + rows["b_length"]
    inside = rows[~np.isin(b_ends, ends) & ~np.isin(rows["a_start"] + rows["a_length"], ends)]
    is_full = inside["a_length"] + inside["b_length"] == ROOM
    assert is_full.mean() == pytest.approx(1 - 0.1 * (ROOM - 2) / (ROOM - 1), abs=0.02)  # a short one may be full, too
    assert (cut(corpus, short=1.0)["a_length"] < ROOM - 1).all()


def test_a_takes_any_number_of_the_sentences_but_all(make_corpus):
    corpus = make_corpus([[1] * 500, [1] * 700])
    rows = np.concatenate([cut(corpus, room=5, short=0.0, seed=seed) for seed in range(20)])
    a_length = rows["a_length"][rows["a_length"] + rows["b_length"] == 5]
    assert np.bincount(a_length)[1:] / len(a_length) == pytest.approx([0.25] * 4, abs=0.03)


def test_a_random_b_is_any_sentence_of_the_other_documents(make_corpus):
    corpus = make_corpus([[1] * 20, [1] * 10, [1] * 30, [1] * 5])
    rows = np.concatenate([cut(corpus, seed=seed) for seed in range(1500)])
    own = rows["is_random"] & (rows["a_start"] >= 20) & (rows["a_start"] < 30)
    counts = np.bincount(rows["b_start"][own], minlength=65)
    assert counts[20:30].sum() == 0
    others = np.delete(counts, range(20, 30))
    assert ((others - others.mean()) ** 2 / others.mean()).sum() < 54 + 5 * np.sqrt(2 * 54)  # chi-squared


def test_documents_of_one_sentence_always_get_a_random_b(make_corpus):
    rows = in_order(cut(make_corpus([[3], [4], [5]])))
    assert rows["is_random"].all()
    assert rows["a_start"].tolist() == [0, 3, 7]
    assert rows["a_length"].tolist() == [3, 4, 5]


def test_draws_are_the_generators_alone(make_corpus):
    corpus = make_corpus(DOCUMENTS)
    assert cut(corpus).tolist() == cut(corpus).tolist()
    assert cut(corpus).tolist() != cut(corpus, seed=2).tolist()
