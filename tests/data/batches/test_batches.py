import itertools
import time
import warnings

import keras
import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.data.batches.batch_source import BatchStream
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts

VOCAB_SIZE = 1000


def make_tokens(num_rows: int, longest: int = 40) -> TokenizedTexts:
    """Rows of 2 to `longest` tokens; the first token of row `i` is `i + 1`, to know it again."""
    generator = np.random.default_rng(5)
    lengths = generator.integers(2, longest + 1, num_rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = generator.integers(1, VOCAB_SIZE, offsets[-1]).astype(np.int32)
    ids[offsets[:-1]] = np.arange(1, num_rows + 1)
    return TokenizedTexts(ids, np.zeros(len(ids), np.int8), offsets)


def make_batches(num_rows: int = 103, batch_size: int = 8, seed: int | None = 3, **options: object) -> Batches:
    return Batches(make_tokens(num_rows), np.arange(num_rows, dtype=np.int32) % 2, batch_size, seed, 0, **options)


def order(batches: Batches) -> list[list[int]]:
    return [batches.rows(step).tolist() for step in range(len(batches))]


def padding_waste(batches: Batches) -> float:
    """Cells of all batches for each real token."""
    return sum(batches[step][0]["input_ids"].size for step in range(len(batches))) / len(batches.tokens.input_ids)


class Recorder(keras.Model):
    """Classifies by a mean of embeddings and keeps the first token of every row it is given, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = keras.layers.Embedding(VOCAB_SIZE, 4)
        self.dense = keras.layers.Dense(2)
        self.seen: list[list[int]] = []

    def call(self, inputs, training=False):
        mask = keras.ops.cast(inputs["attention_mask"], "float32")[..., None]
        return self.dense(keras.ops.sum(self.embedding(inputs["input_ids"]) * mask, 1) / keras.ops.sum(mask, 1))

    def train_step(self, data):
        self.seen.append((data[0]["input_ids"][:, 0].numpy() - 1).tolist())
        return super().train_step(data)


def make_model() -> Recorder:
    keras.utils.set_random_seed(1)
    model = Recorder()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    return model


def test_every_row_comes_once_an_epoch(each_row) -> None:
    def look(seed: int | None, group_by_length: bool, num_rows: int) -> None:
        batches = make_batches(num_rows, seed=seed, group_by_length=group_by_length)
        rows = order(batches)
        assert sorted(itertools.chain(*rows)) == list(range(num_rows))
        assert len(rows) == len(batches) == -(-num_rows // 8)
        assert sorted(map(len, rows))[1:] == [8] * (len(rows) - 1)

    each_row(itertools.product([None, 0, 7], [True, False], [1, 8, 9, 103, 901]), look)


def test_the_order_is_a_function_of_seed_and_epoch():
    first, second = make_batches(), make_batches()
    assert order(first) == order(second)
    second.epoch = 1
    assert order(first) != order(second)
    expected = second.rows(5).tolist()
    order(first)
    first.epoch = 1
    assert first.rows(5).tolist() == expected  # whatever was asked before
    assert order(make_batches(seed=4)) != order(make_batches(seed=3))


def test_the_order_does_not_change_between_releases():
    """Golden: a resumed run must meet the order it was interrupted in."""
    assert order(make_batches(9, batch_size=4, seed=1, group_by_length=False)) == [[7, 0, 1, 4], [2, 5, 8, 6], [3]]


def test_without_a_seed_rows_come_in_file_order_every_epoch():
    batches = make_batches(seed=None)
    assert list(itertools.chain(*order(batches))) == list(range(103))
    batches.epoch = 3
    assert list(itertools.chain(*order(batches))) == list(range(103))


def test_grouped_without_a_seed_is_longest_first():
    batches = make_batches(seed=None, group_by_length=True)
    lengths = batches.tokens.lengths[np.concatenate(order(batches))]
    assert (np.diff(lengths) <= 0).all()


def test_grouping_wastes_little_padding():
    plain = padding_waste(make_batches(2000, group_by_length=False))
    assert plain > 1.6
    assert padding_waste(make_batches(2000)) < 1.1
    assert padding_waste(make_batches(2000, seed=None, group_by_length=True)) < 1.02


def test_grouped_batches_are_not_served_in_order_of_length():
    batches = make_batches(2000)
    longest = [batches.tokens.lengths[rows].max() for rows in order(batches)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.2


def test_a_batch_is_its_rows_padded():
    batches = make_batches()
    inputs, labels = batches[2]
    rows = batches.rows(2)
    assert (inputs["input_ids"][:, 0] - 1).tolist() == rows.tolist()
    assert inputs["attention_mask"].sum(1).tolist() == batches.tokens.lengths[rows].tolist()
    assert labels.tolist() == (rows % 2).tolist()
    assert labels.dtype == np.int32


def test_fit_serves_epoch_0_then_epoch_1():
    batches, expected = make_batches(), make_batches()
    model = make_model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = model.fit(batches, validation_data=make_batches(17, seed=None), epochs=2, verbose=0)
    assert {"loss", "val_loss"} <= set(history.history)
    first = order(expected)
    expected.epoch = 1
    assert model.seen == first + order(expected)
    assert batches.epoch == 2


def test_fit_resumes_at_the_epoch_it_is_set_to():
    batches, expected = make_batches(), make_batches()
    batches.epoch = expected.epoch = 5
    model = make_model()
    model.fit(batches, verbose=0)
    assert model.seen == order(expected)


def test_a_stream_goes_through_the_epochs_in_passes_of_its_own():
    batches, expected = make_batches(), make_batches()
    passes = []
    for expected.epoch in range(4):
        passes += order(expected)
    steps = len(batches) - 3
    stream = BatchStream(batches, steps)
    assert (len(stream), stream.batch_size) == (steps, batches.batch_size)
    stream.epoch = 1
    model = make_model()
    model.fit(stream, epochs=2, verbose=0)
    assert model.seen == passes[steps : 3 * steps]
    assert stream.epoch == 3
    with pytest.raises(InputError, match="steps: expected an integer >= 1, got 0"):
        BatchStream(batches, 0)


def test_a_loop_over_batches_ends():
    batches = make_batches()
    assert len(list(batches)) == len(batches)
    with pytest.raises(IndexError):
        batches[len(batches)]


@pytest.mark.parametrize(("steps_per_epoch", "epochs"), [(4, 3), (13, 2)])
def test_a_pass_in_several_keras_epochs_stays_one_pass(steps_per_epoch, epochs):
    batches, expected = make_batches(104), make_batches(104)  # 13 steps
    model = make_model()
    model.fit(batches, steps_per_epoch=steps_per_epoch, epochs=epochs, verbose=0)
    passes = order(expected)
    expected.epoch = 1
    passes += order(expected)
    assert model.seen == passes[: steps_per_epoch * epochs]


def test_batches_may_agree_in_length_and_then_not():
    lengths = [5] * 4 + [9]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = TokenizedTexts(np.ones(offsets[-1], np.int32), np.zeros(offsets[-1], np.int8), offsets)
    batches = Batches(tokens, np.zeros(5, np.int32), batch_size=2)
    assert np.isfinite(make_model().evaluate(batches, verbose=0))


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_predict_and_evaluate(run_eagerly):
    tokens = make_tokens(19)
    model = make_model()
    model.run_eagerly = run_eagerly
    grouped = Batches(tokens, batch_size=8, group_by_length=True)
    in_order = model.predict(Batches(tokens, batch_size=8), verbose=0)
    put_back = np.empty_like(in_order)
    put_back[np.concatenate(order(grouped))] = model.predict(grouped, verbose=0)
    np.testing.assert_allclose(put_back, in_order, atol=1e-6)
    assert np.isfinite(model.evaluate(make_batches(17, seed=None), verbose=0))


@pytest.mark.alone
def test_an_epoch_begins_at_once_after_a_slow_one():
    dataset = make_batches().get_tf_dataset()
    iterator = iter(dataset)
    for _ in iterator:
        time.sleep(0.15)
    begin = time.perf_counter()
    iterator = iter(dataset)  # as Keras does, with the last epoch's still in its hands
    next(iterator)
    assert time.perf_counter() - begin < 0.3


def test_a_single_row_trains_and_predicts():
    model = make_model()
    model.fit(make_batches(1), epochs=2, verbose=0)
    assert model.seen == [[0], [0]]
    assert model.predict(Batches(make_tokens(1)), verbose=0).shape == (1, 2)


def test_what_cannot_be_cut_into_batches():
    with pytest.raises(InputError, match="without rows"):
        Batches(TokenizedTexts(np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(1, np.int64)))
    with pytest.raises(InputError, match="batch_size: expected an integer >= 1, got 0"):
        make_batches(batch_size=0)
    with pytest.raises(InputError, match="seed: expected None or an integer >= 0, got -1"):
        make_batches(seed=-1)
    with pytest.raises(InputError, match="2 labels for 3 rows"):
        Batches(make_tokens(3), np.zeros(2, np.int32))


# === Padded lengths, and batches of so many tokens ===


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_of_so_many_tokens(seed):
    batches = make_batches(500, seed=seed, batch_tokens=200)
    sizes = []
    for epoch in range(3):
        batches.epoch = epoch
        rows = order(batches)
        assert sorted(itertools.chain(*rows)) == list(range(500))
        sizes.append(sorted(batches[step][0]["input_ids"].shape for step in range(len(batches))))
    assert sizes[0] == sizes[1] == sizes[2]  # as many batches in every epoch, of the same shapes
    assert max(rows * length for rows, length in sizes[0]) <= 200
    # Each but the last is full: another row of its length does not fit.
    assert sum((rows + 1) * length <= 200 for rows, length in sizes[0]) <= 1


def test_batches_of_so_many_tokens_are_mixed_anew_every_epoch():
    options = {"batch_tokens": 200, "padded_lengths": [20, 40]}  # many rows of each length
    batches = make_batches(500, **options)
    first = order(batches)
    assert order(make_batches(500, **options)) == first
    batches.epoch = 1
    assert {tuple(sorted(rows)) for rows in first}.isdisjoint(tuple(sorted(rows)) for rows in order(batches))


@pytest.mark.parametrize("options", [{}, {"batch_tokens": 320}])
def test_padded_lengths_are_all_the_shapes_there_are(options):
    batches = make_batches(500, padded_lengths=[16, 40, 24], **options)
    shapes = set()
    for epoch in range(4):
        batches.epoch = epoch
        for step in range(len(batches)):
            inputs = batches[step][0]
            longest = inputs["attention_mask"].sum(1).max()
            assert inputs["input_ids"].shape[1] == next(length for length in (16, 24, 40) if longest <= length)
            shapes.add(inputs["input_ids"].shape)
    assert {length for _, length in shapes} == {16, 24, 40}
    assert len(shapes) <= 6  # a full and a partial batch of each length


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"^batch_tokens=39: the longest row alone has 40, padded$"):
        make_batches(500, batch_tokens=39)
    with pytest.raises(InputError, match=r"^padded_lengths=\[16, 32\]: the longest row has 40 tokens$"):
        make_batches(500, padded_lengths=[32, 16])
    with pytest.raises(InputError, match="group_by_length=False"):
        make_batches(500, batch_tokens=200, group_by_length=False)
