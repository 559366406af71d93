"""The command line: verbs, flags, where output goes, exit statuses. What is refused is in test_bad_input.py."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tinybert_tf as tb
from tinybert_tf import InputError
from tinybert_tf.cli import main
from tinybert_tf.cli.verb import Flag, Verb
from tinybert_tf.cli.verbs import VERBS

Tinybert = Callable[..., Any]
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


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


def test_the_overview(tinybert: Tinybert) -> None:
    command = tinybert()
    assert command == tinybert("--help") == tinybert("-h")
    assert (command.status, command.err) == (0, "")
    for verb in VERBS.values():
        assert f"    {verb.name} " in command.out
        assert verb.help in command.out


def test_version(tinybert: Tinybert) -> None:
    command = tinybert("--version")
    assert (command.status, command.out, command.err) == (0, f"tinybert {tb.__version__}\n", "")
    assert tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["version"] == tb.__version__


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_the_help_of_a_verb_has_its_flags_and_their_defaults(tinybert: Tinybert, verb: Verb) -> None:
    command = tinybert(verb.name, "--help")
    assert (command.status, command.err) == (0, "")
    assert command.out.startswith(f"usage: tinybert {verb.name} ")
    shown = " ".join(command.out.partition("\n\n")[2].split())
    for flag in verb.flags:
        assert f" {flag.name if flag.name.startswith('-') else flag.metavar} " in shown
        assert " ".join(flag.described(verb.config).replace("%%", "%").split()) in shown
        assert "(default: " in flag.described(verb.config) or is_required(flag)


def is_required(flag: Flag) -> bool:
    """Whether it has no default: it must be given, on the command line or in a config."""
    keys = "teacher.dir model.dir data.train corpus.files out"
    return flag.required or not flag.name.startswith("-") or flag.key in keys.split()


def test_defaults_in_the_help_are_those_of_the_code() -> None:
    from tinybert_tf import Augmentation
    from tinybert_tf.cli.preparation import AUGMENTATION
    from tinybert_tf.config.schema import DistillConfig

    assert {flag.attribute: flag.default for flag in AUGMENTATION} == vars(Augmentation())
    described = {flag.name: flag.described(DistillConfig) for flag in VERBS["distill"].flags}
    assert described["--batch-size"].endswith("(default: 32)")
    assert described["--learning-rate"].endswith("(default: a rule chooses it)")
    assert described["--max-length"].endswith("(default: 128)")
    rate = next(flag for flag in VERBS["pretrain"].flags if flag.name == "--learning-rate")
    assert rate.described(VERBS["pretrain"].config).endswith("(default: 0.0001)")


@pytest.mark.parametrize("name", ["--max-length", "--precision", "--seed", "--text", "--label", "--task"])
def test_a_flag_means_the_same_in_every_verb(name: str) -> None:
    flags = [flag for verb in VERBS.values() for flag in verb.flags if flag.name == name]
    meanings = {flag.help for flag in flags}
    if name == "--seed":
        meanings -= {"seed of every random choice"}  # of a verb that has no weights
    assert len(flags) > 1
    assert len(meanings) == 1


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
    expected = answers(tinybert("predict", teacher_run, "good\ta film", "bad\ta plot", "--max-length", 8, "--pairs"))
    for arguments in (
        ["--pairs", "--max-length", 8, "good\ta film", "bad\ta plot"],
        ["good\ta film", "--pairs", "bad\ta plot", "--max-length", 8],
        ["--pairs", "--max-length", 8, "--", "good\ta film", "bad\ta plot"],
    ):
        assert answers(tinybert("predict", teacher_run, *arguments)) == expected
    dashes = tinybert("predict", teacher_run, "--max-length", 8, "- good", "--", "-bad", "--pairs")
    monkeypatch.setattr(sys, "stdin", stdin_of("- good\n-bad\n--pairs\n"))
    assert answers(dashes) == answers(tinybert("predict", teacher_run, "--max-length", 8))
    wrong = tinybert("predict", teacher_run, "--pair", "good", "--max", 8)
    assert wrong.status == 2
    assert wrong.err.startswith("tinybert: tinybert predict has no flag --pair; did you mean --pairs? (see ")


def test_predict_stdin(tinybert: Tinybert, distilled_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["i found that this story seemed dull in the end", "good", "the plot was lovely", "bad"] * 10
    monkeypatch.setattr(sys, "stdin", stdin_of("".join(f"{line}\n" for line in lines)))
    command = tinybert("predict", distilled_run)
    assert (command.status, command.err) == (0, "")
    answers = [json.loads(line) for line in command.out.splitlines()]
    assert len(answers) == 40
    alone = [json.loads(tinybert("predict", distilled_run, line).out) for line in lines[:4]]
    for answer, expected in zip(answers, alone * 10, strict=True):
        assert answer["label"] == expected["label"]
        assert answer["scores"] == pytest.approx(expected["scores"], rel=1e-4)


def answers(command: Any) -> list[dict[str, Any]]:
    """Its lines of JSON, with scores to three digits: batches of other shapes differ in their last bits."""
    found = [json.loads(line) for line in command.out.splitlines()]
    return [
        {**each, "scores": {label: round(score, 3) for label, score in each["scores"].items()}}
        if "scores" in each
        else each
        for each in found
    ]


def stdin_of(text: str, encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode(encoding)), encoding="utf-8")


def test_what_windows_writes_on_stdin(tinybert: Tinybert, teacher_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte order mark, carriage returns and an end without a line feed are no part of a text."""
    plain = answers(tinybert("predict", teacher_run, "good", "the plot was bad"))
    monkeypatch.setattr(sys, "stdin", stdin_of("good\r\nthe plot was bad", "utf-8-sig"))
    assert answers(tinybert("predict", teacher_run)) == plain


