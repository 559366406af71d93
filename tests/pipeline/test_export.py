"""`tinybert export`: what is written, how it is verified, and that nothing is left of what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import InputError, Predictor, QuestionAnswering, SequenceClassifier, TokenClassifier, load_tokenizer
from tinybert_tf.cli import deployment
from tinybert_tf.export import formats

Tinybert = Callable[..., Any]
TEXTS = ["the film is good", "her acting was awful", "dull"]
TOKENIZER_FILES = ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]


@pytest.fixture(autouse=True)
def few_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is not measured long."""
    monkeypatch.setattr("tinybert_tf.pipeline.exporting.cost.TURNS", 3)


def columns(opinions: Path) -> list[Any]:
    return ["--verify", opinions / "dev.tsv", "--text", "text", "--label", "label"]


def test_a_run_directory_knows_its_dev_file_and_its_teacher(
    tinybert: Tinybert, distilled_run: Path, opinions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "export"
    command = tinybert("export", distilled_run, "--format", "litert", "--quantize", "dynamic_int8", "--out", out)
    assert command.status == 0, command.err
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["labels.json", "metrics.json", "model.tflite", *TOKENIZER_FILES]
    )
    assert [path.name for path in out.parent.iterdir()] == ["export"]
    card = json.loads((out / "labels.json").read_text(encoding="utf-8"))
    assert (card["labels"], card["lengths"], card["max_length"]) == (["negative", "positive"], [16], 16)
    written = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    seen = written["verification"]
    assert (seen["rows"], seen["source"]) == (40, str(opinions / "dev.tsv"))
    assert (
        seen["metrics"].keys()
        == seen["reference_metrics"].keys()
        == {
            "accuracy",
            "f1",
            "f1_macro",
            "matthews_correlation",
        }
    )
    assert 0 < seen["mean_difference"] < seen["max_difference"] < 1
    cost = written["cost"]
    assert list(cost) == ["export", "float32", "teacher"]
    assert cost["export"]["size_bytes"] == (out / "model.tflite").stat().st_size < cost["float32"]["size_bytes"]
    assert cost["export"]["gzip_bytes"] < cost["export"]["size_bytes"]
    assert cost["export"]["parameters"] == cost["float32"]["parameters"] < cost["teacher"]["parameters"]
    assert cost["export"]["latency_ms"]["16"].keys() == {"1", "all"}
    assert "EMBEDDING_LOOKUP" in cost["export"]["operations"]
    assert not [name for name in cost["export"]["operations"] if "Flex" in name]
    lines = command.out.splitlines()
    assert lines[0] == f"{out}: litert, dynamic_int8"
    assert lines[1].startswith(f"40 rows of {opinions / 'dev.tsv'}: logits differ by ")
    score = f"{seen['metrics']['accuracy']:.1%} ± {100 * seen['standard_error']['accuracy']:.1f}"
    assert lines[2].startswith(f"accuracy: {score} (model {seen['reference_metrics']['accuracy']:.1%}, difference ")
    assert [line.split(" ")[1] for line in lines if line.startswith("| ")] == ["model", "export", "float32", "teacher"]


@pytest.mark.parametrize("format", ["litert", "saved_model", "onnx", "hf"])
def test_every_format_answers_as_the_model(
    format: str, tinybert: Tinybert, teacher_run: Path, opinions: Path, tmp_path: Path
) -> None:
    command = tinybert("export", teacher_run, "--format", format, *columns(opinions), "--out", tmp_path / "out")
    assert command.status == 0, command.err
    seen = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["verification"]
    assert seen["max_difference"] <= 1e-4
    assert seen["agreement"] == 1
    assert seen["metrics"] == seen["reference_metrics"]
    found, expected = Predictor(tmp_path / "out")(TEXTS), Predictor(teacher_run)(TEXTS)
    for one, other in zip(found, expected, strict=True):
        assert one["label"] == other["label"]
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


