"""A model directory that another process replaces is read as one model, the old or the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier
from tinybert_tf.checkpoints.replace_directory import replace_directory
from tinybert_tf.models import pretrained

SIZES = {"vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def test_a_model_that_is_replaced_while_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `config.json` has been read, its weights have not."""
    old, new = (SequenceClassifier(EncoderConfig(**SIZES), num_labels=labels, dtype="float32") for labels in (2, 3))
    old.save_pretrained(tmp_path / "student")
    open_tensors, opened = pretrained.open_tensors, []

    def replaced_before(directory: Path) -> Any:
        if not opened:
            replace_directory(directory, new.save_pretrained)
        opened.append(directory)
        return open_tensors(directory)

    monkeypatch.setattr(pretrained, "open_tensors", replaced_before)
    loaded = SequenceClassifier.from_pretrained(tmp_path / "student", dtype="float32")
    assert len(opened) == 2
    np.testing.assert_array_equal(loaded.classifier.kernel, new.classifier.kernel)
