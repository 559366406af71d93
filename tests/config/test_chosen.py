"""Values by dotted keys: read, set, and filled in where a config leaves them open."""

from __future__ import annotations

from tinybert_tf.config.chosen import value_at, with_choices, with_value
from tinybert_tf.config.schema import Data, DistillConfig, TeacherSection, Train

DATA = Data(train="train.tsv", text=("text",), label="label")
CONFIG = DistillConfig(teacher=TeacherSection("bert"), data=DATA, train=Train(epochs=5), out="run")


def test_values_by_their_keys() -> None:
    assert value_at(CONFIG, "train.epochs") == 5
    assert value_at(CONFIG, "stages.1.name") == "prediction"
    assert value_at(CONFIG, "stages.7.name") is None
    changed = with_value(CONFIG, "stages.1.epochs", 2)
    assert [stage.epochs for stage in changed.stages] == [None, 2]
    assert with_value(changed, "stages.1.epochs", None) == CONFIG


def test_only_what_is_open_is_filled_in() -> None:
    filled = with_choices(
        CONFIG, {"train.epochs": 9, "data.augment": 3, "stages.0.learning_rate": None, "stages.5.epochs": 1}
    )
    assert (filled.train.epochs, filled.data.augment, filled.chosen) == (5, 3, ("data.augment",))
    assert with_choices(filled, {"train.learning_rate": 0.1}).chosen == ("data.augment", "train.learning_rate")
    assert with_choices(CONFIG, {}).chosen == ()  # nothing was left open
