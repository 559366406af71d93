"""`explain`: config, sizes, first weights, steps and layer maps, without a weight read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import LayerMap, QuestionAnswering, SequenceClassifier
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.pipeline.parts.distillation import prepare

Explain = Callable[..., Any]


@pytest.fixture
def explain(tinybert: Callable[..., Any], teacher_run: Path, data_flags: list[str]) -> Explain:
    return lambda *arguments: tinybert("explain", "--teacher", teacher_run, *data_flags, "--out", "run", *arguments)


def cells(text: str, name: str) -> list[str]:
    row = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in row.split("|")[2:-1]]


def test_everything_is_said(explain: Explain, opinions: Path, tmp_path: Path) -> None:
    command = explain("--batch-size", 32, "--max-steps", 4, "--learning-rate", "2e-5")
    assert (command.status, command.err) == (0, "")
    assert cells(command.out, "num_hidden_layers") == ["2", "1"]
    assert cells(command.out, "hidden_size") == ["16", "16"]
    assert "student starts from: cut" in command.out
    # 80 rows: 3 steps an epoch.
    assert "stage intermediate: 4 steps of 32, learning rate 2e-05, linear after 0 steps of warm-up\n" in command.out
    assert f"data = 80 rows of {opinions / 'train.tsv'}, for 4 steps\n" in command.out
    assert "best epoch: by dev accuracy\n" in command.out
    assert "ends early" not in command.out
    assert "loss = 1 x embedding_loss + 1 x attention_loss + 1 x hidden_state_loss" in command.out
    inside = "student  teacher\n      0        0  embedding output\n      1        2\n\n"
    assert f"hidden_state_loss\n{inside}" in command.out  # no prediction, which none of these losses reads
    assert command.out.rstrip().endswith(str(LayerMap.from_pairs([], 1, 2)))
    config, _, _ = command.out.partition("\n\n")
    (tmp_path / "run.yaml").write_text(config)
    assert load_config(DistillConfig, tmp_path / "run.yaml").train.max_steps == 4


def test_the_parts_of_long_texts_are_the_rows(tinybert: Callable[..., Any], teacher_run: Path, tmp_path: Path) -> None:
    """Of 16 tokens 11 are beside [CLS] the film [SEP] [SEP], and parts begin 8 apart: 20 words are 3 parts."""
    questions = [{"question": "the film", "answers": [{"text": "good", "answer_start": 0}]}]
    content = {"data": [{"paragraphs": [{"context": " ".join(["good"] * 20), "qas": questions}]}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    flags = ["--teacher", teacher_run, "--train", path, "--dev", path, "--max-length", 16, "--out", tmp_path / "run"]
    command = tinybert("explain", "--task", "question_answering", *flags, "--batch-size", 1)
    assert command.status == 0, command.err
    assert f"data = 3 rows of {path}, 10 times\n" in command.out
    assert "stage intermediate: 30 steps of 1," in command.out
    classifier = SequenceClassifier.from_pretrained(teacher_run)
    answering = QuestionAnswering(classifier.config)
    assert cells(command.out, "parameters")[0] == f"{answering.count_params():,}"


def test_a_deeper_student_that_learns_predictions_alone(explain: Explain) -> None:
    deeper = explain("--set", "student.num_hidden_layers=9", "--set", "stages=[{name: p, losses: [prediction]}]")
    assert deeper.status == 0, deeper.err
    assert "student starts from: random" in deeper.out


def test_flags_win_over_stages(explain: Explain, tmp_path: Path) -> None:
    stages = "stages: [{name: one, losses: [prediction], epochs: 5}, {name: two, losses: [prediction], max_steps: 7}]"
    (tmp_path / "run.yaml").write_text(f"{stages}\ntrain: {{batch_size: 8}}\n")

    def steps(*flags: object) -> list[str]:
        out = explain(tmp_path / "run.yaml", *flags).out
        return [line.split(": ")[1].split(" ")[0] for line in out.splitlines() if line.startswith("stage ")]

    assert steps() == ["50", "7"]
    assert steps("--epochs", 1) == ["10", "7"]
    assert steps("--max-steps", 9) == ["9", "9"]
    assert steps("--max-steps", 45) == ["45", "45"]
    assert steps("--epochs", 1, "--set", "stages.1.max_steps=3") == ["10", "3"]
    assert steps("--epochs", 1, "--set", "stages.1.max_steps=35") == ["10", "10"]
    out = explain(tmp_path / "run.yaml", "--set", "stages.0.max_steps=9").out
    assert ", 5 times, at most 9 steps\n" in out
    assert ", for 7 steps\n" in out


def test_stages_with_files_schedules_and_early_ends_of_their_own(explain: Explain, tmp_path: Path) -> None:
    more = tmp_path / "more.tsv"
    more.write_text("text\n" + "her acting is good\n" * 11)
    (tmp_path / "run.yaml").write_text(
        "metric: f1\n"
        "stages:\n"
        f"  - {{name: one, losses: [attention, {{name: hidden_state, weight: {{start: 1, end: 0.5, steps: 9}}}}],"
        f" train: {more}, epochs: 5, patience: 2, schedule: constant,"
        " warmup_fraction: 0.0}\n"
        "  - {name: two, losses: [prediction], epochs: 4, patience: 1, schedule: cosine}\n"
        "train: {batch_size: 8}\n"
    )
    out = explain(tmp_path / "run.yaml").out
    _, one, two = out.split("\nstage ")
    assert one.splitlines()[:4] == [
        "one: 10 steps of 8, learning rate 0.001, constant after 0 steps of warm-up",
        f"data = 11 rows of {more}, 5 times",
        "ends early after 2 epochs without a lower dev loss",
        "loss = 1 x attention_loss + 1 to 0.5 in 9 steps x hidden_state_loss",
    ]
    lines = two.splitlines()
    assert lines[0] == "two: 40 steps of 8, learning rate 0.001, cosine after 4 steps of warm-up"
    assert lines[1].startswith("data = 80 rows of ")
    assert lines[2] == "ends early after 1 epoch without a higher dev f1"
    refused = explain(tmp_path / "run.yaml", "--baseline")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == f"tinybert: {more}: no column 'label'; it has 'text'\n"


def test_scores(tinybert: Callable[..., Any], score_teacher: tuple[Path, Any], score_flags: list[str]) -> None:
    command = tinybert("explain", "--teacher", score_teacher[0], *score_flags, "--out", "run")
    assert command.status == 0, command.err
    model = SequenceClassifier.from_pretrained(score_teacher[0])
    assert cells(command.out, "parameters")[0] == f"{model.count_params():,}"
    assert "best epoch: by dev pearson" in command.out
    refused = tinybert("explain", "--teacher", score_teacher[0], *score_flags, "--out", "run", "--label", "first")
    assert refused.status == 2
    assert "train.tsv:2: label 'the film is good'; expected a number" in refused.err


@pytest.mark.parametrize(
    "flags",
    [[], ["--student", "bert-tiny"], ["--set", "student.hidden_size=8", "--set", "student.intermediate_size=20"]],
)
def test_parameters_are_those_of_the_built_models(explain: Explain, flags: list[str], tmp_path: Path) -> None:
    command = explain("--precision", "float32", *flags)
    config, _, _ = command.out.partition("\n\n")
    (tmp_path / "run.yaml").write_text(config)
    work = prepare(load_config(DistillConfig, tmp_path / "run.yaml", {"out": str(tmp_path / "run")}))
    counts = [f"{model.count_params():,}" for model in (work.teacher, work.student)]
    assert cells(command.out, "parameters") == counts


def test_labels_are_the_teachers(explain: Explain, teacher_run: Path, tmp_path: Path) -> None:
    """Counted from its config, also where the training file shows fewer of them; no weights are read."""
    encoder = SequenceClassifier.from_pretrained(teacher_run).encoder
    model = SequenceClassifier(encoder, num_labels=3, id2label=["negative", "positive", "neither"])
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert cells(explain("--teacher", tmp_path).out, "parameters")[0] == f"{model.count_params():,}"


def test_what_cannot_be_is_refused(explain: Explain, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("stages: [{name: one, losses: [prediction], layer_map: [[1, 9]]}]\n")
    command = explain(tmp_path / "run.yaml")
    assert (command.status, command.out) == (2, "")
    assert "pair (1, 9) names teacher layer 9; the teacher has layers 0 to 3" in command.err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "in sequence_classification, got 'pearson'" in explain("--metric", "pearson").err
    assert (
        f"{empty}: expected a Hugging Face model directory, found no config.json in it"
        in explain("--teacher", empty).err
    )
    assert explain("--student", "mini").err.startswith("tinybert: --student 'mini' is neither a directory nor a size")


def test_a_compression_says_its_steps(explain: Explain, distilled_run: Path, tmp_path: Path) -> None:
    steps = tmp_path / "compress.yaml"
    steps.write_text(
        "structure: {num_attention_heads: 1, rounds: 2}\npruning: {sparsity: 0.875, begin: 0.004, end: 4}\n"
        "clustering: {num_clusters: 8}\nexport: {quantize: dynamic_int8}\n",
        encoding="utf-8",
    )
    command = explain(steps, "--student", distilled_run)
    assert (command.status, command.err) == (0, "")
    assert command.out.splitlines()[-4:] == [
        "structure: num_attention_heads=1 a layer, in 2 rounds, each through all stages",
        "pruning: 87.5% of each kernel zero (unstructured), polynomial from 0.4% of the steps to step 4, "
        "through all stages",
        "clustering: 8 values a matrix, after training",
        "export: litert, dynamic_int8",
    ]
    assert "stage compress: 30 steps" in command.out
    assert command.out.splitlines()[-9:-4] == [
        "structure-1: compress, 30 steps",
        "structure-2: compress, 30 steps",
        "pruning: compress, 30 steps",
        "all training: 90 steps",
        "",
    ]
    quantized = explain("--student", distilled_run, "--set", "quantization={calibration_texts: 32}")
    assert quantized.out.splitlines()[-2:] == [
        "quantization: int8, ranges from 32 texts, through all stages",
        "export: litert, int8",
    ]
    for setting, message in (
        ("pruning.sparsity=1.5", "pruning.sparsity"),
        ("pruning.end=40", "end: expected a step up to 30, the last of the stages, got 40"),
        ("structure.intermediate_size=1000", "intermediate_size: expected 1 to the model's"),
    ):
        refused = explain("--student", distilled_run, "--set", setting)
        assert refused.status == 2
        assert message in refused.err


def test_heads_that_cannot_be_compared(explain: Explain) -> None:
    command = explain("--set", "student.num_attention_heads=1")
    assert (command.status, command.out) == (2, "")
    assert "attention_loss: the student has 1 attention heads, the teacher 2" in command.err
    relation = explain(
        "--set", "student.num_attention_heads=1", "--set", "stages=[{name: one, losses: [query_relation]}]"
    )
    assert "query_relation_loss: the student has 1 attention heads, the teacher 2" in relation.err
    losses = "stages=[{name: one, losses: [hidden_state, {name: query_relation, num_relation_heads: 1}, prediction]}]"
    assert explain("--set", "student.num_attention_heads=1", "--set", losses).status == 0
