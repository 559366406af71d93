"""The projections of a student that has weights of its own start where they are best."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tinybert_tf as tb
from tinybert_tf import train_wordpiece
from tinybert_tf.pipeline.parts import training
from tinybert_tf.pipeline.parts.projections import fit_projections


def test_no_other_map_is_closer() -> None:
    """Against NumPy's own least squares, of both layers and the embeddings together; padding counts for nothing."""
    keras.utils.set_random_seed(1)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    teacher, student = (
        tb.SequenceClassifier(tb.EncoderConfig(vocab_size=20, hidden_size=width, **sizes)) for width in (12, 8)
    )
    distiller = tb.Distiller(teacher, student, losses=[tb.EmbeddingLoss(), tb.HiddenStateLoss(), tb.PredictionLoss()])
    texts = ["good film", "bad film", "a good good film", "a bad bad film", "good", "bad", "film good", "film bad"]
    tokens = train_wordpiece(texts, vocab_size=20).encode(texts)
    batches = [tokens.padded(range(4), 0, length=9), tokens.padded(range(4, 8), 0)]
    fit_projections([distiller], batches, ridge=1e-7)
    rows: list[Any] = [[], []]
    for inputs in batches:
        for found, model in zip(rows, (student, teacher), strict=True):
            states = model(inputs, output_hidden_states=True)["hidden_states"]
            found += [np.asarray(states[layer])[inputs["attention_mask"] == 1] for layer in (0, 1, 2)]
    ours, theirs = (np.concatenate(found).astype(np.float64) for found in rows)
    with_ones = np.concatenate([ours, np.ones((len(ours), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(with_ones, theirs, rcond=1e-6)  # a LayerNorm's outputs sum to 0
    (dense,) = distiller.projections.dense.values()
    np.testing.assert_allclose(
        ours @ np.asarray(dense.kernel) + np.asarray(dense.bias), with_ones @ solution, atol=1e-4
    )


@pytest.mark.usefixtures("eager")
def test_a_student_of_a_directory(
    tinybert: Callable[..., Any],
    teacher_run: Path,
    data_flags: list[str],
    training_flags: list[str],
    tmp_path: Path,
) -> None:
    """Its first stage begins with a small loss: nothing is learned in it."""
    narrow = ["--set", "student.hidden_size=8", "--set", "stages=[{name: one, losses: [hidden_state, prediction]}]"]
    flags = ["distill", "--teacher", teacher_run, *data_flags, *training_flags, "--batch-size", 40]
    assert tinybert(*flags, *narrow, "--out", tmp_path / "first").status == 0
    stages = "stages=[{name: one, losses: [hidden_state], epochs: 1, learning_rate: 1e-12}]"
    losses = []
    for name in ("fitted", "random"):
        with pytest.MonkeyPatch.context() as patched:
            if name == "random":
                patched.setattr(training, "fit_projections", lambda *_: None)
            out = tmp_path / name
            run = tinybert(*flags, "--student", tmp_path / "first", "--set", stages, "--out", out)
            assert run.status == 0, run.err
        with (out / "log.csv").open(newline="") as file:
            losses += [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[0] < 0.3 * losses[1]
