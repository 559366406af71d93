"""The command line: verbs, flags, where output goes, exit statuses. What is refused is in test_bad_input.py."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf.cli import ABLATE_FLAGS, DISTILL_FLAGS, FINETUNE_FLAGS, main

Tinybert = Callable[..., Any]
VERBS = [
    "quickstart",
    "finetune",
    "distill",
    "compress",
    "explain",
    "ablate",
    "evaluate",
    "predict",
    "export",
    "serve",
    "vocab",
]


# === Help ===


def test_help_is_quick_and_needs_no_tensorflow() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [sys.executable, "-m", "tinybert_tf", "--help"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 1.0  # seconds of one core
    assert process.stderr == ""
    for verb in VERBS:
        assert f"    {verb}" in process.stdout

    program = "import sys\nfrom tinybert_tf.cli import main\ntry:\n    main(['distill', '--help'])\nfinally:\n"
    program += (
        "    print([heavy for heavy in ('keras', 'tensorflow', 'transformers', 'numpy') if heavy in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(tinybert: Tinybert, verb: str) -> None:
    command = tinybert(verb, "--help")
    assert (command.status, command.err) == (0, "")
    assert command.out.startswith(f"usage: tinybert {verb} ")


@pytest.mark.parametrize(
    ("verb", "flags"), [("finetune", FINETUNE_FLAGS), ("distill", DISTILL_FLAGS), ("ablate", ABLATE_FLAGS)]
)
def test_every_flag_is_in_the_help(tinybert: Tinybert, verb: str, flags: dict[str, Any]) -> None:
    out = tinybert(verb, "--help").out
    common = "--epochs --max-steps --batch-size --learning-rate --max-length --seed --precision --out --set --test"
    for flag in {*flags, *common.split(), *([] if verb == "finetune" else ["--baseline", "--allow-weak-teacher"])}:
        assert f"  {flag}" in out


# === Verbs on a run directory ===


def test_a_distilled_run_is_a_model(tinybert: Tinybert, distilled_run: Path, opinions: Path) -> None:
    metrics = json.loads((distilled_run / "metrics.json").read_text())
    flags = ["--data", opinions / "dev.tsv", "--text", "text", "--label", "label"]
    for name, directory in {"student": distilled_run, "baseline": distilled_run / "baseline"}.items():
        command = tinybert("evaluate", directory, *flags)
        assert command.status == 0, command.err
        measured = json.loads(command.out)
        assert measured == {key: metrics[name][key] for key in measured}


def test_predict_arguments(tinybert: Tinybert, teacher_run: Path) -> None:
    texts = ["the film is good", "bad", "her acting seemed awful to me in the end"]
    command = tinybert("predict", teacher_run, *texts)
    assert (command.status, command.err) == (0, "")
    answers = [json.loads(line) for line in command.out.splitlines()]
    assert len(answers) == 3
    assert [answer["label"] for answer in answers] == ["positive", "negative", "negative"]
    for answer in answers:
        assert sum(answer["scores"].values()) == pytest.approx(1.0, abs=1e-6)


def test_predict_takes_texts_before_and_after_flags(
    tinybert: Tinybert, teacher_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tinybert("predict", teacher_run, "good\ta film", "bad\ta plot", "--max-length", 8, "--pairs")
    for arguments in (
        ["--pairs", "--max-length", 8, "good\ta film", "bad\ta plot"],
        ["good\ta film", "--pairs", "bad\ta plot", "--max-length", 8],
        ["--pairs", "--max-length", 8, "--", "good\ta film", "bad\ta plot"],
    ):
        assert tinybert("predict", teacher_run, *arguments) == expected
    dashes = tinybert("predict", teacher_run, "--max-length", 8, "- good", "--", "-bad", "--pairs")
    monkeypatch.setattr(sys, "stdin", io.StringIO("- good\n-bad\n--pairs\n"))
    assert dashes == tinybert("predict", teacher_run, "--max-length", 8)
    wrong = tinybert("predict", teacher_run, "--pair", "good", "--max", 8)
    assert wrong.status == 2
    assert wrong.err.startswith("tinybert: unrecognized arguments: --pair good --max 8 (see ")


def test_predict_stdin(tinybert: Tinybert, distilled_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["i found that this story seemed dull in the end", "good", "the plot was lovely", "bad"] * 10
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    command = tinybert("predict", distilled_run)
    assert (command.status, command.err) == (0, "")
    answers = [json.loads(line) for line in command.out.splitlines()]
    assert len(answers) == 40
    alone = [json.loads(tinybert("predict", distilled_run, line).out) for line in lines[:4]]
    for answer, expected in zip(answers, alone * 10, strict=True):
        assert answer["label"] == expected["label"]
        assert answer["scores"] == pytest.approx(expected["scores"], rel=1e-4)


def test_predict_nothing(tinybert: Tinybert, teacher_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    command = tinybert("predict", teacher_run)
    assert (command.status, command.out, command.err) == (0, "", "")


def test_labels_stay_readable(
    tinybert: Tinybert, teacher_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier

    encoder = SequenceClassifier.from_pretrained(teacher_run).encoder
    SequenceClassifier(encoder, id2label=["schön", "悪い"]).save_pretrained(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_bytes((teacher_run / "model" / file).read_bytes())
    assert "schön" in tinybert("predict", tmp_path, "good").out


def test_a_student_by_its_directory(
    tinybert: Tinybert, teacher_run: Path, distilled_run: Path, data_flags: list[str]
) -> None:
    command = tinybert("explain", "--teacher", teacher_run, "--student", distilled_run, *data_flags, "--out", "run")
    assert command.status == 0, command.err
    assert f"dir: {distilled_run}" in command.out
    assert "student starts from: dir" in command.out


# === Exit statuses ===


def test_our_own_faults_are_not_the_users(monkeypatch: pytest.MonkeyPatch, teacher_run: Path) -> None:
    """They end with a traceback, and with it status 1."""
    from tinybert_tf.export import predictor

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(predictor, "Predictor", fail)
    with pytest.raises(ZeroDivisionError):
        main(["predict", str(teacher_run), "good"])


def test_one_line_and_status_2_from_outside(teacher_run: Path, opinions: Path) -> None:
    """Also where TensorFlow has been imported and the model loaded before the mistake shows."""
    flags = ["--data", opinions / "dev.tsv", "--text", "text", "--label", "text"]
    command = [sys.executable, "-m", "tinybert_tf", "evaluate", teacher_run, *flags]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"tinybert: {opinions / 'dev.tsv'}:2: label 'the film was good'; ")