@pytest.mark.parametrize("head", [TokenClassifier, QuestionAnswering])
def test_tasks_with_files_of_their_own(head: Any, tinybert: Tinybert, teacher_run: Path, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    labels = {"id2label": ["O", "B-x", "I-x"], "num_labels": 3} if head is TokenClassifier else {}
    teacher = SequenceClassifier.from_pretrained(teacher_run)
    head(teacher.config, **labels).save_pretrained(tmp_path / "model", tokenizer=load_tokenizer(teacher_run))
    if head is TokenClassifier:
        data, answers = tmp_path / "dev.conll", "\n".join(["the\tO", "film\tB-x", "", "good\tO", "plot\tB-x"])
    else:
        questions = [{"question": "what", "answers": [{"text": "film", "answer_start": 4}]}]
        paragraphs = [{"context": "the film is good", "qas": questions}]
        data, answers = tmp_path / "dev.json", json.dumps({"data": [{"paragraphs": paragraphs}]})
    data.write_text(answers + "\n", encoding="utf-8")
    flags = ["--format", "onnx", "--verify", data]
    command = tinybert("export", tmp_path / "model", *flags, "--out", tmp_path / "out")
    assert command.status == 0, command.err
    seen = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["verification"]
    assert seen["max_difference"] <= 1e-4
    assert "f1" in seen["metrics"]


def test_full_int8_is_calibrated(tinybert: Tinybert, teacher_run: Path, opinions: Path, tmp_path: Path) -> None:
    flags = ["--format", "litert", "--quantize", "full_int8", "--calibrate", opinions / "train.tsv", *columns(opinions)]
    command = tinybert("export", teacher_run, *flags, "--out", tmp_path / "out")
    assert command.status == 0, command.err
    seen = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert seen["verification"]["agreement"] >= 0.95
    assert seen["cost"]["export"]["operations"]["QUANTIZE"] > 0


def test_without_rows_random_words_are_taken_and_it_is_said(
    tinybert: Tinybert, teacher_run: Path, tmp_path: Path
) -> None:
    command = tinybert("export", teacher_run / "model", "--format", "onnx", "--out", tmp_path / "out")
    assert command.status == 0, command.err
    assert "no --verify: verified on 128 texts of random words" in command.err
    assert "128 rows of random words: logits differ" in command.out
    seen = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["verification"]
    assert (seen["source"], seen["metrics"]) == ("random words", None)


def broken(format: str, factor: float) -> formats.Format:
    """A format, but that another classifier is written."""
    as_it_is = formats.FORMATS[format]

    def write(model: Any, path: Path, wish: formats.Wish) -> None:
        right = np.asarray(model.classifier.kernel)
        model.classifier.kernel.assign(right * factor)
        as_it_is.write(model, path, wish)
        model.classifier.kernel.assign(right)

    return dataclasses.replace(as_it_is, write=write)


@pytest.mark.parametrize(
    ("factor", "flags", "message"),
    [
        (1.01, ["onnx"], "logits differ by up to "),
        (-1.0, ["onnx", "--quantize", "dynamic_int8"], "0.0% of the answers are the model's; --min-agreement is 95.0%"),
        (float("nan"), ["onnx"], "logits are not finite numbers"),
        (
            float("nan"),
            ["litert", "--quantize", "dynamic_int8"],
            "the written model cannot be run; model.tflite: not a LiteRT",
        ),
    ],
)
def test_what_is_not_the_model_is_not_kept(
    factor: float,
    flags: list[str],
    message: str,
    tinybert: Tinybert,
    teacher_run: Path,
    opinions: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(formats.FORMATS, flags[0], broken(flags[0], factor))
    out = tmp_path / "out"
    command = tinybert("export", teacher_run, "--format", *flags, *columns(opinions), "--out", out)
    assert command.status == 1
    assert command.out == ""
    assert command.err.splitlines()[-1].startswith("tinybert: not exported: ")
    assert message in command.err
    assert list(tmp_path.iterdir()) == []


def with_bias(teacher_run: Path, bias: list[float], directory: Path) -> Path:
    """The tiny teacher, but that it always gives the same answer."""
    model = SequenceClassifier.from_pretrained(teacher_run, dtype="float32")
    model.classifier.bias.assign(bias)
    model.save_pretrained(directory, tokenizer=load_tokenizer(teacher_run))
    return directory


def test_a_model_with_one_answer_is_compared_by_its_logits(
    tinybert: Tinybert, teacher_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = with_bias(teacher_run, [20.0, -20.0], tmp_path / "model")
    flags = ["--format", "onnx", "--quantize", "dynamic_int8", "--out"]

    def write(model: Any, path: Path, wish: formats.Wish) -> None:
        right = model.classifier.get_weights()
        model.classifier.set_weights([0 * right[0], np.array([900.0, -900.0])])
        onnx.write(model, path, wish)
        model.classifier.set_weights(right)

    onnx = formats.FORMATS["onnx"]
    monkeypatch.setitem(formats.FORMATS, "onnx", dataclasses.replace(onnx, write=write))
    constant = tinybert("export", model, *flags, tmp_path / "constant")
    assert constant.status == 1
    assert "logits differ by " in constant.err
    assert not (tmp_path / "constant").exists()
    monkeypatch.setitem(formats.FORMATS, "onnx", onnx)
    command = tinybert("export", model, *flags, tmp_path / "out")
    assert command.status == 0, command.err
    assert "the model has one answer for all of them, so only the logits were compared" in command.out


def test_a_labelled_file_with_one_answer(tinybert: Tinybert, teacher_run: Path, opinions: Path, tmp_path: Path) -> None:
    header, *rows = (opinions / "dev.tsv").read_text(encoding="utf-8").splitlines()
    one = tmp_path / "one.tsv"
    one.write_text("\n".join([header, *(row for row in rows if row.endswith("positive"))]) + "\n", encoding="utf-8")
    flags = ["--format", "onnx", "--verify", one, "--text", "text", "--label", "label"]
    command = tinybert("export", teacher_run, *flags, "--out", tmp_path / "out")
    assert (command.status, command.out) == (2, "")
    assert f"{one}: all labels are 'positive'" in command.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "tflite"], "format: expected one of litert, saved_model, onnx, hf, got 'tflite'"),
        (["--format", "litert", "--quantize", "int8"], "--quantize int8: litert has dynamic_int8, "),
        (["--format", "onnx", "--quantize", "float16"], "--quantize float16: onnx has dynamic_int8"),
        (["--format", "hf", "--quantize", "dynamic_int8"], "hf has no quantization"),
        (["--format", "litert", "--quantize", "full_int8"], "full_int8 needs --calibrate F"),
        (["--format", "litert", "--calibrate", "{dev}"], "--calibrate {dev}: only --quantize full_int8"),
        (["--format", "litert", "--lengths", "16,25"], "--lengths 25: {model} takes texts of 8 to 24 tokens"),
        (["--format", "litert", "--lengths", "4"], "--lengths 4: "),
        (
            ["--format", "litert", "--lengths", "16;24"],
            "--lengths: expected integers with commas between them, such as 64,128, got '16;24'",
        ),
        (["--format", "onnx", "--lengths", "16"], "--lengths: onnx takes texts of any length"),
        (["--format", "litert", "--min-agreement", "95"], "--min-agreement: expected a fraction from 0 to 1, got 95.0"),
        (["--format", "litert", "--teacher", "nowhere/at/all"], "nowhere/at/all"),
        (["--format", "litert", "--verify", "nowhere.tsv", "--text", "text", "--label", "label"], "nowhere.tsv"),
        (["--format", "litert", "--verify", "{dev}", "--text", "text", "--label", "text"], "{dev}:2: label"),
    ],
)
def test_refusals_leave_nothing(
    flags: list[str], message: str, tinybert: Tinybert, teacher_run: Path, opinions: Path, tmp_path: Path
) -> None:
    names = {"model": str(teacher_run), "dev": str(opinions / "dev.tsv")}
    given = [flag.format(**names) for flag in flags]
    command = tinybert("export", teacher_run, *given, "--out", tmp_path / "deep" / "out")
    assert (command.status, command.out) == (2, "")
    assert message.format(**names) in command.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_holds_something(tinybert: Tinybert, teacher_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    command = tinybert("export", teacher_run, "--format", "onnx", "--out", tmp_path)
    assert command.status == 2
    assert "is not empty; give a new or an empty directory" in command.err
    command = tinybert("export", teacher_run, "--format", "onnx", "--out", tmp_path / "mine")
    assert command.status == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_model_without_a_head(tinybert: Tinybert, encoder_dir: Path, tmp_path: Path) -> None:
    command = tinybert("export", encoder_dir, "--format", "litert", "--out", tmp_path / "out")
    assert command.status == 2
    assert "no sequence_classification head" in command.err
    assert list(tmp_path.iterdir()) == []


def test_the_flags_help_names_what_there_is() -> None:
    schemes = dict.fromkeys(scheme for each in formats.FORMATS.values() for scheme in each.quantizations)
    assert ", ".join(formats.FORMATS) == deployment.FORMAT_NAMES
    assert ", ".join(schemes) == deployment.SCHEME_NAMES


def test_every_length_is_verified(
    tinybert: Tinybert, teacher_run: Path, opinions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Texts that the shortest of the lengths is enough for are computed at the others too."""
    as_it_is = formats.FORMATS["litert"]

    def open_broken(path: Path, threads: int | None) -> Any:
        runner = as_it_is.open(path, threads)

        class Wrong:
            lengths = runner.lengths

            def __call__(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
                logits = runner(inputs)
                return logits + (inputs["input_ids"].shape[1] == 24)

        return Wrong()

    monkeypatch.setitem(formats.FORMATS, "litert", dataclasses.replace(as_it_is, open=open_broken))
    command = tinybert(
        "export", teacher_run, "--format", "litert", "--lengths", "16,24", *columns(opinions), "--out", tmp_path / "out"
    )
    assert command.status == 1
    assert "logits differ by up to 1" in command.err


def test_a_teacher_that_cannot_be_written_is_left_out(
    tinybert: Tinybert, teacher_run: Path, opinions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_it_is = formats.FORMATS["onnx"]
    written: list[Any] = []

    def write(model: Any, path: Path, wish: Any) -> None:
        written.append(model)
        if len(written) > 1:
            raise InputError("no such thing")
        as_it_is.write(model, path, wish)

    monkeypatch.setitem(formats.FORMATS, "onnx", dataclasses.replace(as_it_is, write=write))
    flags = ["--format", "onnx", "--teacher", teacher_run, *columns(opinions), "--out", tmp_path / "out"]
    command = tinybert("export", teacher_run, *flags)
    assert command.status == 0, command.err
    assert "costs are shown without the teacher: no such thing" in command.err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["cost"]) == {"export"}
