"""What data sets and models know of their labels, put together."""

from __future__ import annotations

import logging

import pytest

from tinybert_tf import InputError, TextDataset
from tinybert_tf.labels import Labels
from tinybert_tf.pipeline.parts.labels import labels_for

MODEL = Labels(("no", "yes"))
INTEGERS = TextDataset.from_lists(["a", "b"], [0, 1])
NAMES = TextDataset.from_lists(["a", "b"], ["no", "yes"])


def said(
    caplog: pytest.LogCaptureFixture, labels: Labels, data: TextDataset, task: str = "sequence_classification"
) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        labels_for(labels, [data], task)
    return caplog.text


def test_a_guess_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    assert "integers in texts: 0 = no, 1 = yes" in said(caplog, MODEL, INTEGERS)
    assert said(caplog, MODEL, NAMES) == ""
    assert said(caplog, Labels(MODEL.names, (1, 0)), INTEGERS) == ""
    assert said(caplog, Labels(("LABEL_0", "LABEL_1")), INTEGERS) == ""
    cells = TextDataset.from_lists(["a"], ["0,1"])
    assert "0 = no, 1 = yes" in said(caplog, MODEL, cells, "multi_label")
    assert said(caplog, Labels(("LABEL_0",)), INTEGERS, "regression") == ""


def test_what_is_carried() -> None:
    assert labels_for(MODEL, [NAMES, INTEGERS], "sequence_classification") == Labels(MODEL.names, (0, 1), 1)
    assert labels_for(MODEL, [NAMES], "sequence_classification", "no") == Labels(MODEL.names, None, 0)
    assert labels_for(Labels(("LABEL_0",)), [INTEGERS], "regression") == Labels(("LABEL_0",))


def test_a_positive_class_of_scores() -> None:
    with pytest.raises(InputError, match="positive: 'x' in task regression; only sequence_classification has a"):
        labels_for(Labels(("LABEL_0",)), [INTEGERS], "regression", "x")