def test_a_text_without_an_answer_keeps_its_place(
    tinybert: Tinybert, teacher_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = answers(tinybert("predict", teacher_run, "good", "bad"))
    monkeypatch.setattr(sys, "stdin", stdin_of("good\n\nbad\n \n"))
    command = tinybert("predict", teacher_run)
    assert command.status == 0
    assert command.err == "predict: texts without an answer: 2 of 4; their lines say why\n"
    first, empty, second, blank = answers(command)
    assert [first, second] == [good, bad]
    assert [empty["error"], blank["error"]] == [
        f"expected a text that is not empty, or a pair of them, got {text!r}" for text in ("", " ")
    ]
    monkeypatch.setattr(sys, "stdin", stdin_of("\n\n"))
    assert [list(json.loads(line)) for line in tinybert("predict", teacher_run).out.splitlines()] == [["error"]] * 2


class Typing(io.RawIOBase):
    """A stdin on which somebody types a line, and the next one when the first is answered."""

    def __init__(self) -> None:
        self.lines = [b"good\n", b"bad\n"]
        self.seen: list[int] = []

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.seen.append(sys.stdout.getvalue().count("\n"))  # type: ignore[attr-defined]  # the fixture's StringIO
        line = self.lines.pop(0) if self.lines else b""
        buffer[: len(line)] = line
        return len(line)


def test_an_answer_comes_while_stdin_is_open(
    tinybert: Tinybert, teacher_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typing = Typing()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(typing), encoding="utf-8"))
    assert tinybert("predict", teacher_run).status == 0
    assert typing.seen[:3] == [0, 1, 2]


