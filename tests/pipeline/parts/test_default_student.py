"""The default student: which sizes there are to choose from, and which one a teacher's texts choose."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier, load_tokenizer
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import Data, DistillConfig, StudentSection, TeacherSection, Train
from tinybert_tf.pipeline.parts import default_student
from tinybert_tf.pipeline.parts.default_student import candidates, choose_student, describe_rule
from tinybert_tf.pipeline.parts.distillation import Distillation, prepare
from tinybert_tf.pipeline.parts.training import give_first_weights
from tinybert_tf.pipeline.runs.run import Run


@pytest.fixture(autouse=True)
def log_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tinybert_tf")


WIDE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)


def test_the_sizes_to_choose_from() -> None:
    assert candidates(EncoderConfig()) == ["tiny", "small", "medium"]
    assert candidates(EncoderConfig(hidden_size=16, num_attention_heads=2)) == ["medium"]


def test_a_size_with_more_than_half_of_the_parameters_is_left_out() -> None:
    """24 of 32 channels of a teacher of one layer are (24/32)^2 = 0.56 of it."""
    one_layer = EncoderConfig(num_hidden_layers=1, hidden_size=32, num_attention_heads=3, head_dim=11)
    assert candidates(one_layer) == ["medium"]
    assert candidates(dataclasses.replace(one_layer, num_hidden_layers=2)) == ["small", "medium"]


def test_the_rule_in_words() -> None:
    assert describe_rule(["medium"]) == "medium, as no smaller size differs from it"
    assert describe_rule(["tiny", "small", "medium"]) == (
        f"the smallest of tiny, small whose cut misses at most {default_student.LARGEST_DISAGREEMENT:.1%} of the "
        f"teacher's answers to held-back texts, or else medium"
    )


@pytest.fixture(scope="module")
def wide_teacher(encoder_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that was never trained, 32 wide: its answers hang on all of its channels."""
    directory = tmp_path_factory.mktemp("wide")
    tokenizer = load_tokenizer(encoder_dir)
    keras.utils.set_random_seed(3)
    config = EncoderConfig(vocab_size=tokenizer.vocab_size, max_position_embeddings=24, initializer_range=0.5, **WIDE)
    model = SequenceClassifier(config, id2label=["negative", "positive"], dtype="float32")
    model.save_pretrained(directory, tokenizer=tokenizer)
    return directory


@pytest.fixture(scope="module")
def narrow_teacher(wide_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but all of its hidden states lie in four directions, and in that of LayerNorm's mean."""
    directory = tmp_path_factory.mktemp("narrow")
    model = SequenceClassifier.from_pretrained(wide_teacher, dtype="float32")
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.normal(size=(32, 4)))[0]
    for name, variable in model.variables_by_name().items():
        if name.endswith(("embeddings", "output_projection/kernel")):
            variable.assign(variable.numpy() @ basis @ basis.T)
    model.save_pretrained(directory, tokenizer=load_tokenizer(wide_teacher))
    return directory


@pytest.fixture
def work(opinions: Path, tmp_path: Path) -> Callable[..., Distillation]:
    """Prepares a distillation that leaves the student open."""

    def work(teacher: Path, **student: Any) -> Distillation:
        files = {split: str(opinions / f"{split}.tsv") for split in ("train", "dev")}
        config = DistillConfig(
            teacher=TeacherSection(str(teacher)),
            student=StudentSection(**student),
            data=Data(**files, text=("text",), label="label", max_length=16),
            train=Train(epochs=1, batch_size=8, precision="float32"),
            out=str(tmp_path / "run"),
        )
        return prepare(config, Run(config))

    return work


