import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import Corpus, InputError, Masking, PretrainingBatches, train_wordpiece
from tinybert_tf.data.batches.batch_source import BatchStream
from tinybert_tf.data.corpus.masking import NO_LABEL
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

PAD, UNK, CLS, SEP, MASK = range(5)
GENERATOR = np.random.default_rng(4)
DOCUMENTS = [GENERATOR.integers(1, 9, GENERATOR.integers(2, 15)).tolist() for _ in range(30)]

MakeBatches = Callable[..., PretrainingBatches]


@pytest.fixture
def corpus(make_corpus) -> Corpus:
    """Token `i` of it has the id `5 + i`."""
    return make_corpus(DOCUMENTS)


@pytest.fixture
def make_batches(corpus: Corpus, word_tokenizer: Tokenizer) -> MakeBatches:
    def make(**options: Any) -> PretrainingBatches:
        return PretrainingBatches(corpus, word_tokenizer, **{"batch_size": 8, "max_length": 24, **options})

    return make


def flat(batch: tuple[Any, ...]) -> list[np.ndarray]:
    return keras.tree.flatten(batch)


def same(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    pairs = zip(flat(first), flat(second), strict=True)
    return all(one.shape == other.shape and (one == other).all() for one, other in pairs)


def stream(batches: PretrainingBatches, epochs: int) -> list[tuple[Any, ...]]:
    """All batches of so many epochs from the first on, one asked for after the other."""
    found = []
    for batches.epoch in range(epochs):
        found += [batches[step] for step in range(len(batches))]
    batches.epoch = 0
    return found


def unmasked(batch: tuple[Any, ...]) -> np.ndarray:
    inputs, labels = batch
    labels = labels["masked_tokens"] if isinstance(labels, dict) else labels
    ids = inputs["input_ids"].copy()
    row, slot = np.nonzero(labels != NO_LABEL)
    ids[row, inputs["masked_positions"][row, slot]] = labels[row, slot]
    return ids


def document_of(corpus: Corpus, token_id: int) -> int:
    sentence = np.searchsorted(corpus.sentence_offsets, token_id - 5, side="right") - 1
    return int(np.searchsorted(corpus.document_offsets, sentence, side="right") - 1)


class Recorder(keras.Model):
    """Keeps the ids that `fit` gives it, and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.add_weight(shape=(), name="weight")
        self.seen: list[np.ndarray] = []

    def train_step(self, data):
        self.seen.append(data[0]["input_ids"].numpy())
        return {"loss": keras.ops.sum(self.weight)}


def fitted(batches: PretrainingBatches, **options: Any) -> list[np.ndarray]:
    model = Recorder()
    model.compile("sgd", run_eagerly=True)
    model.fit(batches, verbose=0, **options)
    return model.seen


# === What a batch holds ===


def test_a_row_is_a_pair_of_segments(corpus, make_batches):
    followed = 0
    for batch in stream(make_batches(), epochs=3):
        (inputs, labels), ids = batch, unmasked(batch)
        assert inputs["input_ids"].shape == inputs["attention_mask"].shape == inputs["token_type_ids"].shape
        for row, attention, types, is_random in zip(
            ids, inputs["attention_mask"], inputs["token_type_ids"], labels["next_sentence"], strict=True
        ):
            length = attention.sum()
            assert attention.tolist() == [1] * length + [0] * (len(row) - length)
            assert (row[length:] == PAD).all()
            first, second = np.flatnonzero(row == SEP)
            assert row[0] == CLS
            assert second == length - 1
            assert types.tolist() == [0] * (first + 1) + [1] * (second - first) + [0] * (len(row) - length)
            a, b = row[1:first], row[first + 1 : second]
            assert a.tolist() == list(range(a[0], a[0] + len(a)))  # consecutive tokens of the corpus
            assert b.tolist() == list(range(b[0], b[0] + len(b)))
            same_document = document_of(corpus, a[0]) == document_of(corpus, b[0])
            assert is_random == (not same_document)
            followed += same_document
            assert is_random or a[-1] < b[0]
        assert ids.shape[1] == inputs["attention_mask"].sum(1).max() <= 24
    assert followed > 50


def test_a_row_is_a_single_segment(make_batches):
    batches = make_batches(next_sentence=False)
    for batch in stream(batches, epochs=1):
        (inputs, labels), ids = batch, unmasked(batch)
        assert isinstance(labels, np.ndarray)
        assert not inputs["token_type_ids"].any()
        for row, length in zip(ids, inputs["attention_mask"].sum(1), strict=True):
            text = row[1 : length - 1]
            assert (row[0], row[length - 1]) == (CLS, SEP)
            assert text.tolist() == list(range(text[0], text[0] + len(text)))
    assert max(batch[0]["attention_mask"].sum(1).max() for batch in stream(batches, 1)) == 24


def test_masked_positions_and_labels(make_batches):
    for inputs, labels in stream(make_batches(), epochs=1):
        positions, tokens = inputs["masked_positions"], labels["masked_tokens"]
        assert positions.shape == tokens.shape == (len(inputs["input_ids"]), 4)  # ceil(0.15 x 24)
        assert {array.dtype for array in flat((inputs, labels))} == {np.dtype(np.int32)}
        has_label = tokens != NO_LABEL
        num_text = inputs["attention_mask"].sum(1) - 3
        assert has_label.sum(1).tolist() == [min(4, max(1, round(0.15 * count))) for count in num_text.tolist()]
        assert (tokens[has_label] > MASK).all()
        assert not positions[~has_label].any()
    masked = np.concatenate([inputs["input_ids"].ravel() == MASK for inputs, _ in stream(make_batches(), 5)])
    assert masked.any()


def test_without_masking_nothing_is_masked(make_batches):
    for next_sentence in (True, False):
        batches = make_batches(masking=None, next_sentence=next_sentence)
        for (inputs,) in stream(batches, epochs=2):
            assert set(inputs) == {"input_ids", "attention_mask", "token_type_ids"}
            assert MASK not in inputs["input_ids"]
        # The same segments in the same order as with masking.
        masked = make_batches(next_sentence=next_sentence)
        assert (batches[3][0]["input_ids"] == unmasked(masked[3])).all()


def test_whole_words_and_predictions_of_ones_own(corpus, word_tokenizer):
    batches = PretrainingBatches(
        corpus, word_tokenizer, max_length=24, masking=Masking(0.5, whole_word=True), max_predictions=3
    )
    assert batches[0][1]["masked_tokens"].shape == (32, 3)


# === Order and content: a function of (seed, epoch, step) ===


def test_the_same_seed_gives_the_same_batches(make_batches):
    first, second = stream(make_batches(), 3), stream(make_batches(), 3)
    assert all(map(same, first, second))
    batches = make_batches()
    shuffled = np.random.default_rng(1).permutation(len(first))  # whatever was asked for before
    for place in shuffled.tolist():
        batches.epoch, step = divmod(place, len(batches))
        assert same(batches[step], first[place])
    assert not any(map(same, first, stream(make_batches(seed=2), 3)))


def test_segments_are_new_each_epoch(make_batches):
    batches = make_batches()
    epochs: list[set[tuple[int, ...]]] = []
    for batches.epoch in range(3):
        of_epoch = [batches[step] for step in range(len(batches))]
        epochs.append({tuple(row[row != PAD].tolist()) for batch in of_epoch for row in unmasked(batch)})
    for one, other in itertools.combinations(epochs, 2):
        assert len(one & other) < len(one) / 3


def test_masks_are_new_each_epoch(make_corpus, word_tokenizer):
    corpus = make_corpus([[10]])
    batches = PretrainingBatches(corpus, word_tokenizer, next_sentence=False, short_sequence_probability=0)
    found = stream(batches, 40)
    assert {tuple(unmasked(batch)[0].tolist()) for batch in found} == {(CLS, *range(5, 15), SEP)}
    positions = [position for inputs, labels in found for position in inputs["masked_positions"][labels != NO_LABEL]]
    assert len(positions) == 40 * 2
    assert set(positions) == set(range(1, 11))


def test_the_content_does_not_change_between_releases(make_batches):
    """Golden: a resumed run must meet the batches it was interrupted in."""
    batches = make_batches(batch_size=2, max_length=12)
    batches.epoch = 2
    inputs, labels = batches[1]
    assert inputs["input_ids"].tolist() == [
        [2, 484, 485, 486, 487, 488, 3, 821, 4, 823, 824, 3],
        [2, 864, 865, 866, 867, 868, 3, 871, 872, 873, 4, 3],
    ]
    assert inputs["masked_positions"].tolist() == [[8, 0], [10, 0]]
    assert labels["masked_tokens"].tolist() == [[822, -100], [874, -100]]
    assert labels["next_sentence"].tolist() == [1, 0]


def test_every_epoch_has_as_many_steps(make_batches):
    batches = make_batches(batch_size=7)
    steps = len(batches)
    assert steps == batches.num_batches == -(-batches.num_rows // 7)
    sizes = set()
    for batches.epoch in range(8):
        rows = [len(batches[step][0]["input_ids"]) for step in range(len(batches))]
        assert rows == [7] * (steps - 1) + [batches.num_rows - 7 * (steps - 1)]
        sizes.add(batches._epoch_rows.size)
    # The epochs' own numbers of rows do differ, in both directions.
    assert min(sizes) < batches.num_rows < max(sizes)
    with pytest.raises(IndexError):
        batches[steps]


def test_an_epoch_goes_through_the_corpus(make_batches, corpus):
    """Every row of the first epoch comes once, so nearly every token does."""
    seen = np.concatenate([unmasked(batch).ravel() for batch in stream(make_batches(), 1)])
    assert len(np.unique(seen[seen > MASK])) > 0.9 * corpus.num_tokens


# === A restart ===


@pytest.mark.parametrize("steps", [1, 3, "epoch", "longer"])
def test_a_restart_serves_what_an_uninterrupted_run_does(make_batches, steps):
    uninterrupted = stream(make_batches(), 4)
    steps = {"epoch": len(make_batches()), "longer": len(make_batches()) + 2}.get(steps, steps)
    resumed = BatchStream(make_batches(), steps)
    resumed.epoch = 1
    served = [*resumed.get_numpy_iterator()]
    assert len(served) == steps
    assert all(map(same, served, uninterrupted[steps : 2 * steps]))
    assert same(resumed[0], uninterrupted[steps])

    tensors = [keras.tree.map_structure(np.asarray, batch) for batch in resumed.get_tf_dataset()]
    assert all(map(same, tensors, served))


def test_fit_goes_through_the_epochs(make_batches):
    expected = [inputs["input_ids"] for inputs, _ in stream(make_batches(), 2)]
    batches = make_batches()
    assert all(map(np.array_equal, fitted(batches, epochs=2), expected))
    assert batches.epoch == 2


def test_an_interrupted_tokenization_changes_no_batch(make_batches, corpus, word_tokenizer, tmp_path, monkeypatch):
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    expected = stream(make_batches(), 1)
    with monkeypatch.context() as patched:
        patched.setattr("tinybert_tf.data.corpus.writer._Writer.finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Corpus.tokenize(tmp_path / "corpus.txt", word_tokenizer, tmp_path / "again")
    again = Corpus.tokenize(tmp_path / "corpus.txt", word_tokenizer, tmp_path / "again")
    batches = PretrainingBatches(again, word_tokenizer, batch_size=8, max_length=24)
    assert all(map(same, stream(batches, 1), expected))


def test_no_file_is_left_in_the_directory_of_the_corpus(make_batches, corpus):
    stream(make_batches(), 2)
    assert len(list(corpus.directory.iterdir())) == 4


# === Refused ===


def test_what_cannot_be_cut_into_batches(make_batches, make_corpus, word_tokenizer):
    with pytest.raises(InputError, match="batch_size: expected an integer >= 1, got 0"):
        make_batches(batch_size=0)
    for seed in (-1, None):
        with pytest.raises(InputError, match=f"seed: expected .*an integer >= 0, got {seed}"):
            make_batches(seed=seed)
    with pytest.raises(InputError, match="max_length=4 leaves no room for text; expected at least 5"):
        make_batches(max_length=4)
    assert len(make_batches(max_length=5)) > 0
    with pytest.raises(InputError, match="max_length=3 leaves no room for text; expected at least 4"):
        make_batches(max_length=3, next_sentence=False)
    assert len(make_batches(max_length=4, next_sentence=False)) > 0
    with pytest.raises(InputError, match=r"short_sequence_probability: expected a number from 0 to 1, got 10"):
        make_batches(short_sequence_probability=10)
    for max_predictions in (0, 25):
        with pytest.raises(InputError, match=f"max_predictions: expected 1 to max_length=24, got {max_predictions}"):
            make_batches(max_predictions=max_predictions)


def test_another_tokenizer_than_the_corpus_has(corpus):
    other = train_wordpiece(["w1 w2 w3"], 60, min_frequency=1)
    with pytest.raises(InputError, match="tokens: was tokenized with another tokenizer"):
        PretrainingBatches(corpus, other)


def test_a_directory_that_is_full(make_batches, corpus, monkeypatch):
    def full(**_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(InputError) as error:
        make_batches()
    assert str(error.value).startswith(
        f"{corpus.directory}: the segments of an epoch cannot be written there (No space left on device)"
    )


def test_one_document_is_enough_only_without_next_sentence(make_corpus, word_tokenizer):
    corpus = make_corpus([[3, 4, 5]])
    with pytest.raises(InputError, match=r"corpus.txt: one document; next-sentence prediction needs two"):
        PretrainingBatches(corpus, word_tokenizer)
    (inputs, _) = PretrainingBatches(corpus, word_tokenizer, next_sentence=False)[0]
    assert inputs["attention_mask"].sum() == 14