def test_predictions_of_a_file_to_a_file(tinybert: Tinybert, teacher_run: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text('id,text\n1,good\n2,\n3,"bad, ""dull"""\n', encoding="utf-8")
    flags = ["--input", tmp_path / "texts.csv", "--text", "text", "--top-k", 1]
    printed = tinybert("predict", teacher_run, *flags)
    written = tinybert("predict", teacher_run, *flags, "--output", tmp_path / "answers.jsonl")
    assert (written.status, written.out, written.err) == (0, "", printed.err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "texts.csv"]
    found = answers(printed)
    lines = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [list(each) for each in found]
    assert list(found[1]) == ["error"]
    every = answers(tinybert("predict", teacher_run, "good", 'bad, "dull"'))
    for answer, whole in zip([found[0], found[2]], every, strict=True):
        assert answer["scores"] == {whole["label"]: pytest.approx(max(whole["scores"].values()), abs=2e-4)}


def test_pairs_of_a_file(tinybert: Tinybert, teacher_run: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("a\tb\ngood\ta film\n", encoding="utf-8")
    of_file = tinybert("predict", teacher_run, "--input", tmp_path / "pairs.tsv", "--text", "a,b")
    assert answers(of_file) == answers(tinybert("predict", teacher_run, "--pairs", "good\ta film"))


def test_the_highest_scores() -> None:
    from tinybert_tf.pipeline.predict import highest

    answer = {"label": "b", "scores": {"a": 0.2, "b": 0.5, "c": 0.3}}
    assert list(highest(answer, 2)["scores"].items()) == [("b", 0.5), ("c", 0.3)]
    assert highest(answer, None) == answer
    assert highest({"answer": "x", "n_best": [1, 2, 3]}, 2) == {"answer": "x", "n_best": [1, 2]}
    with pytest.raises(InputError, match=r"^--top-k: expected a model that scores labels or answers, got one that gi"):
        highest({"score": 1.5}, 1)


def test_predict_nothing(tinybert: Tinybert, teacher_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", stdin_of(""))
    command = tinybert("predict", teacher_run)
    assert (command.status, command.out, command.err) == (0, "", "")


def test_labels_stay_readable(
    tinybert: Tinybert, teacher_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinybert_tf import SequenceClassifier

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


def test_a_directory_with_the_name_of_a_size_needs_its_path(
    tinybert: Tinybert,
    teacher_run: Path,
    distilled_run: Path,
    data_flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(distilled_run / "student", tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    flags = ["--teacher", teacher_run, *data_flags, "--out", "run"]
    assert "dir: ./tiny" in tinybert("explain", *flags, "--student", "./tiny").out
    named = tinybert("explain", *flags, "--student", "tiny").out
    assert "size: tiny" in named
    assert "student starts from: cut" in named


# === Streams that end, are full, closed, or narrow ===


def shell(command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's command in which `tinybert` is the command line."""
    tinybert = f'tinybert() {{ {sys.executable} -m tinybert_tf "$@"; }}; '
    environment = {**os.environ, "PYTHONUNBUFFERED": "", **more}
    return subprocess.run(
        ["bash", "-c", tinybert + command], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("command", "status", "err"),
    [
        ("tinybert --help > /dev/full", 2, "tinybert: the output cannot be written (No space left on device)\n"),
        ("tinybert distill --help > /dev/full", 2,
         "tinybert: the output cannot be written (No space left on device)\n"),
        ("tinybert --help >&-", 2, "tinybert: stdout is closed; expected a place to print results to\n"),
        ("tinybert distil 2>&-", 2, ""),
        ("(sleep 0.5; tinybert --help; echo $? >&2) | true", 0, "141\n"),
        ("tinybert vocab --size 0 | true; exit ${PIPESTATUS[0]}", 2,
         "tinybert: --size: expected an integer >= 1, got '0' (see tinybert vocab --help)\n"),
    ],
)  # fmt: skip
def test_streams(command: str, status: int, err: str) -> None:
    process = shell(command)
    assert (process.returncode, process.stdout, process.stderr) == (status, "", err)


def test_a_closed_stream_leaves_its_number_to_no_file(tmp_path: Path) -> None:
    """What is written to a stderr that is not there would land in the next file that is opened."""
    (tmp_path / "corpus.txt").write_text("a film\n" * 9, encoding="utf-8")
    process = shell(f"tinybert vocab --corpus {tmp_path}/corpus.txt --size 40 --out {tmp_path}/vocab 2>&- <&-")
    assert process.returncode == 0
    assert process.stdout.startswith(f"{tmp_path}/vocab: ")


def test_letters_that_a_console_does_not_have(tmp_path: Path) -> None:
    from tinybert_tf.cli.streams import print_json

    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", newline="\n")
    print_json([{"label": "schön"}, {"label": "悪い"}], narrow)
    written = narrow.buffer.getvalue().decode("cp1252")  # type: ignore[attr-defined]  # a BytesIO
    assert written.splitlines()[0] == '{"label": "schön"}'
    assert json.loads(written.splitlines()[1]) == {"label": "悪い"}

    (tmp_path / "悪い.txt").write_text("a film\n" * 9, encoding="utf-8")
    process = shell(
        f"tinybert vocab --corpus {tmp_path}/*.txt --size 40 --out {tmp_path}/vocab", PYTHONIOENCODING="cp1252"
    )
    assert (process.returncode, process.stdout.count("\\u60aa\\u3044.txt")) == (0, 1)


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
