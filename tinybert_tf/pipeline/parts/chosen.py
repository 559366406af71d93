"""The values that a config leaves open: the rule that chooses each, and its reason.

`benchmarks/RESULTS.md` has the measurements that the constants come from.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tinybert_tf.config.chosen import with_choices
from tinybert_tf.config.schema import DEFAULT_EPOCHS, DistillConfig, FinetuneConfig, StageSection, Train
from tinybert_tf.data.tasks import find_task
from tinybert_tf.pipeline.parts.splits import takes_any_text
from tinybert_tf.pipeline.parts.stages import Stage

logger = logging.getLogger(__name__)

# A learning rate is such a number divided by the width of the model that learns: of a student that matches its
# teacher's inside, of one that learns predictions, of a pretrained model that is fine-tuned (5e-5 for BERT's 768).
INSIDE_RATE, PREDICTION_RATE, FINETUNING_RATE = 0.17, 0.05, 0.04
HIGHEST_RATE = 1e-3
# A head for more classes than this learns each from few rows: its rate grows with the root of their number.
USUAL_CLASSES = 8
# The optimizer steps after which a stage has learned most of what it can, and the bounds of its epochs.
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 900, 2, 10
# The texts that a teacher answers, and the most that are made of one row.
TEXTS, MOST_COPIES = 20_000, 4


@dataclass(frozen=True)
class Choice:
    """A value of a config that was left open: its dotted `key`, and the `reason` of the `value`."""

    key: str
    value: Any
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.value} ({self.reason})"


def settled(config: Any, chosen: Sequence[Choice]) -> Any:
    """Return the config with the values that were chosen, and log them with their reasons."""
    for choice in chosen:
        logger.info(f"chosen: {choice}")
    return with_choices(config, values_of(chosen))


def values_of(chosen: Sequence[Choice]) -> dict[str, Any]:
    """Return the values by their keys."""
    return {choice.key: choice.value for choice in chosen}


def texts_to_make(config: DistillConfig, train: Any) -> list[Choice]:
    """Choose how many texts to make of each row of the training data."""
    if config.data.augment is not None:
        return []
    rows, stages = len(train), [Stage.from_config(section, config.train) for section in config.stages]
    if not any(takes_any_text(*each, config.data) for each in zip(config.stages, stages, strict=True)):
        return [Choice("data.augment", 0, "no stage would read them: each has its own file, or needs labels")]
    if not find_task(config.task).parts(train.take([0])):
        return [Choice("data.augment", 0, f"no texts can be made for {config.task}")]
    copies = min(max(math.ceil(TEXTS / rows) - 1, 0), MOST_COPIES)
    return [Choice("data.augment", copies, f"{rows} rows; about {TEXTS} texts in all, {MOST_COPIES} of a row at most")]


def training_of_student(config: DistillConfig, rows: int, more_rows: int, width: int) -> list[Choice]:
    """Choose the rates and epochs of all stages.

    Args:
        config: the config.
        rows: the number of rows with labels.
        more_rows: the number of texts without labels.
        width: the student's width.
    """
    found: list[Choice] = []
    for number, section in enumerate(config.stages):
        stage = Stage.from_config(section, config.train)
        of_stage = rows + more_rows * takes_any_text(section, stage, config.data)
        rate = PREDICTION_RATE if stage.trains_predictions else INSIDE_RATE
        found += _training(f"stages.{number}", section, section.resolved(config.train), of_stage, rate, width)
    return found


def training_of_teacher(config: FinetuneConfig, rows: int, classes: int, width: int) -> list[Choice]:
    """Choose the rate and epochs of a fine-tuning; `width` is the model's."""
    rate = FINETUNING_RATE * math.sqrt(max(1.0, classes / USUAL_CLASSES))
    return list(_training("train", config.train, config.train, rows, rate, width))


def _training(
    key: str, section: StageSection | Train, values: Train, rows: int, rate: float, width: int
) -> Iterator[Choice]:
    """Yield the rate and the epochs of a stage; `values` are the section's with those that it takes from elsewhere."""
    if values.learning_rate is None:
        chosen = float(f"{min(rate / width, HIGHEST_RATE):.2g}")
        yield Choice(f"{key}.learning_rate", chosen, f"{rate:.2g} / width {width}, {HIGHEST_RATE:g} at most")
    if values.epochs is None and values.max_steps is None:
        yield Choice(f"{key}.epochs", *_epochs(rows, values))


def _epochs(rows: int, values: Train) -> tuple[int, str]:
    """Return the number of epochs, and its reason."""
    if values.batch_tokens is not None:
        return DEFAULT_EPOCHS, "batches of so many tokens"
    steps = math.ceil(rows / values.batch_size)
    epochs = min(max(round(STEPS / steps), FEWEST_EPOCHS), MOST_EPOCHS)
    return epochs, f"{steps} steps an epoch, about {STEPS} in all, {FEWEST_EPOCHS} to {MOST_EPOCHS} epochs"
