"""`pretrain` end to end: from scratch, going on, general distillation, interrupted anywhere."""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tinybert_tf import (
    BertPretraining,
    Corpus,
    InputError,
    MaskedLM,
    Masking,
    PretrainingBatches,
    SequenceClassifier,
    TransformerEncoder,
    load_tokenizer,
    train_wordpiece,
)
from tinybert_tf.config.load import load_config
from tinybert_tf.config.pretraining import CorpusSection, PretrainConfig
from tinybert_tf.config.schema import StudentSection, TeacherSection, Train
from tinybert_tf.data.corpus.masking import NO_LABEL
from tinybert_tf.evaluation.perplexity import masked_lm_metrics
from tinybert_tf.pipeline import pretrain
from tinybert_tf.pipeline.parts.student import build_student

TOPICS = {"film": ["actor", "scene", "plot"], "meal": ["soup", "bread", "spice"], "match": ["goal", "team", "coach"]}
MASKED_LM = {"masked_tokens_loss", "perplexity", "masked_tokens_accuracy"}
LOSSES = {"embedding_loss", "attention_loss", "hidden_state_loss"}
MODEL_FILES = {
    "config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
    "vocab.txt",
}  # fmt: skip

# The last lines of a process that the system ends without a word: the third checkpoint is written, and nothing after.
KILLED_AFTER_TWO_CHECKPOINTS = """
import os, signal, sys
from tinybert_tf.cli import main
from tinybert_tf.training.run_checkpoint import RunCheckpoint

save, saved = RunCheckpoint.save, []

def save_twice(self, notes):
    if len(saved) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    saved.append(notes)
    save(self, notes)

RunCheckpoint.save = save_twice
main(sys.argv[1:])
"""


def write_corpus(path: Path, num_documents: int, seed: int) -> Path:
    """Documents of a question and its answer: the words of a topic, and which of the two follows, can be learned."""
    draw = random.Random(seed)
    documents = []
    for _ in range(num_documents):
        topic = draw.choice(sorted(TOPICS))
        one, other = draw.choices(TOPICS[topic], k=2)
        documents.append(f"who liked the {one} of the {topic}\nthey say the {other} was good")
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


def interrupt_before_saving(tinybert: Callable[..., Any], arguments: list[Any], model_class: type = MaskedLM) -> None:
    """Run the command up to where all is trained, and stop it as Ctrl-C does."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(model_class, "save_pretrained", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tinybert(*arguments)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train.txt`, `dev.txt` and the `tokenizer` of their words."""
    directory = tmp_path_factory.mktemp("raw")
    train = write_corpus(directory / "train.txt", 80, seed=1)
    write_corpus(directory / "dev.txt", 40, seed=2)
    train_wordpiece(train.read_text().splitlines(), vocab_size=100).save_pretrained(directory / "tokenizer")
    return directory


@pytest.fixture(scope="module")
def corpus_flags(raw: Path) -> list[object]:
    files = ["--corpus", raw / "train.txt", "--dev", raw / "dev.txt", "--max-length", 20]
    return [*files, "--batch-size", 20, "--precision", "float32"]


@pytest.fixture(scope="module")
def scratch_flags(raw: Path, corpus_flags: list[object]) -> list[object]:
    """A model of one layer, 150 steps at one rate, and checkpoints that do not divide them."""
    sizes = {"num_hidden_layers": 1, "hidden_size": 48, "intermediate_size": 64}
    settings = {
        **{f"model.{name}": size for name, size in sizes.items()},
        "checkpoint_every": 40,
        "train.schedule": "constant",
    }
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    steps = ["--epochs", 30, "--max-steps", 150, "--learning-rate", "5e-3"]
    return ["--model", "bert-tiny", "--tokenizer", raw / "tokenizer", *corpus_flags, *steps, *given]