def test_the_smallest_that_is_good_enough(
    work: Callable[..., Distillation], narrow_teacher: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = work(narrow_teacher)
    chosen, cut = choose_student(before)
    assert chosen.config.student == StudentSection(size="tiny")
    assert before.run.config == chosen.config
    assert chosen.student.config.hidden_size == 16
    assert chosen.distillers[0].student is chosen.student
    assert chosen.distillers[0].teacher is before.distillers[0].teacher
    assert cut.basis.shape == (32, 16)
    (tiny,) = [line for line in caplog.messages if line.startswith("student: tiny, 1 x 16: misses ")]
    assert tiny.endswith(" of its answers, on 40 texts held back from the cut")  # no row of train is left: dev's
    assert f"student: tiny, 1 x 16: {describe_rule(['tiny', 'small', 'medium'])}" in caplog.text
    assert "student: small" not in caplog.text  # it is never cut


def test_the_largest_where_none_is_good_enough(
    work: Callable[..., Distillation],
    wide_teacher: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(default_student, "LARGEST_DISAGREEMENT", -1.0)
    chosen, _ = choose_student(work(wide_teacher))
    assert chosen.config.student == StudentSection(size="medium")
    assert [line.split(",")[0] for line in caplog.messages if " misses " in line and "texts held" in line] == [
        "student: tiny", "student: small", "student: medium",
    ]  # fmt: skip


def test_rows_of_train_that_the_cut_does_not_use(
    work: Callable[..., Distillation],
    wide_teacher: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(default_student, "FEWEST_TEXTS", 20)
    prepared = work(wide_teacher)
    cut = dataclasses.replace(prepared.config.student.cut, num_texts=60)
    student = dataclasses.replace(prepared.config.student, cut=cut)
    choose_student(dataclasses.replace(prepared, config=dataclasses.replace(prepared.config, student=student)))
    assert "on 20 texts held back from the cut" in caplog.text


def test_a_chosen_student_is_that_of_its_name(work: Callable[..., Distillation], narrow_teacher: Path) -> None:
    """Weights, projections and the states of the generators are those of `--student tiny`, and of what is made next."""
    chosen = give_first_weights(work(narrow_teacher))
    drawn = random.random()
    named = give_first_weights(work(narrow_teacher, size="tiny"))
    assert random.random() == drawn
    assert chosen.config == named.config
    for ours, theirs in zip(chosen.distillers, named.distillers, strict=True):
        for one, other in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


@pytest.fixture
def flags(narrow_teacher: Path, data_flags: list[str], training_flags: list[str], tmp_path: Path) -> list[object]:
    """A distillation from flags alone, whose teacher need not be good."""
    shared = ["--teacher", narrow_teacher, *data_flags, *training_flags, "--allow-weak-teacher"]
    return [*shared, "--max-steps", 2, "--out", tmp_path / "run"]


@pytest.mark.usefixtures("eager")
def test_a_run_keeps_its_choice(
    tinybert: Callable[..., Any], flags: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command, with another threshold, prints the table; the name that it chose is the same run too."""
    first = tinybert("distill", *flags)
    assert first.status == 0, first.err
    assert load_config(DistillConfig, tmp_path / "run" / "config.yaml").student == StudentSection(size="tiny")
    monkeypatch.setattr(default_student, "LARGEST_DISAGREEMENT", -1.0)
    for more in ([], ["--student", "tiny"]):
        again = tinybert("distill", *flags, *more)
        assert (again.status, again.out) == (0, first.out), again.err
    other = tinybert("distill", *flags, "--student", "small")
    assert other.status == 2
    assert "another config (there student.size=tiny, here student.size=small)" in other.err
    (tmp_path / "run" / "metrics.json").unlink()  # as if interrupted before its first checkpoint
    assert tinybert("distill", *flags).status == 0
    assert load_config(DistillConfig, tmp_path / "run" / "config.yaml").student == StudentSection(size="tiny")
    anew = tinybert("distill", *flags, "--overwrite")
    assert anew.status == 0
    assert load_config(DistillConfig, tmp_path / "run" / "config.yaml").student == StudentSection(size="medium")


@pytest.mark.usefixtures("eager")
def test_a_compression_takes_it_too(tinybert: Callable[..., Any], flags: list[object], tmp_path: Path) -> None:
    """Its steps are those of the student that was chosen: 16 wide with 32 units, of which 24 stay."""
    command = tinybert("compress", *flags, "--set", "structure={intermediate_size: 24}")
    assert command.status == 0, command.err
    assert load_config_of(tmp_path / "run" / "student").hidden_size == 16
    assert load_config_of(tmp_path / "run" / "student").intermediate_size == 24


@pytest.mark.usefixtures("eager")
def test_all_runs_of_an_ablation_have_the_size_of_the_first(
    tinybert: Callable[..., Any], flags: list[object], tmp_path: Path
) -> None:
    variants = ["--set", "variants=[random, {name: copy, set: {student.init: layers}}]", "--seeds", "1", "--no-plot"]
    command = tinybert("ablate", *flags, *variants)
    assert command.status == 0, command.err
    runs = tmp_path / "run" / "runs"
    widths = {path.parts[-3]: load_config_of(path).hidden_size for path in runs.glob("*/*/student")}
    assert widths == {"base": 16, "random": 16, "copy": 32}
    assert command.err.count(" texts held back from the cut") == 1
    again = tinybert("ablate", *flags, *variants)
    assert (again.status, again.out) == (0, command.out)


def load_config_of(directory: Path) -> EncoderConfig:
    return EncoderConfig.from_json(directory / "config.json")


def test_the_teachers_cache_does_not_ask_for_the_size(tinybert: Callable[..., Any], flags: list[object]) -> None:
    """It keeps what students of every size compare."""
    command = tinybert("cache-teacher", *flags)
    assert command.status == 0, command.err
    assert "held back" not in command.err


def test_explain_shows_all_sizes(tinybert: Callable[..., Any], flags: list[object]) -> None:
    command = tinybert("explain", *flags)
    assert command.status == 0, command.err
    row = next(line for line in command.out.splitlines() if line.startswith("| hidden_size "))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["32", "16", "20", "32"]
    assert f"student: {describe_rule(['tiny', 'small', 'medium'])}\n" in command.out
    named = tinybert("explain", *flags, "--student", "small")
    row = next(line for line in named.out.splitlines() if line.startswith("| hidden_size "))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["32", "20"]
    assert "the smallest of" not in named.out
