"""The values that a config leaves open: the rule that chooses each, and its reason.

The constants were fitted on SST-2's sentences, MRPC, CoLA and SNIPS's intents; `benchmarks/RESULTS.md` has the tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinybert_tf.config.schema import DistillConfig, StageSection, Train
from tinybert_tf.pipeline.parts.stages import Stage

# Rates of a student that matches its teacher's inside, or learns its predictions, times its width.
INSIDE_RATE, PREDICTION_RATE = 0.17, 0.05
# The rate of a pretrained model that is fine-tuned, times its width: 5e-5 for BERT's 768.
FINETUNING_RATE = 0.04
# The optimizer steps after which a stage has learned most of what it can, and the bounds of its epochs.
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 900, 3, 10


@dataclass(frozen=True)
class Facts:
    """What the rules depend on: `rows` of the training data, and the `width` of the model that learns."""

    rows: int
    width: int


@dataclass(frozen=True)
class Choice:
    """A value of a config that was left open: its dotted `key`, and the `reason` of the `value`."""

    key: str
    value: Any
    reason: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value} ({self.reason})"


def choices(config: DistillConfig, facts: Facts) -> list[Choice]:
    """Choose what a distillation's config leaves open."""
    found: list[Choice] = []
    for number, section in enumerate(config.stages):
        found += _of_stage(f"stages.{number}", section, config.train, facts)
    return found


def _of_stage(key: str, section: StageSection, train: Train, facts: Facts) -> Iterator[Choice]:
    """Yield the rate and the epochs of a stage."""
    values = section.resolved(train)
    if values.learning_rate is None:
        rate = PREDICTION_RATE if Stage.from_config(section, train).trains_predictions else INSIDE_RATE
        yield Choice(f"{key}.learning_rate", rounded(rate / facts.width), f"{rate:g} / width {facts.width}")
    if values.epochs is None and values.max_steps is None and values.batch_tokens is None:
        yield Choice(f"{key}.epochs", *epochs_of(facts.rows, values.batch_size))


def epochs_of(rows: int, batch_size: int) -> tuple[int, str]:
    """Return the number of epochs, and its reason.

    Example:
        >>> epochs_of(rows=6_920, batch_size=32)
        (5, '217 steps an epoch, about 900 steps a stage')
        >>> epochs_of(rows=100_000, batch_size=32)[0]
        3
    """
    steps = math.ceil(rows / batch_size)
    epochs = min(max(math.ceil(STEPS / steps), FEWEST_EPOCHS), MOST_EPOCHS)
    return epochs, f"{steps} steps an epoch, about {STEPS} steps a stage"


def rounded(rate: float) -> float:
    """Round to two digits.

    Example:
        >>> rounded(0.17 / 312)
        0.00054
    """
    return float(f"{rate:.2g}")