@pytest.fixture(scope="module")
def scratch(
    tinybert: Callable[..., Any], scratch_flags: list[object], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """The run directory of a pretraining from scratch, and what the command said."""
    out = tmp_path_factory.mktemp("runs") / "scratch"
    command = tinybert("pretrain", *scratch_flags, "--out", out)
    assert command.status == 0, command.err
    return out, command


@pytest.fixture(scope="module")
def general_flags(opinions: Path, encoder_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A narrower student of an encoder, on the texts of `opinions`."""
    directory = tmp_path_factory.mktemp("texts")
    for split in ("train", "dev"):
        texts = [line.split("\t")[0] for line in (opinions / f"{split}.tsv").read_text().splitlines()[1:]]
        documents = ["\n".join(texts[first : first + 4]) for first in range(0, len(texts), 4)]
        (directory / f"{split}.txt").write_text("\n\n".join(documents) + "\n")
    files = ["--corpus", directory / "train.txt", "--dev", directory / "dev.txt", "--max-length", 24]
    values = ["--batch-size", 16, "--precision", "float32", "--learning-rate", "1e-2", "--epochs", 8]
    sizes = ["--set", "model.hidden_size=12", "--set", "model.num_hidden_layers=1", "--set", "checkpoint_every=10"]
    return ["--teacher", encoder_dir, *files, *values, *sizes]


@pytest.fixture(scope="module")
def general(
    tinybert: Callable[..., Any], general_flags: list[object], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """The run directory of a general distillation, and what the command said."""
    out = tmp_path_factory.mktemp("runs") / "general"
    command = tinybert("pretrain", *general_flags, "--out", out)
    assert command.status == 0, command.err
    return out, command


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch, tinybert: Callable[..., Any]) -> Callable[..., pretrain.Pretraining]:
    """What a command line would train; it trains nothing."""

    def prepare(*arguments: object) -> pretrain.Pretraining:
        found: list[pretrain.Pretraining] = []

        def stop(work: pretrain.Pretraining) -> None:
            found.append(work)
            raise InputError("stopped here")

        with monkeypatch.context() as patched:
            patched.setattr(pretrain, "_train", stop)
            command = tinybert("pretrain", *arguments)
        assert found, command.err
        return found[0]

    return prepare


def log_rows(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        # How long was waited for input is another time in every run.
        return [{name: row[name] for name in row if name != "input_wait"} for row in csv.DictReader(file)]


def metrics_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text())["model"]


def weights_of(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def content(directory: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


def dev_batches(run: Path, masking: Masking | None = Masking(), next_sentence: bool = True) -> PretrainingBatches:  # noqa: B008
    corpus = Corpus.open(run / "corpus" / "dev")
    tokenizer = load_tokenizer(run)
    return PretrainingBatches(corpus, tokenizer, 32, 0, 20, masking, next_sentence)


# === From scratch ===


def test_the_run_directory(scratch: tuple[Path, Any], raw: Path) -> None:
    out, _ = scratch
    assert {path.name for path in out.iterdir()} == {
        "config.yaml", "corpus", "log.csv", "metrics.json", "model", "sources.json", "tensorboard"
    }  # fmt: skip
    assert {path.name for path in (out / "model").iterdir()} == MODEL_FILES
    assert {path.name for path in (out / "corpus").iterdir()} == {"train", "dev"}
    assert list((out / "tensorboard" / "pretrain" / "train").glob("events.out.tfevents.*"))
    assert load_config(PretrainConfig, out / "config.yaml") == PretrainConfig(
        model=StudentSection(preset="bert-tiny", num_hidden_layers=1, hidden_size=48, intermediate_size=64),
        tokenizer=str(raw / "tokenizer"),
        corpus=CorpusSection((str(raw / "train.txt"),), str(raw / "dev.txt"), max_length=20),
        train=Train(
            epochs=30, max_steps=150, batch_size=20, learning_rate=5e-3, schedule="constant", precision="float32"
        ),
        checkpoint_every=40,
        out=str(out),
    )


def test_it_learns_both(scratch: tuple[Path, Any], raw: Path) -> None:
    """More than how often a token comes, and more than how often a segment follows."""
    metrics = metrics_of(scratch[0])
    tokenizer = load_tokenizer(scratch[0])
    assert metrics["before"]["perplexity"] == pytest.approx(tokenizer.vocab_size, rel=0.2)
    counts = Counter(tokenizer.pieces((raw / "dev.txt").read_text().split("\n"))[0].tolist())
    fractions = np.array([*counts.values()]) / counts.total()
    assert metrics["perplexity"] < np.exp(-(fractions * np.log(fractions)).sum()) / 2
    follows = np.concatenate([labels["next_sentence"] for _, labels in dev_batches(scratch[0])])
    assert metrics["next_sentence_accuracy"] > max(follows.mean(), 1 - follows.mean()) + 0.1
    rows = log_rows(scratch[0])
    assert float(rows[-1]["next_sentence_loss"]) < float(rows[0]["next_sentence_loss"]) - 0.1


def test_metrics_are_of_what_is_saved(scratch: tuple[Path, Any]) -> None:
    out, _ = scratch
    found = json.loads((out / "metrics.json").read_text())
    model = BertPretraining.from_pretrained(out, dtype="float32")
    again = masked_lm_metrics(model, dev_batches(out))
    assert again.keys() == MASKED_LM | {"next_sentence_accuracy"} == found["model"]["before"].keys()
    assert {name: found["model"][name] for name in again} == pytest.approx(again, rel=1e-5)
    assert found["model"].keys() == again.keys() | {"before", "parameters", "steps", "seconds"}
    assert found["model"]["parameters"] == sum(variable.numpy().size for variable in model.weights)
    assert found["model"]["steps"] == 150
    assert found["data"] == {
        name: {"documents": documents, "sentences": 2 * documents, "tokens": 13 * documents, "rows": rows}
        for (name, documents), rows in zip({"train": 80, "dev": 40}.items(), (120, 60), strict=True)
    }


def test_the_log_has_each_checkpoint(scratch: tuple[Path, Any]) -> None:
    out, command = scratch
    rows = log_rows(out)
    assert [(row["stage"], row["checkpoint"], row["step"]) for row in rows] == [
        ("pretrain", "1", "40"), ("pretrain", "2", "80"), ("pretrain", "3", "120"), ("pretrain", "4", "150")
    ]  # fmt: skip
    for row in rows:
        parts = float(row["masked_tokens_loss"]) + float(row["next_sentence_loss"])
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-5)
    last = {name.removeprefix("dev_"): float(value) for name, value in rows[-1].items() if name.startswith("dev_")}
    assert last == {name: metrics_of(out)[name] for name in last}
    assert last.keys() == MASKED_LM | {"next_sentence_accuracy"}
    assert "checkpoint 2  step 80/150  loss " in command.err
    before, after = metrics_of(out)["before"], metrics_of(out)
    assert command.out.startswith(f"{out}/model: 0.0")
    assert f"dev perplexity {before['perplexity']:.4g} before, {after['perplexity']:.4g} after;" in command.out
    follows = "next_sentence_accuracy"
    assert command.out.endswith(f"dev {follows} {before[follows]:.4g} before, {after[follows]:.4g} after\n")


def test_what_is_saved_loads_as_either_model(scratch: tuple[Path, Any]) -> None:
    out, _ = scratch
    both, one = BertPretraining.from_pretrained(out), MaskedLM.from_pretrained(out)
    inputs, _ = dev_batches(out)[0]
    np.testing.assert_array_equal(both(inputs)["logits"], one(inputs)["logits"])
    assert both.load_report is not None
    assert not both.load_report.missing
    assert json.loads((out / "model" / "config.json").read_text())["architectures"] == ["BertForPreTraining"]


# === Interrupted ===


def test_killed_and_interrupted_it_ends_where_it_would_have(
    scratch: tuple[Path, Any], scratch_flags: list[object], tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    """Killed while it trains, then stopped when all is trained and nothing saved: the same weights, the same log."""
    out = tmp_path / "run"
    arguments = ["pretrain", *map(str, scratch_flags), "--out", str(out)]
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_TWO_CHECKPOINTS, *arguments], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [row["step"] for row in log_rows(out)] == ["40", "80", "120"]  # the last of them belongs to no checkpoint
    assert not (out / "metrics.json").exists()
    interrupt_before_saving(tinybert, arguments)
    assert not (out / "model").exists()
    last = tinybert(*arguments)
    assert last.status == 0, last.err
    assert f"{out}: goes on after step 150 of 150\n" in last.err
    assert "corpus: tokenizing" not in last.err

    uninterrupted, _ = scratch
    assert weights_of(out) == weights_of(uninterrupted)
    assert log_rows(out) == log_rows(uninterrupted)
    found, expected = (metrics_of(run) for run in (out, uninterrupted))
    assert found.pop("seconds") > 0
    del expected["seconds"]
    assert found == expected
    assert not (out / "checkpoints").exists()


def test_a_complete_run_says_so(
    scratch: tuple[Path, Any], scratch_flags: list[object], tinybert: Callable[..., Any]
) -> None:
    out, command = scratch
    before = content(out)
    again = tinybert("pretrain", *scratch_flags, "--out", out)
    assert (again.status, again.out) == (0, command.out)
    assert again.err == f"{out}: this run is complete; it measured:\n"
    assert content(out) == before


def test_another_config_in_the_same_directory(
    scratch: tuple[Path, Any], scratch_flags: list[object], tinybert: Callable[..., Any]
) -> None:
    out, _ = scratch
    before = content(out)
    other = tinybert("pretrain", *scratch_flags, "--out", out, "--seed", 2)
    assert (other.status, other.out) == (2, "")
    assert re.fullmatch(
        rf"tinybert: out: {out} holds a run with another config \(there train.seed=1, here train.seed=2\); "
        r"give another directory, or --overwrite to train anew\.\n",
        other.err,
    )
    assert content(out) == before


def test_a_corpus_that_is_bad_when_a_run_goes_on(
    raw: Path, scratch_flags: list[object], prepared: Callable[..., Any], tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    """What was trained so far is kept."""
    text, out = tmp_path / "text.txt", tmp_path / "run"
    text.write_text((raw / "train.txt").read_text())
    arguments = [*scratch_flags, "--corpus", text, "--out", out]
    prepared(*arguments)
    (out / "checkpoints").mkdir()
    (out / "checkpoints" / "last.safetensors").write_text("hours of work")
    before = content(out)
    text.write_text("one document\n")
    refused = tinybert("pretrain", *arguments)
    assert refused.status == 2
    assert f"{out}: corpus file {text} has changed since this run began" in refused.err
    assert content(out) == before


def test_another_text_when_a_run_goes_on(
    raw: Path, scratch_flags: list[object], tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "run"
    text.write_text((raw / "train.txt").read_text())
    arguments = ["pretrain", *scratch_flags, "--corpus", text, "--out", out, "--max-steps", 2]
    interrupt_before_saving(tinybert, arguments)
    write_corpus(text, 80, seed=3)
    refused = tinybert(*arguments)
    assert (refused.status, refused.out) == (2, "")
    assert f"{out}: corpus file {text} has changed since this run began" in refused.err
    text.write_text((raw / "train.txt").read_text())
    assert tinybert(*arguments).status == 0


# === Going on from a model ===


def test_a_model_goes_on_with_its_masked_lm_alone(
    scratch: tuple[Path, Any], corpus_flags: list[object], tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    source, _ = scratch
    out = tmp_path / "run"
    command = tinybert(
        "pretrain", "--model", source, *corpus_flags, "--learning-rate", "3e-3", "--epochs", 2, "--out", out
    )
    assert command.status == 0, command.err
    metrics = metrics_of(out)
    assert metrics["before"].keys() == MASKED_LM
    started = masked_lm_metrics(MaskedLM.from_pretrained(source), dev_batches(out, next_sentence=False))
    assert metrics["before"] == pytest.approx(started, rel=1e-5)
    assert started["perplexity"] < metrics_of(source)["before"]["perplexity"] / 5
    assert metrics["masked_tokens_loss"] != pytest.approx(started["masked_tokens_loss"], rel=1e-3)
    (row,) = log_rows(out)
    assert not [name for name in row if "next_sentence" in name]
    assert json.loads((out / "model" / "config.json").read_text())["architectures"] == ["BertForMaskedLM"]
    assert load_tokenizer(out).vocabulary() == load_tokenizer(source).vocabulary()


def test_next_sentence_goes_on_where_it_is_asked_for(
    scratch: tuple[Path, Any], corpus_flags: list[object], prepared: Callable[..., Any], tmp_path: Path
) -> None:
    flags = ["--model", scratch[0], *corpus_flags, "--set", "next_sentence=true", "--out", tmp_path / "run"]
    work = prepared(*flags)
    assert isinstance(work.model, BertPretraining)
    source = BertPretraining.from_pretrained(scratch[0])
    for ours, theirs in zip(work.model.weights, source.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert work.measure_dev() == pytest.approx({name: metrics_of(scratch[0])[name] for name in work.measure_dev()})


def test_the_head_alone(
    encoder_dir: Path, general_flags: list[object], tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    """A new head on an encoder that has none, which stays as it is."""
    _, _, *flags = general_flags
    corpus = flags[: flags.index("--set")]
    out = tmp_path / "run"
    more = ["--epochs", 40, "--learning-rate", "3e-2", "--head-only"]
    command = tinybert("pretrain", "--model", encoder_dir, *corpus, *more, "--out", out)
    assert command.status == 0, command.err
    before = TransformerEncoder.from_pretrained(encoder_dir).variables_by_name()
    after = MaskedLM.from_pretrained(out)
    for name, variable in after.encoder.variables_by_name().items():
        np.testing.assert_array_equal(variable, before[name], err_msg=name)
    new = load_file(out / "model" / "model.safetensors")
    assert np.abs(new["cls.predictions.bias"]).max() > 0  # it starts at 0
    metrics = metrics_of(out)
    assert metrics["perplexity"] < 0.7 * metrics["before"]["perplexity"]


@pytest.mark.parametrize("whole_word", [True, False])
def test_whole_words(
    raw: Path, scratch_flags: list[object], prepared: Callable[..., Any], tmp_path: Path, whole_word: bool
) -> None:
    """With a vocabulary of letters and little more, every word has pieces: all are masked, or none."""
    tokenizer = train_wordpiece((raw / "train.txt").read_text().splitlines(), vocab_size=50)
    tokenizer.save_pretrained(tmp_path / "letters")
    flags = [*scratch_flags, "--tokenizer", tmp_path / "letters", "--max-length", 40, "--out", tmp_path / "run"]
    settings = ["--set", f"corpus.whole_word={str(whole_word).lower()}", "--set", "corpus.mask_probability=0.3"]
    work = prepared(*flags, *settings)
    assert work.train.max_predictions == 12
    pieces, special = set(tokenizer.continuation_ids()), set(tokenizer.special_token_ids())
    parts = 0
    for inputs, labels in work.train:
        for row, positions, tokens in zip(
            inputs["input_ids"], inputs["masked_positions"], labels["masked_tokens"], strict=True
        ):
            chosen = dict(zip(positions[tokens != NO_LABEL].tolist(), tokens[tokens != NO_LABEL].tolist(), strict=True))
            row = [chosen.get(column, token) for column, token in enumerate(row.tolist())]
            # A segment may begin inside a word that was cut: what is there of it is a word of its own.
            inner = [column for column, token in enumerate(row) if token in pieces and row[column - 1] not in special]
            parts += sum((column in chosen) != (column - 1 in chosen) for column in inner)
    assert (parts == 0) is whole_word


# === General distillation ===


def test_a_general_student_learns_from_its_teacher(general: tuple[Path, Any]) -> None:
    out, command = general
    assert {path.name for path in (out / "model").iterdir()} == MODEL_FILES
    metrics = metrics_of(out)
    assert metrics["before"].keys() == LOSSES | {"loss"}
    assert metrics.keys() == metrics["before"].keys() | {"before", "parameters", "steps", "seconds"}
    assert metrics["loss"] == pytest.approx(sum(metrics[name] for name in LOSSES), rel=1e-5)
    assert metrics["loss"] < 0.85 * metrics["before"]["loss"]
    rows = log_rows(out)
    assert [int(row["step"]) for row in rows[:2]] == [10, 20]
    assert int(rows[-1]["step"]) == metrics["steps"]
    assert LOSSES | {"loss"} | {f"dev_{name}" for name in (*LOSSES, "loss")} <= rows[0].keys()
    assert float(rows[-1]["loss"]) < 0.9 * float(rows[0]["loss"])
    assert f"dev loss {metrics['before']['loss']:.4g} before, {metrics['loss']:.4g} after" in command.out
    assert "student: cut from the teacher's layers [2] on " in command.err


def test_a_general_student_starts_as_a_part_of_its_teacher(
    general: tuple[Path, Any], general_flags: list[object], prepared: Callable[..., Any], tmp_path: Path
) -> None:
    """Cut, by default; new weights are farther from the teacher."""
    work = prepared(*general_flags, "--set", "model.init=random", "--out", tmp_path / "run")
    work.trained.compile("sgd")
    assert metrics_of(general[0])["before"]["loss"] < 0.8 * work.measure_dev()["loss"]


def test_the_rows_of_a_general_distillation(
    general_flags: list[object], prepared: Callable[..., Any], tmp_path: Path
) -> None:
    """Two segments, nothing masked, no labels; one segment where that is asked for."""
    work = prepared(*general_flags, "--out", tmp_path / "pairs")
    ((inputs,), *_) = work.train
    assert inputs["token_type_ids"].any()
    assert work.tokenizer.mask_token_id not in inputs["input_ids"]
    assert inputs.keys() == {"input_ids", "attention_mask", "token_type_ids"}
    single = prepared(*general_flags, "--set", "next_sentence=false", "--out", tmp_path / "single")
    assert not single.train[0][0]["token_type_ids"].any()


def test_an_interrupted_general_distillation(
    general: tuple[Path, Any], general_flags: list[object], tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    """The projections go on too, and the student is not cut again."""
    out = tmp_path / "run"
    steps = 0

    def interrupted(*_: Any, **__: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == 14:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pretrain.StopAfterSteps, "on_train_batch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tinybert("pretrain", *general_flags, "--out", out)
    again = tinybert("pretrain", *general_flags, "--out", out)
    assert again.status == 0, again.err
    assert "goes on after step 10 of " in again.err
    assert "cut from" not in again.err
    assert weights_of(out) == weights_of(general[0])
    assert log_rows(out) == log_rows(general[0])


def test_task_distillation_starts_from_a_general_student(
    general: tuple[Path, Any], encoder_dir: Path, data_flags: list[str], tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    out, _ = general
    encoder = TransformerEncoder.from_pretrained(encoder_dir)
    teacher = SequenceClassifier(encoder, id2label=["negative", "positive"])
    tokenizer = load_tokenizer(encoder_dir)
    teacher.save_pretrained(tmp_path / "teacher", tokenizer=tokenizer)
    explained = tinybert(
        "explain", "--teacher", tmp_path / "teacher", "--student", out, *data_flags, "--out", tmp_path / "run"
    )
    assert explained.status == 0, explained.err
    student = build_student(StudentSection(dir=str(out)), teacher, tokenizer, "uniform")
    assert (student.num_hidden_layers, student.config.hidden_size) == (1, 12)
    for name, variable in TransformerEncoder.from_pretrained(out).variables_by_name().items():
        np.testing.assert_array_equal(student.encoder.variables_by_name()[name], variable)
    assert student.id2label == {0: "negative", 1: "positive"}


def test_a_general_student_of_ones_own(
    scratch: tuple[Path, Any], corpus_flags: list[object], prepared: Callable[..., Any], tmp_path: Path
) -> None:
    """From a directory, with losses, map and projections of its own."""
    config = tmp_path / "run.yaml"
    config.write_text(
        "losses: [attention, {name: hidden_state, weight: 0.5}]\nlayer_map: [[1, 1]]\nprojections: per_layer\n"
    )
    flags = ["--teacher", scratch[0], "--model", scratch[0], *corpus_flags, "--out", tmp_path / "run"]
    work = prepared(config, *flags)
    assert [comparison.loss.name for comparison in work.trained.comparisons] == ["attention_loss", "hidden_state_loss"]
    assert work.trained.layer_map.layer_pairs() == ((1, 1),)
    source = TransformerEncoder.from_pretrained(scratch[0])
    for name, variable in work.model.variables_by_name().items():
        np.testing.assert_array_equal(variable, source.variables_by_name()[name])
    work.trained.compile("sgd")
    assert work.measure_dev()["loss"] == pytest.approx(0.0, abs=1e-9)


def test_python_gets_what_the_file_holds(scratch: tuple[Path, Any]) -> None:
    config = load_config(PretrainConfig, scratch[0] / "config.yaml")
    assert pretrain.run_pretrain(config) == json.loads((scratch[0] / "metrics.json").read_text())
    with pytest.raises(InputError, match="holds a run with another config"):
        pretrain.run_pretrain(dataclasses.replace(config, teacher=TeacherSection("bert"), tokenizer=None))


def test_another_teacher_when_a_run_goes_on(
    encoder_dir: Path, general_flags: list[object], tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    teacher, out = tmp_path / "teacher", tmp_path / "run"
    shutil.copytree(encoder_dir, teacher)
    arguments = ["pretrain", *general_flags, "--teacher", teacher, "--max-steps", 3, "--out", out]
    interrupt_before_saving(tinybert, arguments, TransformerEncoder)
    encoder = TransformerEncoder.from_pretrained(teacher)
    encoder.weights[0].assign(encoder.weights[0] + 1.0)
    encoder.save_pretrained(teacher)
    refused = tinybert(*arguments)
    assert (refused.status, refused.out) == (2, "")
    assert f"{out}: teacher file {teacher}: model.safetensors has changed since this run began" in refused.err
