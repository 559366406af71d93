"""`tinybert compress`: from a distilled student to a smaller one with zeros, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tinybert_tf import SequenceClassifier
from tinybert_tf.config.compression import CompressConfig, StructureSection
from tinybert_tf.config.schema import Data, LossSection, StageSection, StudentSection, TeacherSection, Train
from tinybert_tf.pipeline.compressing.steps import StructureStep
from tinybert_tf.pipeline.parts.distillation import prepare
from tinybert_tf.pipeline.parts.training import give_first_weights

Tinybert = Callable[..., Any]
CONFIG = """
student: {{dir: {student}}}
train: {{epochs: 3}}
{more}
"""
STEPS = """
structure: {num_attention_heads: 1, intermediate_size: 20, rounds: 2}
pruning: {sparsity: 0.75, end: 0.5}
clustering: {num_clusters: 8}
export: {quantize: dynamic_int8, lengths: [24], min_agreement: 0.9}
"""


@pytest.fixture
def compress(
    tinybert: Tinybert,
    teacher_run: Path,
    distilled_run: Path,
    data_flags: list[str],
    training_flags: list[str],
    tmp_path: Path,
) -> Callable[..., Any]:
    """Runs `compress` on the tiny student with some sections of a config."""

    def run(more: str, out: Path, *arguments: object) -> Any:
        path = tmp_path / "compress.yaml"
        path.write_text(CONFIG.format(student=distilled_run, more=more), encoding="utf-8")
        flags = ["--teacher", teacher_run, *data_flags, *training_flags, "--out", out]
        return tinybert("compress", path, *flags, *arguments)

    return run


def test_a_student_becomes_smaller(
    compress: Callable[..., Any], distilled_run: Path, opinions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = compress(STEPS, out, "--test", opinions / "test.tsv")
    assert command.status == 0, command.err
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) == {"teacher", "original", "student", "comparisons", "data"}
    assert metrics["comparisons"]["test"].keys() == {"student_teacher", "student_original"}
    original = json.loads((distilled_run / "metrics.json").read_text(encoding="utf-8"))["student"]
    assert metrics["original"]["accuracy"] == original["accuracy"]

    config = json.loads((out / "student" / "config.json").read_text(encoding="utf-8"))
    sizes = {name: config[name] for name in ("num_attention_heads", "intermediate_size", "head_dim")}
    assert sizes == {"num_attention_heads": 1, "intermediate_size": 20, "head_dim": 8}
    student = SequenceClassifier.from_pretrained(out / "student")
    zeros = {name: np.mean(each.numpy() == 0) for name, each in student.variables_by_name().items()}
    kernels = {name for name in zeros if name.startswith("layer_") and name.endswith("kernel")}
    assert len(kernels) == 6
    assert {name: zeros[name] for name in kernels} == dict.fromkeys(kernels, 0.75)
    assert metrics["student"]["sparsity"] == dict.fromkeys(kernels, 0.75)
    for name in kernels:
        values = student.variables_by_name()[name].numpy()
        assert len(np.unique(values)) <= 8 + 1
    saved = load_file(out / "student" / "model.safetensors")
    assert metrics["student"]["nonzero_parameters"] == sum(np.count_nonzero(each) for each in saved.values())
    assert metrics["student"]["parameters"] < metrics["original"]["parameters"]
    assert metrics["student"]["gzip_bytes"] < metrics["original"]["gzip_bytes"]

    with (out / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == [
        f"{step}-compress" for step in ("structure-1", "structure-2", "pruning") for _ in range(3)
    ]
    assert [float(row["sparsity"] or 0) for row in rows[5:]] == pytest.approx([0, rows_at(1), 0.75, 0.75], abs=0.02)
    for name in ("teacher", "original", "student"):
        assert f"| {name} " in command.out
    assert "gzipped bytes" in command.out
    exported = json.loads((out / "export" / "metrics.json").read_text(encoding="utf-8"))
    assert (exported["quantize"], exported["lengths"]) == ("dynamic_int8", [24])
    assert exported["verification"]["agreement"] >= 0.9
    assert Path(exported["verification"]["source"]).name == "dev.tsv"

    # Given again, the command trains nothing, and makes what is not there.
    trained = {path: path.stat().st_mtime_ns for name in ("student", "log.csv") for path in (out / name).glob("**/*")}
    shutil.rmtree(out / "export")
    again = compress(STEPS, out, "--test", opinions / "test.tsv")
    assert (again.status, again.out) == (0, command.out), again.err
    assert f"{out}: this run is complete; it measured:\n" in again.err
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert (out / "export" / "model.tflite").is_file()


def rows_at(epoch: int) -> float:
    """The schedule's sparsity at the end of an epoch of three, `end` at half of them."""
    return 0.75 * (1 - (1 - epoch / 1.5) ** 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("pruning: {kernels: nothing}", "pruning: kernels='nothing' matches no weight; expected to match one of "),
        ("pruning: {pattern: 3x}", "pruning: pattern: expected unstructured, 2:4"),
        ("pruning: {pattern: 5x1}", "pruning: pattern='5x1' does not fit layer_1/attention/query/kernel (16, 16)"),
        ("pruning: {pattern: '2:4', sparsity: 0.7}", "pruning: sparsity=0.7: expected 0.5 with pattern '2:4'"),
        ("pruning: {end: 5000}", "pruning: end: expected a step up to 30, the last of the stages, got 5000"),
        ("pruning: {begin: 0.5, end: 12}", "pruning: begin_step=15, end_step=12"),
        (
            "pruning: {frequency: 25}",
            "pruning: frequency: expected 1 to end_step - begin_step = 18, got 25",
        ),
        ("structure: {num_attention_heads: 3}", "structure: num_attention_heads: expected 1 to the model's 2, got 3"),
        (
            "clustering: {kernels: nothing}",
            "clustering: kernels='nothing' matches no weight; expected to match one of ",
        ),
        (
            "pruning: {}\nexport: {format: tflite}",
            "format: expected one of litert, saved_model, onnx, hf, got 'tflite'",
        ),
        ("pruning: {}\nexport: {quantize: int3}", "--quantize int3: litert has "),
        ("pruning: {}\nexport: {lengths: [500]}", "--lengths 500: the student takes texts of 8 to 24 tokens"),
        (
            "structure: {intermediate_size: 20}\npruning: {pattern: 16x1}",
            "pruning: pattern='16x1' does not fit layer_1",
        ),
        ("structure: {intermediate_size: 33}", "structure: intermediate_size: expected 1 to the model's 32, got 33"),
        (
            "structure: {num_attention_heads: 1}\nstages: [{name: inside, losses: [attention]}]",
            "structure: ",
        ),
    ],
)
def test_refused_before_anything_is_written(
    more: str, message: str, compress: Callable[..., Any], tmp_path: Path
) -> None:
    command = compress(more, tmp_path / "run")
    assert command.status == 2
    assert f"tinybert: {message}" in command.err
    assert command.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_projections_go_on_where_heads_are_gone(teacher_run: Path, opinions: Path, tmp_path: Path) -> None:
    files = {split: str(opinions / f"{split}.tsv") for split in ("train", "dev")}
    config = CompressConfig(
        teacher=TeacherSection(str(teacher_run)),
        student=StudentSection(num_hidden_layers=1, hidden_size=8),
        data=Data(**files, text=("text",), label="label", max_length=16),
        train=Train(precision="float32"),
        stages=(StageSection("inside", (LossSection("hidden_state"),)),),
        structure=StructureSection(intermediate_size=16),
        out=str(tmp_path / "run"),
    )
    work = prepare(config)
    give_first_weights(work)
    before = work.distillers[0].projections.get_weights()
    smaller = StructureStep(config.structure, work, 1).start(work)
    assert smaller.student.config.intermediate_size == 16
    assert smaller.distillers[0].student is smaller.student
    assert len(before) == 2
    for ours, theirs in zip(smaller.distillers[0].projections.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_int8_of_a_pruned_student(
    compress: Callable[..., Any], tinybert: Tinybert, opinions: Path, tmp_path: Path
) -> None:
    """The saved student rounds, keeps its zeros, and answers as its LiteRT file does."""
    out = tmp_path / "run"
    command = compress("pruning: {sparsity: 0.5, end: 0.5}\nquantization: {calibration_texts: 20}", out)
    assert command.status == 0, command.err
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8"))["student"]["weight_bits"] == 8
    student = SequenceClassifier.from_pretrained(out / "student")
    assert len(student.fake_quantizer.ranges) > 0
    assert np.mean(student.variables_by_name()["layer_1/intermediate/kernel"].numpy() == 0) == 0.5
    exported = json.loads((out / "export" / "metrics.json").read_text(encoding="utf-8"))
    assert exported["quantize"] == "full_int8"
    assert exported["verification"]["agreement"] >= 0.995
    assert set(exported["cost"]) == {"export", "float32", "teacher"}
    assert exported["cost"]["export"]["size_bytes"] < exported["cost"]["float32"]["size_bytes"]
    for more in ("structure: {intermediate_size: 20}", "clustering: {}", "pruning: {}\nexport: {format: onnx}"):
        command = compress(more, tmp_path / "again", "--student", out)
        assert (command.status, (tmp_path / "again").exists()) == (2, False)
        assert "has been quantized" in command.err or "was trained for int8" in command.err
    command = tinybert("export", out, "--format", "litert", "--quantize", "dynamic_int8", "--out", tmp_path / "other")
    assert (command.status, (tmp_path / "other").exists()) == (2, False)
    assert "was trained for int8" in command.err


def test_what_quantization_refuses(compress: Callable[..., Any], tmp_path: Path) -> None:
    for section, expected in (
        ("{bits: 3}", "quantization.bits"),
        ("{calibration_texts: 0}", "calibration_texts"),
        ("{}\nexport: {format: onnx}", "export.format: expected litert, the format of a quantized student, got 'onnx'"),
        ("{}\nexport: {format: hf}", "export.format: expected litert, the format of a quantized student, got 'hf'"),
    ):
        command = compress(f"quantization: {section}", tmp_path / "run")
        assert command.status == 2
        assert expected in command.err
        assert not (tmp_path / "run").exists()
