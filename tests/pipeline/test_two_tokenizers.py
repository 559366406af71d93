"""A student with a tokenizer of its own learns from its teacher's predictions, and from nothing else of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, InputError, TransformerEncoder, load_tokenizer, train_wordpiece
from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    LossSection,
    StageSection,
    StudentSection,
    TeacherSection,
    Train,
)
from tinybert_tf.pipeline.distill import run_distill
from tinybert_tf.pipeline.parts.distillation import prepare
from tinybert_tf.pipeline.parts.kept_features import cache_teacher

TEACHER_LOGITS = "teacher/logits"


@pytest.fixture
def config(teacher_run: Path, opinions: Path, tmp_path: Path) -> DistillConfig:
    """A student of another vocabulary and family, and one stage, of predictions."""
    tokenizer = train_wordpiece((opinions / "train.tsv").read_text().splitlines(), vocab_size=110)
    assert tokenizer.vocabulary() != load_tokenizer(teacher_run).vocabulary()
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, type_vocab_size=0)
    encoder = EncoderConfig(
        model_type="distilbert",
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=32,
        initializer_range=0.1,
        **sizes,
    )
    keras.utils.set_random_seed(0)
    TransformerEncoder(encoder, dtype="float32").save_pretrained(tmp_path / "small", tokenizer=tokenizer)
    files = {split: str(opinions / f"{split}.tsv") for split in ("train", "dev", "test")}
    return DistillConfig(
        teacher=TeacherSection(str(teacher_run)),
        student=StudentSection(dir=str(tmp_path / "small")),
        data=Data(**files, text=("text",), label="label", max_length=16),
        train=Train(epochs=8, batch_size=8, learning_rate=1e-2, precision="float32"),
        stages=(StageSection(name="prediction", losses=(LossSection(name="prediction"),)),),
        cache_dir=str(tmp_path / "cache"),
        out=str(tmp_path / "run"),
    )


def test_the_teacher_reads_its_own_tokens(config: DistillConfig) -> None:
    work = prepare(replace(config, train=replace(config.train, epochs=1)))  # read once: kept all the same
    cached = cache_teacher(work)
    assert set(cached) == {(0, "train"), (0, "dev")}
    for name in ("train", "dev"):
        split = work.splits[name]
        own, theirs = split.tokens, split.for_teacher.tokens
        assert own.lengths.tolist() != theirs.lengths.tolist()
        for row in (0, 7):
            found = cached[0, name](np.array([row]), int(own.lengths[row]))
            assert set(found) == {TEACHER_LOGITS}
            wanted = work.teacher(theirs.padded([row], split.for_teacher.pad_token_id), training=False)["logits"]
            np.testing.assert_allclose(found[TEACHER_LOGITS], wanted, atol=1e-5)


def test_a_run(config: DistillConfig, teacher_run: Path, tinybert: Callable[..., Any]) -> None:
    results = run_distill(config)
    expected = json.loads((teacher_run / "metrics.json").read_text())["model"]
    assert results["teacher"]["accuracy"] == expected["accuracy"]
    assert results["teacher"]["test"] == expected["test"]
    assert results["student"]["accuracy"] > 0.8
    out, given = Path(config.out) / "student", Path(str(config.student.dir))
    assert load_tokenizer(out).vocabulary() == load_tokenizer(given).vocabulary()
    answer = tinybert("predict", out, "the film is lovely")
    assert (answer.status, json.loads(answer.out)["label"]) == (0, "positive")


def test_losses_of_what_is_inside_are_refused(config: DistillConfig) -> None:
    inside = StageSection(name="inside", losses=(LossSection(name="prediction"), LossSection(name="hidden_state")))
    with pytest.raises(InputError) as caught:
        prepare(replace(config, stages=(*config.stages, inside)))
    message = str(caught.value)
    assert message.startswith(f"student {config.student.dir}: its vocabulary differs from the teacher's (")
    assert message.endswith(
        "both must read the same token ids for hidden_state_loss of stage 'inside': only losses of predictions compare "
        "models with different tokenizers."
    )
    assert "\n" not in message
    assert not Path(config.out).exists()


def test_without_a_cache_there_is_no_teacher(config: DistillConfig) -> None:
    with pytest.raises(InputError, match="the teacher must run before training: expected teacher_cache auto, got off"):
        prepare(replace(config, teacher_cache="off"))
    with pytest.raises(InputError, match=r"teacher_cache: train: .* GiB, more than max_disk_gib=1e-09"):
        cache_teacher(prepare(replace(config, max_disk_gib=1e-9)))
