import numpy as np
import pytest

from tinybert_tf import InputError, Masking, load_tokenizer
from tinybert_tf.data.corpus.masking import NO_LABEL, MaskedTokens, MaskingVocabulary
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

PAD, UNK, CLS, SEP, MASK = range(5)
S, ING = 2005, 2006  # ##s and ##ing
VOCAB_SIZE = 2007


@pytest.fixture
def vocabulary(word_tokenizer: Tokenizer) -> MaskingVocabulary:
    return MaskingVocabulary(word_tokenizer)


def make_rows(num_rows: int, longest: int = 60) -> np.ndarray:
    """`[CLS] words [SEP] words [SEP]` and padding; some words are unknown, and some have several pieces."""
    generator = np.random.default_rng(2)
    ids = generator.integers(5, 2005, (num_rows, longest))
    ids[generator.random(ids.shape) < 0.3] = S
    ids[generator.random(ids.shape) < 0.05] = UNK
    lengths = generator.integers(4, longest, num_rows)
    ids[:, 0] = CLS
    ids[np.arange(num_rows), lengths // 2] = SEP
    ids[np.arange(num_rows), lengths] = SEP
    ids[np.arange(longest) > lengths[:, None]] = PAD
    return ids.astype(np.int32)


def mask(rows: np.ndarray, vocabulary: MaskingVocabulary, seed: int = 1, **options: object) -> MaskedTokens:
    max_predictions = options.pop("max_predictions", rows.shape[1])
    return Masking(**options).mask(rows, vocabulary, max_predictions, np.random.default_rng(seed))


def chosen(rows: np.ndarray, masked: MaskedTokens) -> np.ndarray:
    """Which tokens have a label, and a check that the labels are what the rows hold there."""
    is_chosen = np.zeros(rows.shape, np.bool_)
    row, slot = np.nonzero(masked.labels != NO_LABEL)
    column = masked.positions[row, slot]
    assert not is_chosen[row, column].any()
    is_chosen[row, column] = True
    assert is_chosen.sum() == len(row)  # none twice
    assert (rows[row, column] == masked.labels[row, slot]).all()
    return is_chosen


def words_of(row: np.ndarray) -> list[list[int]]:
    """The columns of each word: a word goes on with a piece, and special tokens are none."""
    words: list[list[int]] = []
    before = PAD
    for column, token_id in enumerate(row.tolist()):
        if token_id > MASK:
            if token_id >= S and before > MASK:
                words[-1].append(column)
            else:
                words.append([column])
        before = token_id
    return words


def test_a_share_of_the_tokens_is_chosen_and_no_special_one(vocabulary):
    rows = make_rows(400)
    is_chosen = chosen(rows, mask(rows, vocabulary))
    assert not is_chosen[rows <= MASK].any()
    num_tokens = (rows > MASK).sum(1)
    assert is_chosen.sum(1).tolist() == [max(1, round(0.15 * count)) if count else 0 for count in num_tokens.tolist()]


def test_positions_come_in_order_and_are_padded(vocabulary):
    row = np.array([[CLS, 10, 11, 12, 13, SEP, 14, 15, SEP, PAD]], np.int32)
    masked = mask(row, vocabulary, probability=0.5, max_predictions=5)
    assert masked.positions.shape == masked.labels.shape == (1, 5)
    positions, labels = masked.positions[0].tolist(), masked.labels[0].tolist()
    assert positions[:3] == sorted(positions[:3])
    assert set(positions[:3]) < {1, 2, 3, 4, 6, 7}
    assert labels[:3] == [row[0, position] for position in positions[:3]]
    assert positions[3:] == [0, 0]
    assert labels[3:] == [NO_LABEL, NO_LABEL]
    assert {array.dtype for array in (masked.input_ids, masked.positions, masked.labels)} == {np.dtype(np.int32)}


def test_what_is_not_chosen_stays(vocabulary):
    rows = make_rows(100)
    before = rows.copy()
    masked = mask(rows, vocabulary)
    is_chosen = chosen(rows, masked)
    assert (masked.input_ids[~is_chosen] == rows[~is_chosen]).all()
    assert (rows == before).all()


def test_80_10_10(vocabulary):
    rows = make_rows(20_000)
    masked = mask(rows, vocabulary)
    is_chosen = chosen(rows, masked)
    now, before = masked.input_ids[is_chosen], rows[is_chosen]
    error = 5 * np.sqrt(0.25 / len(now))
    assert (now == MASK).mean() == pytest.approx(0.8, abs=error)
    assert (now == before).mean() == pytest.approx(0.1 + 0.1 / (VOCAB_SIZE - 5), abs=error)
    drawn = now[(now != MASK) & (now != before)]
    assert len(drawn) / len(now) == pytest.approx(0.1, abs=error)
    counts = np.bincount(drawn, minlength=VOCAB_SIZE)
    assert not counts[:5].any()
    freedom = VOCAB_SIZE - 5 - 1
    expected = len(drawn) / (freedom + 1)
    assert ((counts[5:] - expected) ** 2 / expected).sum() < freedom + 5 * np.sqrt(2 * freedom)  # chi-squared


@pytest.mark.parametrize("whole_word", [False, True])
def test_every_token_is_equally_likely(vocabulary, whole_word):
    rows = np.tile(np.array([CLS, *range(10, 30), SEP], np.int32), (4000, 1))
    counts = chosen(rows, mask(rows, vocabulary, whole_word=whole_word)).sum(0)[1:-1]
    assert counts.sum() == 4000 * 3
    expected = 4000 * 3 / 20
    assert ((counts - expected) ** 2 / expected).sum() < 19 + 5 * np.sqrt(2 * 19)  # chi-squared


def test_whole_words_are_chosen_together(vocabulary):
    rows = make_rows(400)
    is_chosen = chosen(rows, mask(rows, vocabulary, whole_word=True))
    share = np.maximum(1, np.rint(0.15 * (rows > MASK).sum(1)))
    for row, row_chosen, room in zip(rows, is_chosen, share, strict=True):
        words = words_of(row)
        taken = [len(word) for word in words if row_chosen[word[0]]]
        assert row_chosen.sum() == sum(taken)
        left = [len(word) for word in words if not row_chosen[word[0]]]
        # Full, or nothing that is left fits; one too long word only where all of them are.
        assert sum(taken) <= room or (len(taken) == 1 and min(map(len, words)) > room)
        assert not left or min(left) > room - sum(taken)
    separate = chosen(rows, mask(rows, vocabulary))
    assert any(
        separate[row][word].any() != separate[row][word].all() for row in range(400) for word in words_of(rows[row])
    )


def test_a_row_of_long_words_has_one_masked_nevertheless(vocabulary):
    row = np.array([[CLS, 10, S, ING, SEP, 11, S, S, SEP]], np.int32)
    found = set()
    for seed in range(30):
        is_chosen = chosen(row, mask(row, vocabulary, seed=seed, whole_word=True, max_predictions=3))
        found.add(tuple(np.flatnonzero(is_chosen[0]).tolist()))
    assert found == {(1, 2, 3), (5, 6, 7)}
    assert not chosen(row, mask(row, vocabulary, whole_word=True, max_predictions=2)).any()


def test_a_piece_whose_word_was_cut_off_is_a_word(vocabulary):
    row = np.array([[CLS, S, ING, 10, UNK, S, SEP]], np.int32)
    found = set()
    for seed in range(60):
        is_chosen = chosen(row, mask(row, vocabulary, seed=seed, whole_word=True, probability=0.5))
        found.add(tuple(np.flatnonzero(is_chosen[0]).tolist()))
    assert found == {(1, 2), (3, 5)}  # two of four: ##s ##ing, or w5 and the ##s behind [UNK]


def test_no_more_than_max_predictions(vocabulary):
    rows = make_rows(200)
    masked = mask(rows, vocabulary, probability=0.5, max_predictions=4)
    assert masked.positions.shape == (200, 4)
    assert chosen(rows, masked).sum(1).max() == 4


@pytest.mark.parametrize("whole_word", [False, True])
def test_a_row_without_text_has_nothing_to_predict(vocabulary, whole_word):
    rows = np.array([[CLS, UNK, SEP, PAD], [CLS, 10, SEP, PAD]], np.int32)
    is_chosen = chosen(rows, mask(rows, vocabulary, whole_word=whole_word))
    assert is_chosen.tolist() == [[False] * 4, [False, True, False, False]]
    assert not chosen(rows[:1], mask(rows[:1], vocabulary, whole_word=whole_word)).any()


@pytest.mark.parametrize("whole_word", [False, True])
def test_it_is_a_function_of_the_generator(vocabulary, whole_word):
    rows = make_rows(50)
    first, second = (mask(rows, vocabulary, whole_word=whole_word) for _ in range(2))
    other = mask(rows, vocabulary, seed=2, whole_word=whole_word)
    assert (first.input_ids == second.input_ids).all()
    assert (first.positions == second.positions).all()
    assert (first.positions != other.positions).any()


def test_max_predictions_as_in_bert():
    assert [Masking().max_predictions(length) for length in (20, 128, 512)] == [3, 20, 77]
    assert Masking(probability=0.3).max_predictions(10) == 3


def test_what_is_special_and_what_goes_on_with_a_word(vocabulary):
    assert vocabulary.mask_token_id == MASK
    assert np.flatnonzero(vocabulary.is_special).tolist() == [PAD, UNK, CLS, SEP, MASK]
    assert np.flatnonzero(vocabulary.continues_word).tolist() == [S, ING]
    assert vocabulary.random_token_ids.tolist() == list(range(5, VOCAB_SIZE))


def test_what_cannot_be_masked(tmp_path):
    for probability in (0, 1, -0.1, 15):
        with pytest.raises(InputError, match=r"probability: expected a number > 0 and < 1, got"):
            Masking(probability=probability)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    with pytest.raises(InputError, match=r"no mask_token: '\[MASK\]' is not in its vocabulary"):
        MaskingVocabulary(load_tokenizer(tmp_path))
