"""`finetune` end to end: what is trained, what is written, what is kept."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from tinybert_tf import SequenceClassifier, TextDataset, TransformerEncoder, load_tokenizer
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import Data, FinetuneConfig, ModelSection, Train
from tinybert_tf.models.heads.tasks import load_for_labels

NUMBERS = {"accuracy", "f1", "f1_macro", "matthews_correlation"}
METRICS = NUMBERS | {"standard_error", "positive_label", "per_class"}
COST = {"parameters", "size_bytes", "latency_ms"}


def log_rows(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        # How long was waited for input is another time in every run.
        return [{name: row[name] for name in row if name != "input_wait"} for row in csv.DictReader(file)]


def test_the_run_directory(teacher_run: Path, opinions: Path, encoder_dir: Path) -> None:
    assert {path.name for path in teacher_run.iterdir()} == {
        "config.yaml", "log.csv", "metrics.json", "model", "resamples.npz", "sources.json", "tensorboard",
    }  # fmt: skip
    assert {path.name for path in (teacher_run / "model").iterdir()} == {
        "config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
        "vocab.txt",
    }  # fmt: skip
    assert list((teacher_run / "tensorboard" / "finetune" / "train").glob("events.out.tfevents.*"))
    files = {split: str(opinions / f"{split}.tsv") for split in ("train", "dev", "test")}
    assert load_config(FinetuneConfig, teacher_run / "config.yaml") == FinetuneConfig(
        model=ModelSection(str(encoder_dir)),
        data=Data(**files, text=("text",), label="label", max_length=16),
        train=Train(epochs=6, batch_size=8, learning_rate=1e-2, precision="float32"),
        out=str(teacher_run),
        metric="accuracy",
        chosen=(),
    )


def test_the_log_and_the_best_epoch(teacher_run: Path) -> None:
    rows = log_rows(teacher_run)
    assert [(row["stage"], int(row["epoch"]), int(row["step"])) for row in rows] == [
        ("finetune", epoch, 10 * epoch) for epoch in range(1, 7)
    ]
    assert rows[0].keys() == {"stage", "epoch", "step", "loss", *(f"dev_{name}" for name in NUMBERS)}
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    best = max(float(row["dev_accuracy"]) for row in rows)
    assert best > 0.8  # the majority class is at 0.5
    assert json.loads((teacher_run / "metrics.json").read_text())["model"]["accuracy"] == best


def test_metrics_are_those_of_the_saved_model(teacher_run: Path, opinions: Path) -> None:
    metrics = json.loads((teacher_run / "metrics.json").read_text())
    assert metrics["data"] == {
        "train": {"rows": 80, "truncated": 0},
        "dev": {"rows": 40, "truncated": 0},
        "test": {"rows": 40, "truncated": 0},
    }
    result = metrics["model"]
    assert result.keys() == METRICS | COST | {"test", "seconds"}
    assert result["test"].keys() == METRICS

    model = SequenceClassifier.from_pretrained(teacher_run, dtype="float32")
    assert list(model.id2label.values()) == ["negative", "positive"]
    assert result["parameters"] == model.count_params()
    dataset = TextDataset.from_file(opinions / "test.tsv", text="text", label="label")
    tokens = load_tokenizer(teacher_run).encode(dataset.texts, 16)
    logits = np.asarray(model(tokens.padded(range(len(tokens)), 0))["logits"])
    labels = dataset.label_ids(["negative", "positive"])
    assert result["test"]["accuracy"] == accuracy_score(labels, logits.argmax(axis=-1))


def test_what_is_said(finetuned: tuple[Path, Any]) -> None:
    _, command = finetuned
    lines = command.err.splitlines()
    assert "float32 (as asked for)" in lines[0]
    assert "newly initialised: classifier.weight, classifier.bias" in lines[1]
    assert lines[2].startswith("train: 80 rows, ")
    assert lines[5] == "labels: 'negative', 'positive'"
    assert all(line.startswith("[finetune] ") for line in lines[6:])
    assert sum("  epoch " in line for line in lines[6:]) == 6
    table, _, meaning = command.out.partition("\n\n")
    assert len(table.splitlines()) == 3
    assert table.splitlines()[-1].startswith("| model | ")
    assert meaning.startswith("model: dev F1 by class (and how many): negative ")


# === Other metrics, pairs and scores ===


@pytest.mark.usefixtures("eager")
def test_another_metric_chooses_the_best_epoch(
    tinybert: Callable[..., Any], encoder_dir: Path, data_flags: list[str], training_flags: list[str], tmp_path: Path
) -> None:
    command = tinybert(
        "finetune", "--model", encoder_dir, *data_flags, *training_flags, "--batch-size", 20, "--epochs", 3,
        "--out", tmp_path / "run", "--metric", "matthews_correlation",
    )  # fmt: skip
    assert command.status == 0, command.err
    rows = log_rows(tmp_path / "run")
    best = max(float(row["dev_matthews_correlation"]) for row in rows)
    measured = json.loads((tmp_path / "run" / "metrics.json").read_text())["model"]["matthews_correlation"]
    assert measured == pytest.approx(best, abs=1e-12)
    assert f" {best:.3f} ± 0." in command.out
    assert "dev matthews_correlation" in command.out


@pytest.mark.usefixtures("eager")
def test_patience_ends_it(
    tinybert: Callable[..., Any], encoder_dir: Path, data_flags: list[str], tmp_path: Path
) -> None:
    """Nothing is learned at this rate: the first epoch is never beaten."""
    command = tinybert(
        "finetune", "--model", encoder_dir, *data_flags, "--precision", "float32", "--learning-rate", "1e-12",
        "--set", "train.patience=2", "--set", "train.schedule=constant", "--epochs", 9, "--out", tmp_path / "run",
    )  # fmt: skip
    assert command.status == 0, command.err
    assert [row["epoch"] for row in log_rows(tmp_path / "run")] == ["1", "2", "3"]


def test_scores_of_pairs(score_teacher: tuple[Path, Any]) -> None:
    run, command = score_teacher
    rows = log_rows(run)
    assert rows[0].keys() == {"stage", "epoch", "step", "loss", "dev_pearson", "dev_spearman"}
    best = max(float(row["dev_pearson"]) for row in rows)
    assert best > 0.7
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["model"].keys() == {"pearson", "spearman", "standard_error", "seconds"} | COST
    assert metrics["model"]["pearson"] == pytest.approx(best, abs=1e-6)
    assert metrics["data"]["train"]["rows"] == 144
    written = json.loads((run / "model" / "config.json").read_text())
    assert (written["problem_type"], written["id2label"]) == ("regression", {"0": "LABEL_0"})
    assert f"| model | {best:.3f} ± {metrics['model']['standard_error']['pearson']:.3f} |" in command.out


def test_a_head_of_one_output_is_kept(score_teacher: tuple[Path, Any], teacher_run: Path) -> None:
    saved = SequenceClassifier.from_pretrained(score_teacher[0])
    np.testing.assert_array_equal(
        load_for_labels(str(score_teacher[0]), "regression", ["LABEL_0"]).classifier.kernel, saved.classifier.kernel
    )
    assert load_for_labels(str(teacher_run), "regression", ["LABEL_0"]).num_labels == 1  # two classes: a new head


# === Labels and heads ===


def test_a_head_with_the_same_labels_is_kept(teacher_run: Path) -> None:
    saved = SequenceClassifier.from_pretrained(teacher_run)
    for names in (["negative", "positive"], ["positive", "negative"], ["LABEL_0", "LABEL_1"]):
        model = load_for_labels(str(teacher_run), "sequence_classification", names)
        assert list(model.id2label.values()) == ["negative", "positive"]
        np.testing.assert_array_equal(model.classifier.kernel.numpy(), saved.classifier.kernel.numpy())


def test_other_labels_get_a_new_head(teacher_run: Path) -> None:
    saved = SequenceClassifier.from_pretrained(teacher_run)
    model = load_for_labels(str(teacher_run), "sequence_classification", ["bad", "good", "so-so"])
    assert list(model.id2label.values()) == ["bad", "good", "so-so"]
    assert model.classifier.kernel.shape == (16, 3)
    np.testing.assert_array_equal(model.encoder.pooler.kernel.numpy(), saved.encoder.pooler.kernel.numpy())


def test_a_new_head_saves_and_loads(encoder_dir: Path, tmp_path: Path) -> None:
    model = load_for_labels(str(encoder_dir), "sequence_classification", ["a", "b", "c"])
    model.save_pretrained(tmp_path)
    loaded = SequenceClassifier.from_pretrained(tmp_path)
    assert loaded.load_report is not None
    assert (loaded.load_report.missing, loaded.load_report.unused) == ((), ())
    encoder = TransformerEncoder.from_pretrained(encoder_dir)
    inputs = {"input_ids": np.array([[2, 5, 3]], "int32"), "attention_mask": np.ones((1, 3), "int32")}
    np.testing.assert_array_equal(loaded(inputs)["logits"], model(inputs)["logits"])
    np.testing.assert_array_equal(loaded(inputs)["last_hidden_state"], encoder(inputs)["last_hidden_state"])


@pytest.mark.usefixtures("eager")
def test_from_a_config_with_cut_texts(
    tinybert: Callable[..., Any], encoder_dir: Path, opinions: Path, tmp_path: Path
) -> None:
    """Integers as labels, a .jsonl file, a cap on the steps, and texts longer than `max_length`."""
    rows = TextDataset.from_file(opinions / "dev.tsv", text="text", label="label")
    for name in ("train", "dev"):
        lines = [
            json.dumps({"review": text if number % 2 else f"{text} {text}", "stars": number % 3})
            for number, text in enumerate(rows.texts)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "run.yaml").write_text(
        f"model: {{dir: {encoder_dir}}}\n"
        f"data: {{train: {tmp_path}/train.jsonl, dev: {tmp_path}/dev.jsonl, text: review, label: stars,"
        " max_length: 9}\n"
        f"train: {{max_steps: 3, batch_size: 16, precision: float32}}\n"
        f"out: {tmp_path}/run\n"
    )
    command = tinybert("finetune", tmp_path / "run.yaml")
    assert command.status == 0, command.err
    assert "train: 40 rows, 7.6 tokens on average; 20 cut at 9 tokens" in command.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["data"] == {name: {"rows": 40, "truncated": 20} for name in ("train", "dev")}
    assert [row["step"] for row in log_rows(tmp_path / "run")] == ["3"]
    model = SequenceClassifier.from_pretrained(tmp_path / "run")
    assert list(model.id2label.values()) == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_one_label_is_refused(tinybert: Callable[..., Any], encoder_dir: Path, tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("text\tlabel\na film\t1\nthe plot\t1\n")
    command = tinybert(
        "finetune", "--model", encoder_dir, "--train", tmp_path / "train.tsv", "--dev", tmp_path / "dev.tsv",
        "--text", "text", "--label", "label", "--out", tmp_path / "run",
    )  # fmt: skip
    assert command.status == 2
    assert command.err == f"tinybert: {tmp_path / 'train.tsv'}: all labels are '1'; expected at least two labels.\n"


def test_a_run_without_a_dev_file_holds_rows_out(
    tinybert: Callable[..., Any], encoder_dir: Path, opinions: Path, training_flags: list[str], tmp_path: Path
) -> None:
    """One in five texts of each label; `distill` holds out the same ones, and `export` is verified on them."""
    files = ["--train", opinions / "train.tsv", "--text", "text", "--label", "label", "--max-length", 16]
    flags = [*files, "--dev", "0.2", *training_flags]
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    command = tinybert("finetune", "--model", encoder_dir, *flags, "--epochs", 4, "--out", teacher)
    assert command.status == 0, command.err
    assert f"dev: 16 of 80 rows are held out of {opinions / 'train.tsv'}, seed 1" in command.err
    weak = ["--allow-weak-teacher", "--max-steps", 1]
    command = tinybert("distill", "--teacher", teacher, *flags, *weak, "--out", student)
    assert command.status == 0, command.err
    ours, theirs = (json.loads((run / "metrics.json").read_text()) for run in (student, teacher))
    assert ours["data"]["train"]["rows"] == theirs["data"]["train"]["rows"] == 64
    for name in ("accuracy", "per_class"):
        assert ours["teacher"][name] == theirs["model"][name]
    assert {each["support"] for each in theirs["model"]["per_class"].values()} == {8}
    written = (teacher / "config.yaml").read_text()
    assert "  dev: 0.2\n" in written
    assert "  dev_seed: 1\n" in written
    exported = tinybert("export", teacher, "--format", "hf", "--out", tmp_path / "export")
    assert f"16 rows of {opinions / 'train.tsv'}" in exported.out, exported.err
