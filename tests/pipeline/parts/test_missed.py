"""What a cut student misses of its teacher: answers of each kind by hand, and the variance of its last layer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier, cut_student, features
from tinybert_tf.pipeline.parts.missed import HeldBack, disagreement

SIZES = dict(hidden_size=16, num_attention_heads=2, intermediate_size=32, vocab_size=40, max_position_embeddings=8)
TEACHER = EncoderConfig(num_hidden_layers=2, initializer_range=0.3, **SIZES)


def disagreed(
    predicts: str, ours: Sequence[Any], theirs: Sequence[Any], names: Sequence[str] = (), mask: Any = None
) -> float:
    """The first row of two batches, and the other rows."""
    teacher: Any = SimpleNamespace(predicts=predicts, label_names=list(names))
    arrays = [np.array(each, np.float32) for each in (ours, theirs)]
    mask = np.ones(arrays[0].shape[:2], bool) if mask is None else np.array(mask, bool)
    batches = [[each[:1], each[1:]] for each in (*arrays, mask)]
    return disagreement(teacher, *batches)


def test_classes() -> None:
    ours = [[1, 0, 0], [0, 2, 0], [0, 0, 3], [0, 0, 4]]
    theirs = [[9, 0, 0], [0, 9, 0], [0, 9, 0], [0, 0, 9]]
    assert disagreed(features.CLASSES, ours, theirs) == 0.25


def test_labels() -> None:
    """A text with one other label counts as a whole."""
    assert disagreed(features.LABELS, [[1, 1], [1, -1]], [[2, 2], [1, 1]]) == 0.5


def test_scores() -> None:
    assert disagreed(features.SCORES, [[1], [2], [3]], [[10], [20], [30]]) == pytest.approx(0)
    ours, theirs = [[1], [2], [4]], [[1], [3], [2]]
    expected = 1 - np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1]
    assert disagreed(features.SCORES, ours, theirs) == pytest.approx(expected)
    assert disagreed(features.SCORES, [[5], [5], [5]], theirs) == 1


def test_tags() -> None:
    """The tokens between a text's first and last that either model gives a tag other than `O`."""
    outside, place, name = [1, 0, 0], [0, 1, 0], [0, 0, 1]
    # The first and the last token of each text differ and do not count; nor does padding.
    ours = [[name, place, outside, outside, name, name], [name, place, name, name, outside, outside]]
    theirs = [[place, place, outside, name, place, place], [place, place, place, place, place, place]]
    mask = [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0]]
    # Row 1, tokens 1 to 3: equal, both O, other. Row 2, tokens 1 and 2: equal, other.
    assert disagreed(features.CLASSES, ours, theirs, ["O", "B-place", "B-name"], mask) == 0.5
    assert disagreed(features.CLASSES, ours, theirs, ["a", "b", "c"], mask) == 0.4
    nothing = [[outside] * 6] * 2
    assert disagreed(features.CLASSES, nothing, nothing, ["O", "B-place", "B-name"], mask) == 0


def test_positions() -> None:
    """An answer begins or ends elsewhere; padding is no place."""
    begins = [[5, 0], [0, 0], [0, 5], [9, 9]]
    theirs = [begins, begins, begins]
    ends_elsewhere = [[5, 0], [0, 5], [0, 0], [0, 0]]
    in_padding = [[5, 0], [0, 0], [0, 5], [0, 0]]
    mask = [[1, 1, 1, 0]] * 3
    assert disagreed(features.POSITIONS, [begins, ends_elsewhere, in_padding], theirs, mask=mask) == pytest.approx(
        1 / 3
    )


def batches(seed: int) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(seed)
    ids = generator.integers(5, 40, (64, 8)).astype(np.int32)
    mask = (np.arange(8) < generator.integers(3, 9, (64, 1))).astype(np.int32)
    return [{"input_ids": ids[rows], "attention_mask": mask[rows]} for rows in (slice(0, 40), slice(40, 64))]


def test_variance_of_the_last_layer() -> None:
    """Errors inside the basis and what is outside of it, over real tokens; and the same of the logits."""
    teacher = SequenceClassifier(TEACHER, num_labels=3, dtype="float32")
    student = SequenceClassifier(
        EncoderConfig(num_hidden_layers=1, **{**SIZES, "hidden_size": 4}), num_labels=3, dtype="float32"
    )
    cut = cut_student(student, teacher, [(1, 2)], batches(0))
    texts = batches(1)
    random.seed(7)
    missed = HeldBack(teacher, 2, texts).missed(student, cut)
    drawn = random.random()
    random.seed(7)
    assert drawn == random.random()  # measuring draws no number

    mean = cut.moments[1].mean
    missed_here, total, logits = 0.0, [], []
    for batch in texts:
        is_token = batch["attention_mask"] == 1
        ours, theirs = (model(batch, output_hidden_states=True) for model in (student, teacher))
        narrow, wide = np.array(ours["hidden_states"][1])[is_token], np.array(theirs["hidden_states"][2])[is_token]
        around = wide - mean
        missed_here += ((narrow - wide @ cut.basis) ** 2).sum()
        missed_here += (around**2).sum() - ((around @ cut.basis) ** 2).sum()
        total.append(wide)
        logits.append((np.array(ours["logits"]), np.array(theirs["logits"])))
    targets = np.concatenate(total)
    expected = missed_here / ((targets - targets.mean(axis=0)) ** 2).sum()
    assert missed.unexplained == pytest.approx(expected, rel=1e-4)
    found, wanted = (np.concatenate(each) for each in zip(*logits, strict=True))
    of_logits = ((found - wanted) ** 2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum()
    assert missed.logits == pytest.approx(of_logits, rel=1e-4)
    assert missed.disagreement == (found.argmax(-1) != wanted.argmax(-1)).mean()
    assert missed.rows == 64
    assert str(missed) == (
        f"misses {expected:.1%} of the variance of its teacher's last layer and {missed.disagreement:.1%} of its "
        f"answers, on 64 texts held back from the cut"
    )


def test_a_student_as_large_as_its_teacher_misses_nothing() -> None:
    teacher = SequenceClassifier(TEACHER, num_labels=3, dtype="float32")
    student = teacher.with_encoder(TEACHER)
    cut = cut_student(student, teacher, [(1, 1), (2, 2)], batches(0), ridge=1e-9)
    missed = HeldBack(teacher, 2, batches(1)).missed(student, cut)
    assert missed.unexplained < 1e-6
    assert missed.logits < 1e-6
    assert missed.disagreement == 0
