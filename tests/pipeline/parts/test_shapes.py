from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinybert_tf import Stage
from tinybert_tf.config.rules import SettingError
from tinybert_tf.config.schema import Data, FinetuneConfig, ModelSection, Train
from tinybert_tf.data.batches.batches import few_lengths
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.pipeline.parts.planned import planned_steps
from tinybert_tf.pipeline.parts.shapes import devices_for, padded_lengths
from tinybert_tf.pipeline.pretrain import Pretraining

FILES: dict[str, Any] = {"train": "train.tsv", "dev": "dev.tsv", "text": ("text",), "label": "label"}


@pytest.mark.parametrize("max_length", [8, 9, 64, 100, 512])
def test_few_lengths_waste_little(max_length: int) -> None:
    lengths = few_lengths(max_length)
    assert lengths[-1] == max_length
    assert len(lengths) <= 2 * int(np.log2(max_length))
    padding = [length / (shorter + 1) for shorter, length in zip([7, *lengths], lengths, strict=False)]
    assert max(padding) <= 1.5


def test_lengths_are_few_where_steps_are_compiled_for_each() -> None:
    free, compiled = devices_for(Train()), devices_for(Train(xla=True))
    assert padded_lengths(Data(**FILES, max_length=20), free) is None
    assert padded_lengths(Data(**FILES, max_length=20), compiled) == [8, 12, 16, 20]
    assert padded_lengths(Data(**FILES, padded_lengths=(16, 128)), free) == (16, 128)


def test_a_split_is_cut_as_the_config_says() -> None:
    tokens = TokenizedTexts(np.ones(60, np.int32), np.zeros(60, np.int8), np.arange(0, 61, 6))
    split = EncodedDataset(tokens, None, 0, padded_lengths=(8, 16))
    by_rows, by_tokens = (split.training_batches(Train(batch_size=4, batch_tokens=tokens)) for tokens in (None, 40))
    assert [by_rows[step][0]["input_ids"].shape[1] for step in range(3)] == [8, 8, 8]
    assert sorted(len(by_tokens.rows(step)) for step in range(len(by_tokens))) == [5, 5]
    assert split.evaluation_batches()[0][0]["input_ids"].shape == (10, 8)


def test_what_cannot_hold_an_example_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^padded_lengths: expected a last length >= max_length=64, got \[16, 32\]"):
        Data(**FILES, max_length=64, padded_lengths=(16, 32))
    data = Data(**FILES, max_length=64, padded_lengths=(16, 80))
    with pytest.raises(SettingError, match=r"^train.batch_tokens: expected an integer >= 80, .* got 79$"):
        FinetuneConfig(model=ModelSection("bert"), data=data, train=Train(batch_tokens=79), out="run")


@pytest.mark.parametrize(
    ("max_steps", "steps_per_execution", "steps"),
    [(None, 4, 20), (4, 4, 4), (5, 4, 8), (9, 4, 10), (11, 4, 14), (99, 4, 20)],
)
def test_a_stage_ends_with_an_execution(max_steps: int | None, steps_per_execution: int, steps: int) -> None:
    values = Train(epochs=2, max_steps=max_steps, steps_per_execution=steps_per_execution, accumulation_steps=3)
    stage = Stage.trained(values, name="one", losses=())
    assert stage.total_steps(10) == steps
    assert stage.accumulation_steps == 3


@pytest.mark.parametrize(
    ("epochs", "max_steps", "steps"),
    [(2, None, 20), (3, None, 32), (2, 9, 12), (1, 13, 12), (None, 13, 16), (None, None, 32), (4, 39, 40)],
)
def test_pretraining_goes_over_an_epochs_end_but_not_over_a_checkpoints(
    epochs: int | None, max_steps: int | None, steps: int
) -> None:
    """Epochs of 10 steps, a checkpoint after every 20, and four steps executed together."""
    values = Train(epochs=epochs, max_steps=max_steps, steps_per_execution=4)
    assert planned_steps(values, 10, 20) == steps


@pytest.mark.parametrize(("values", "steps"), [({}, 10), ({"epochs": 2}, 20), ({"max_steps": 25}, 25)])
def test_pretraining_is_one_epoch_unless_something_else_is_said(values: dict[str, int], steps: int) -> None:
    work = SimpleNamespace(config=SimpleNamespace(train=Train(**values), checkpoint_every=7), train=[None] * 10)
    assert Pretraining.total_steps.fget(work) == steps  # type: ignore[attr-defined]
