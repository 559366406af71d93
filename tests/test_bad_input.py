"""What the user gives is wrong: exit status 2, one line that names it, and nothing left behind."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tinybert_tf import SequenceClassifier, load_tokenizer, train_wordpiece

HEADER = "text\tlabel\n"
GOOD_ROWS = "a good film\tpositive\na bad film\tnegative\n"


class Scene:
    """A `distill` command (or another) that would run, until a test breaks one thing of it."""

    def __init__(self, directory: Path, teacher: Path, opinions: Path, tinybert: Callable[..., Any]) -> None:
        self.directory = directory
        self.tinybert = tinybert
        self.teacher = directory / "teacher"
        self.out = directory / "run"
        shutil.copytree(teacher, self.teacher)
        self.flags: dict[str, Any] = {
            "--teacher": self.teacher,
            "--train": opinions / "train.tsv",
            "--dev": opinions / "dev.tsv",
            "--text": "text",
            "--label": "label",
            "--max-length": 16,
            "--out": self.out,
        }

    def file(self, content: str | bytes, name: str = "bad.tsv") -> Path:
        """A file beside the others."""
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def command(self, *more: object, verb: str = "distill", **changes: object) -> Any:
        """Run it with some flags changed (`max_length=5`), or left out (`dev=None`)."""
        flags = {**self.flags, **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
        given = [part for flag, value in flags.items() if value is not None for part in (flag, value)]
        return self.tinybert(verb, *more, *given)

    def refused(self, *more: object, verb: str = "distill", said_before: int = 0, **changes: object) -> str:
        """The one line that it ends with, without `tinybert: `; nothing may be left behind."""
        before = sorted(self.directory.rglob("*"))
        command = self.command(*more, verb=verb, **changes)
        assert command.status == 2, command.err
        assert command.out == ""
        *progress, line = command.err.splitlines()
        assert len(progress) == said_before, command.err
        assert line.startswith("tinybert: ")
        assert sorted(self.directory.rglob("*")) == before
        return line.removeprefix("tinybert: ")

    def edit_config(self, **values: object) -> None:
        """Change keys of the teacher's config.json."""
        path = self.teacher / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    def yaml(self, text: str) -> Path:
        """A config beside the flags."""
        return self.file(text, "run.yaml")


@pytest.fixture
def scene(tmp_path: Path, teacher_run: Path, opinions: Path, tinybert: Callable[..., Any]) -> Scene:
    return Scene(tmp_path, teacher_run / "model", opinions, tinybert)


# === Files ===


@pytest.mark.parametrize("flag", ["train", "dev", "test"])
def test_a_missing_file(scene: Scene, flag: str) -> None:
    missing = scene.directory / "nothing.tsv"
    assert scene.refused(**{flag: missing}) == f"{missing}: no such file"


BAD_FILES = [
    ("", ": the file is empty; expected a header line and rows"),
    ("\n\n", ": the file is empty; expected a header line and rows"),
    (HEADER, ": a header line and no rows; expected at least one row"),
    (b"PK\x03\x04\0\0\0", ":1: a zero byte, so this is not a text file; expected UTF-8 text"),
    (b"text\tlabel\ncaf\xe9\tpositive\n", ":2: byte 0xe9 is not UTF-8; expected UTF-8 text"),
    ("sentence\tlabel\na\tpositive\n", ": no column 'text'; it has 'sentence', 'label'"),
    ("text\tlabels\na\tpositive\n", ": no column 'label'; it has 'text', 'labels'; did you mean 'labels'?"),
    (f"{HEADER}{GOOD_ROWS}\tpositive\n", ":4: 'text' is empty; expected a text"),
    (f"{HEADER}{GOOD_ROWS}a film\t \n", ":4: the label is empty; expected a label in every row"),
    (f"{HEADER}a film\n{GOOD_ROWS}", ":2: 1 tab-separated fields, expected 2 as in the header"),
    (
        f"{HEADER}{GOOD_ROWS}a film\tneutral\n",
        ":4: label 'neutral'; expected 'negative', 'positive', or 0 to 1",
    ),
    (f"{HEADER}{GOOD_ROWS}a film\t2\n", ":4: label '2'; expected 'negative', 'positive', or 0 to 1"),
]


def test_a_file_that_cannot_be_used(each_row: Callable[..., None], scene: Scene) -> None:
    def look(content: str | bytes, message: str, flag: str) -> None:
        path = scene.file(content)
        assert scene.refused(**{flag: path}) == f"{path}{message}"

    each_row([(*row, flag) for row in BAD_FILES for flag in ("train", "dev")], look)


def test_a_directory_and_an_unknown_suffix(scene: Scene) -> None:
    assert "is a directory" in scene.refused(train=scene.teacher.rename(scene.directory / "folder.tsv"))
    assert "unknown suffix '.txt'; expected one of .tsv, .csv, .jsonl" in scene.refused(dev=scene.file("", "dev.txt"))


@pytest.mark.parametrize("verb", ["distill", "explain"])
def test_a_file_of_a_stage(scene: Scene, verb: str) -> None:
    path = scene.file(f"{HEADER}{GOOD_ROWS}a film\tneutral\n")
    stages = f"stages: [{{name: one, losses: [{{name: prediction, hard_label_weight: 1.0}}], train: {path}}}]"
    config = scene.yaml(stages)
    label = "label 'neutral'; expected 'negative', 'positive', or 0 to 1"
    assert scene.refused(config, verb=verb) == f"{path}:4: {label}"
    scene.file("text\na film\n")
    assert scene.refused(config, verb=verb) == f"{path}: no column 'label'; it has 'text'"


@pytest.mark.parametrize("score", ["high", "nan", "4,5", "inf"])
def test_a_score_that_is_no_number(scene: Scene, score: str) -> None:
    path = scene.file(f"text\tlabel\na good film\t4.5\na film\t{score}\n")
    scene.flags["--model"] = scene.flags.pop("--teacher")
    refused = scene.refused(verb="finetune", task="regression", train=path, dev=path)
    assert refused == f"{path}:3: label '{score}'; expected a number"


def test_a_teacher_of_classes_where_scores_are_wanted(scene: Scene) -> None:
    message = scene.refused(task="regression")
    assert message.startswith(
        f"{scene.teacher} gives classes, one of them right; a model for task regression gives one score. Fine-tune"
    )


@pytest.mark.parametrize("verb", ["distill", "finetune", "explain"])
def test_a_metric_of_another_task(scene: Scene, verb: str) -> None:
    if verb == "finetune":
        scene.flags["--model"] = scene.flags.pop("--teacher")
    assert scene.refused(verb=verb, metric="pearson").startswith("metric: expected one of accuracy, f1, f1_macro, ")


@pytest.mark.parametrize("cell", ["good,,bad", "good,", "good,good"])
def test_a_cell_of_labels_that_cannot_be_split(scene: Scene, cell: str) -> None:
    path = scene.file(f"text\tlabel\na good film\tgood\na film\t{cell}\n")
    scene.flags["--model"] = scene.flags.pop("--teacher")
    refused = scene.refused(verb="finetune", task="multi_label", train=path, dev=path)
    assert refused == (
        f"{path}:3: labels '{cell}'; expected different ones with one comma between two, or nothing at all"
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("in\tO\nYork\n", ":2: 'York'; expected a token and its tag, with a tab or a space between"),
        (
            "in\tO\nYork\tI-loc\n",
            ":2: tag 'I-loc' after 'O'; it continues an entity: expected B-loc or I-loc before it, or 'B-loc' here",
        ),
        ("in\tO\n", ": all tags are 'O'; expected at least one B-<type>."),
        ("", ": no sentence; expected lines of a token and its tag, empty lines between sentences"),
    ],
)
def test_tags_that_cannot_be_used(scene: Scene, lines: str, message: str) -> None:
    path = scene.file(lines, "bad.conll")
    scene.flags["--model"] = scene.flags.pop("--teacher")
    files = {"task": "token_classification", "train": path, "dev": path}
    assert scene.refused(verb="finetune", text=None, label=None, **files) == f"{path}{message}"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            [{"text": "York", "answer_start": 5}],
            ": data[0].paragraphs[0].qas[0].answers[0]: the answer 'York' is not at character 5, 'n Yo' is; it is at 7",
        ),
        ([], ": data[0].paragraphs[0].qas[0] has no answer; expected one, or is_impossible: true"),
    ],
)
def test_answers_that_cannot_be_used(scene: Scene, answers: list[Any], message: str) -> None:
    questions = [{"question": "where?", "answers": answers}]
    content = {"data": [{"paragraphs": [{"context": "now in York", "qas": questions}]}]}
    path = scene.file(json.dumps(content), "bad.json")
    scene.flags["--model"] = scene.flags.pop("--teacher")
    files = {"task": "question_answering", "train": path, "dev": path}
    assert scene.refused(verb="finetune", text=None, label=None, **files) == f"{path}{message}"


def test_columns_of_a_file_that_has_none(scene: Scene) -> None:
    path = scene.file("in\tO\nYork\tB-loc\n", "good.conll")
    assert scene.refused(task="token_classification", train=path, dev=path) == (
        f"{path}: CoNLL files, a token and its tag in a line, are read; expected no name of a column or a label, got "
        "('text',)"
    )


def test_a_task_that_needs_columns(scene: Scene) -> None:
    assert scene.refused(text=None, label=None) == (
        "distill needs --text, --label (or a config with data.text, data.label)."
    )
    data = scene.flags["--dev"]
    command = scene.tinybert("evaluate", scene.teacher, "--data", data)
    assert command.status == 2
    assert (
        command.err == f"tinybert: {data}: which columns? expected --text and --label, or text and label in a config\n"
    )


def test_three_columns(scene: Scene) -> None:
    path = scene.file("text\tpair\tmore\tlabel\na\tb\tc\tpositive\n")
    assert "data.text: expected one column name or two, got ('text', 'pair', 'more')" in scene.refused(
        train=path, text="text,pair,more"
    )


# === Teachers ===


def test_a_teacher_that_is_not_there(scene: Scene) -> None:
    missing = scene.directory / "nothing"
    assert scene.refused(teacher=missing).startswith(f"'{missing}': no such directory; expected a directory with")
    path = scene.file("")
    assert scene.refused(teacher=path).startswith(f"{path}: expected a model directory (with config.json), got a file")
    missing.mkdir()
    assert scene.refused(teacher=missing).startswith(f"{missing}: expected a Hugging Face model directory")


def test_a_teacher_without_weights(scene: Scene) -> None:
    (scene.teacher / "model.safetensors").unlink()
    assert scene.refused().startswith(f"{scene.teacher}: no weights here; expected one of model.safetensors, ")


@pytest.mark.parametrize("kept", [4, 100, 20_000])
def test_truncated_weights(scene: Scene, kept: int) -> None:
    path = scene.teacher / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert scene.refused().startswith(f"{path}: truncated or damaged, not a readable safetensors file")


def test_another_number_of_labels(scene: Scene) -> None:
    scene.edit_config(id2label={"0": "negative", "1": "neutral", "2": "positive"})
    message = scene.refused()
    assert message.startswith(f"{scene.teacher / 'model.safetensors'}: tensor classifier.weight has shape (2, 16)")
    assert "the model expects (3, 16)" in message


def test_a_missing_encoder_tensor(scene: Scene) -> None:
    path = scene.teacher / "model.safetensors"
    tensors = load_file(path)
    del tensors["bert.encoder.layer.1.output.dense.weight"]
    save_file(tensors, path)
    assert "expected encoder.layer.1.output.dense.weight" in scene.refused()


def test_no_task_head(scene: Scene, encoder_dir: Path) -> None:
    message = scene.refused(teacher=encoder_dir)
    assert "has no sequence_classification head: classifier.weight is missing" in message
    assert f"tinybert finetune --model {encoder_dir}" in message


def test_no_tokenizer(scene: Scene) -> None:
    for file in ("tokenizer.json", "vocab.txt"):
        (scene.teacher / file).unlink()
    expected = "tokenizer.json, vocab.txt, or vocab.json with merges.txt"
    assert scene.refused() == f"{scene.teacher}: no tokenizer here; expected {expected}"


def test_a_broken_tokenizer_is_one_line(scene: Scene) -> None:
    (scene.teacher / "tokenizer.json").write_text("{\n\n")
    assert scene.refused().startswith(f"{scene.teacher / 'tokenizer.json'}: not a tokenizer.json")


def test_a_tokenizer_of_another_model(scene: Scene) -> None:
    words = [f"{first}{second}" for first in "abcdefghijklmnop" for second in "abcdefghijklmnop"]
    train_wordpiece(words, vocab_size=400, min_frequency=1).save_pretrained(scene.teacher)
    assert "they do not belong together" in scene.refused()


@pytest.mark.parametrize("verb", ["distill", "finetune"])
def test_texts_longer_than_the_model_takes(scene: Scene, verb: str) -> None:
    if verb == "finetune":
        scene.flags["--model"] = scene.flags.pop("--teacher")
    for changes in ({"max_length": 25}, {"max_length": None}):  # 128 by default
        message = scene.refused(verb=verb, **changes)
        assert message.startswith(f"max_length={changes['max_length'] or 128}: {scene.teacher} has ")
        assert "max_position_embeddings=24" in message


def test_a_teacher_that_knows_nothing(scene: Scene) -> None:
    path = scene.teacher / "model.safetensors"
    tensors = load_file(path)
    tensors["classifier.bias"] = np.array([99.0, -99.0], "float32")
    save_file(tensors, path)
    message = scene.refused(said_before=5)  # the texts to make, the device, two files, the teacher's accuracy
    assert message.startswith(
        f"teacher {scene.teacher}: dev accuracy 50.0% is no better than a guess (always answering one class: 50.0%);"
    )
    assert "--allow-weak-teacher" in message


# === Students ===


@pytest.fixture
def student(scene: Scene) -> Callable[..., Path]:
    """Saves a one-layer student beside the teacher."""

    def save(tokenizer: Any = None, labels: tuple[str, ...] = ("negative", "positive"), **sizes: int) -> Path:
        config = SequenceClassifier.from_pretrained(scene.teacher).config
        values = {**config.to_dict(), "num_hidden_layers": 1, **sizes}
        model = SequenceClassifier(type(config).from_dict(values), len(labels), labels, dtype="float32")
        model.save_pretrained(scene.directory / "student", tokenizer=tokenizer)
        return scene.directory / "student"

    return save


def test_a_student_with_another_vocabulary(scene: Scene, student: Callable[..., Path]) -> None:
    path = student(train_wordpiece(["another vocabulary"], 60, min_frequency=1))
    assert scene.refused(student=path).startswith(f"student {path}: its vocabulary differs from the teacher's (")


def test_a_student_with_another_order_of_labels(scene: Scene, student: Callable[..., Path]) -> None:
    path = student(load_tokenizer(scene.teacher), ("positive", "negative"))
    assert "in another order than the teacher's ['negative', 'positive']" in scene.refused(student=path)


def test_a_student_that_cannot_read_the_teachers_ids(scene: Scene, student: Callable[..., Path]) -> None:
    path = student(vocab_size=50)
    message = scene.refused(student=path)
    assert message.startswith(f"{path}: the tokenizer has ")
    assert "the model has vocab_size=50" in message
    assert "has max_position_embeddings=9" in scene.refused(student=student(max_position_embeddings=9))


def test_other_head_counts(scene: Scene) -> None:
    message = scene.refused("--set", "student.num_attention_heads=4")
    assert message.startswith("attention_loss: the student has 4 attention heads, the teacher 2")
    assert "num_attention_heads=2, or leave this loss out and use HiddenStateLoss" in message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "mini",
            "--student 'mini' is neither a directory nor a size nor a preset; sizes: tiny, small, medium; presets: "
            "tinybert-4l-312d, ",
        ),
        ("./nothing/here", "'./nothing/here': no such directory"),
    ],
)
def test_a_student_that_is_not_there(scene: Scene, value: str, message: str) -> None:
    assert scene.refused(student=value).startswith(message)


def test_sizes_that_do_not_go_together(scene: Scene) -> None:
    assert (
        scene.refused("--set", "student.hidden_size=15") == "student.num_attention_heads=2 must divide hidden_size=15."
    )


# === Configs and flags ===


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("losses: [attention], layer_map: [[1, 3]]", "pair (1, 3) maps a prediction to a layer"),
        (
            "losses: [attention], layer_map: [[1, 4]]",
            "pair (1, 4) names teacher layer 4; the teacher has layers 0 to 3",
        ),
        (
            "losses: [attention], layer_map: [[3, 1]]",
            "pair (3, 1) names student layer 3; the student has layers 0 to 2",
        ),
        ("losses: [attention], layer_map: [[-1, 0]]", "stages.0.layer_map: "),
        ("losses: [cosinus]", "stage 'one': loss 'cosinus': expected one of embedding, attention, hidden_state, "),
        ("losses: [{name: attention, heads: 2}]", "loss 'attention' has no option 'heads'; it has reduction, weight, "),
        ("losses: [attention], learning_rat: 1e-4", "unknown key; did you mean stages.0.learning_rate?"),
        (
            "losses: [attention], schedule: step",
            "stages.0.schedule: expected one of linear, constant, cosine, got 'step'",
        ),
        ("losses: [attention], patience: 0", "stages.0.patience: expected an integer >= 1, got 0"),
        ("losses: [attention], train: nothing.tsv", "nothing.tsv: no such file"),
        ("losses: [attention], train: ''", "stages.0.train: expected some text, got ''"),
    ],
)
def test_stages_that_cannot_be(scene: Scene, stage: str, message: str) -> None:
    assert message in scene.refused(scene.yaml(f"stages: [{{name: one, {stage}}}]"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {epoch: 3}", "train.epoch: unknown key; did you mean train.epochs?"),
        ("train: {epochs: many}", "train.epochs: expected an integer, got 'many'"),
        ("train: {epochs: 0}", "train.epochs: expected an integer >= 1, got 0"),
        ("train: {learning_rate: 0}", "train.learning_rate: expected a finite number > 0, got 0.0"),
        ("train: {learning_rate: -1e-4}", "train.learning_rate: expected a finite number > 0, got -0.0001"),
        ("train: {learning_rate: .nan}", "train.learning_rate: expected a finite number > 0, got nan"),
        ("train: {seed: 1}\ntrain: {seed: 2}", "the key 'train' is there twice"),
        ("train: [", "run.yaml"),
        ("", "expected a YAML mapping of configuration keys, got an empty file"),
    ],
)
def test_yaml_that_cannot_be(scene: Scene, text: str, message: str) -> None:
    path = scene.yaml(text)
    refusal = scene.refused(path)
    assert refusal.startswith(str(path))
    assert message in refusal


def test_yaml_that_is_not_there(scene: Scene) -> None:
    missing = scene.directory / "nothing.yaml"
    assert scene.refused(missing).startswith(
        f"{missing}: expected a YAML configuration, got a path that cannot be read (No such file or directory)"
    )


BAD_FLAGS = [
    ("learning_rate", "0", "train.learning_rate: expected a finite number > 0, got 0.0"),
    ("learning_rate", "-1e-5", "train.learning_rate: expected a finite number > 0, got -1e-05"),
    ("learning_rate", "-inf", "train.learning_rate: expected a finite number > 0, got -inf"),
    ("learning_rate", "nan", "train.learning_rate: expected a finite number > 0, got nan"),
    ("learning_rate", "fast", "train.learning_rate: expected a number, got 'fast'"),
    ("epochs", "0", "train.epochs: expected an integer >= 1, got 0"),
    ("epochs", "1.5", "train.epochs: expected an integer, got '1.5'"),
    ("batch_size", "0", "train.batch_size: expected an integer >= 1, got 0"),
    ("max_steps", "0", "train.max_steps: expected an integer >= 1, got 0"),
    ("max_length", "4", "data.max_length: expected an integer >= 8, got 4"),
    ("seed", "-1", "train.seed: expected an integer from 0 to 4294967295, got -1"),
    ("precision", "float64", "train.precision: expected one of auto, float32, bfloat16, float16, got 'float64'"),
    (
        "task",
        "chess",
        "task: expected one of sequence_classification, regression, multi_label, token_classification, "
        "question_answering, got 'chess'",
    ),
    (
        "metric",
        "bleu",
        "metric: expected one of accuracy, exact_match, f1, f1_macro, f1_micro, matthews_correlation, "
        "pearson, precision, recall, spearman, got 'bleu'",
    ),
]


def test_flags_that_cannot_be(each_row: Callable[..., None], scene: Scene) -> None:
    def look(flag: str, value: str, message: str, verb: str) -> None:
        of_verb = {"finetune": {"teacher": None, "model": scene.teacher}}.get(verb, {})
        assert scene.refused(verb=verb, **{flag: value}, **of_verb) == message

    each_row([(*row, verb) for row in BAD_FLAGS for verb in ("distill", "finetune")], look)


@pytest.mark.parametrize("setting", ["train.epoch=3", "train.epochs", "nothing.at.all=1"])
def test_settings_that_cannot_be(scene: Scene, setting: str) -> None:
    assert scene.refused("--set", setting).startswith("--set ")


def test_float16_without_a_gpu(scene: Scene) -> None:
    if any("gpu" in device.lower() for device in keras.distribution.list_devices()):
        pytest.skip("there is a GPU")
    assert scene.refused(precision="float16").startswith("precision='float16': a CPU only emulates it, slowly; use ")


def test_flags_that_are_missing(scene: Scene) -> None:
    message = scene.refused(teacher=None, train=None, out=None)
    assert message == "distill needs --teacher, --train, --out (or a config with teacher.dir, data.train, out)."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distil"], "tinybert has no verb distil; did you mean distill? (see tinybert --help)"),
        (["xyz"], "tinybert has no verb xyz (see tinybert --help)"),
        (["--verson"], "tinybert has no flag --verson; did you mean --version? (see tinybert --help)"),
        (
            ["distill", "--epoch", "3"],
            "tinybert distill has no flag --epoch; did you mean --epochs? (see tinybert distill --help)",
        ),
        (
            ["finetune", "--lr=1"],
            "finetune has no flag --lr; did you mean --learning-rate? (see ",
        ),
        (["distill", "a.yaml", "b.yaml"], "tinybert distill takes no more arguments, got 'b.yaml' (see "),
        (["distill", "--epochs"], "--epochs: expected one argument (see tinybert distill --help)"),
        (["evaluate", "bert"], "the following arguments are required: --data"),
        (["evaluate", "bert", "--max-length", "many"], "tinybert: --max-length: expected an integer >= 8, got 'many'"),
        (["evaluate", "bert", "--max-length", "7"], "tinybert: --max-length: expected an integer >= 8, got '7'"),
        (["export", "bert", "--min-agreement", "all"], "tinybert: --min-agreement: expected a number, got 'all'"),
        (["vocab", "--size", "-5"], "tinybert: --size: expected an integer >= 1, got '-5' (see tinybert vocab --help)"),
        (["predict"], "the following arguments are required: MODEL"),
    ],
)
def test_what_is_no_command(tinybert: Callable[..., Any], arguments: list[str], message: str) -> None:
    command = tinybert(*arguments)
    assert (command.status, command.out) == (2, "")
    (line,) = command.err.splitlines()
    assert line.startswith("tinybert: ")
    assert message in line


# === Where the run goes ===


def test_an_out_directory_with_another_run(scene: Scene, distilled_run: Path) -> None:
    shutil.copytree(distilled_run, scene.out)
    message = scene.refused()
    assert message.startswith(f"out: {scene.out} holds a run with another config (there ")
    assert (scene.out / "config.yaml").read_bytes() == (distilled_run / "config.yaml").read_bytes()


def test_an_out_directory_that_is_no_run(scene: Scene) -> None:
    assert scene.refused(out=scene.teacher).startswith(f"out: {scene.teacher} is not empty and holds no run")
    path = scene.file("")
    assert scene.refused(out=path) == f"out: {path} is a file; expected a new or an empty directory."
    assert f"is inside a file, {path};" in scene.refused(out=path / "run")


# === Verbs that read ===


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["evaluate", "{teacher}", "--data", "nothing.tsv", "--text", "text", "--label", "label"],
            "nothing.tsv: no such file",
        ),
        (
            ["evaluate", "{encoder}", "--data", "{dev}", "--text", "text", "--label", "label"],
            "has no sequence_classification",
        ),
        (["evaluate", "{teacher}", "--data", "{dev}", "--text", "txt", "--label", "label"], "no column 'txt'"),
        (["predict", "{encoder}", "good"], "has no sequence_classification head"),
        (["predict", "--max-length", "25", "{teacher}", "good"], "max_length=25: "),
        (
            ["predict", "{teacher}", "good", " "],
            "text 2: expected a text that is not empty, or a pair of them, got ' '",
        ),
        (["explain", "--teacher", "{encoder}"], "explain needs --train, --text, --label, --out"),
    ],
)
def test_verbs_that_read(scene: Scene, encoder_dir: Path, arguments: list[str], message: str) -> None:
    places = {"teacher": scene.teacher, "encoder": encoder_dir, "dev": scene.flags["--dev"]}
    command = scene.tinybert(*(argument.format(**places) for argument in arguments))
    assert (command.status, command.out) == (2, "")
    (line,) = command.err.splitlines()
    assert message in line


def test_stdin_that_is_not_text(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with scene.file(b"good\ncaf\xe9\n").open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        command = scene.tinybert("predict", scene.teacher)
    assert command.status == 2
    assert command.err == "tinybert: stdin:2: expected UTF-8 text, got byte 0xe9\n"


def test_predictions_of_a_file(scene: Scene) -> None:
    path = scene.file(HEADER + GOOD_ROWS)
    there = scene.file("", "there.jsonl")
    for arguments, message in (
        (["--input", path], f"--input {path}: expected --text COLUMN[,COLUMN] beside it"),
        (["--text", "text"], "--text text: expected --input F, the file that has this column"),
        (["good", "--input", path, "--text", "text"], f"--input {path}: expected no texts beside it; "),
        (["--pairs", "--input", path, "--text", "text"], f"--input {path}: expected no --pairs beside it; "),
        (["--input", path, "--text", "texts"], f"{path}: no column 'texts'; it has 'text', 'label'; did you mean"),
        (["--input", path, "--text", "text,text"], "expected one, or two different ones"),
        (["--input", "none.tsv", "--text", "text"], "none.tsv: no such file"),
        (["--output", there], f"--output {there}: expected a new file, got one that is there"),
        (["--output", path / "new.jsonl"], f"{path} is a file"),
        (["--top-k", 0], "--top-k: expected an integer >= 1, got '0'"),
    ):
        command = scene.tinybert("predict", scene.teacher, *arguments)
        assert (command.status, command.out) == (2, "")
        (line,) = command.err.splitlines()
        assert message in line


# === While it trains ===


@pytest.mark.usefixtures("eager")
def test_training_that_leaves_the_numbers(scene: Scene) -> None:
    """The run directory stays, for its log; nothing that is not finite is saved as a model."""
    command = scene.command("--learning-rate", "1e30", "--max-steps", 3, "--precision", "float32")
    assert command.status == 2
    assert command.out == ""
    line = command.err.splitlines()[-1]
    assert line.startswith("tinybert: stage 'intermediate': the loss is nan (")
    assert " of 3 with learning_rate=1e+30; try a smaller learning rate" in line
    assert not (scene.out / "student").exists()
    assert not (scene.out / "metrics.json").exists()


# === Losses, before anything is trained ===


@pytest.mark.parametrize(
    ("arguments", "body", "message"),
    [
        (
            "self, *, student, teacher, mask",
            "abs(student - teacher)[:, 0]",
            "Own.call returned shape (None,); expected a scalar",
        ),
        ("self, **given", "given['student'].foo", "Own.call fails, {file}:8: AttributeError: "),
        ("self, student, teacher", "0.0", "Own.call takes no `mask`; expected `call(self, *, student, teacher, mask)`"),
    ],
)
def test_a_loss_of_ones_own(scene: Scene, arguments: str, body: str, message: str) -> None:
    source = (
        "import tinybert_tf as tb\n\n\n"
        "class Own(tb.DistillationLoss):\n"
        "    feature = 'logits'\n\n"
        f"    def call({arguments}):\n"
        f"        return {body}\n"
    )
    loss = f"{scene.file(source, 'own.py')}:Own"
    refused = scene.refused("--set", f'stages=[{{name: one, losses: ["{loss}"]}}]')
    assert refused.startswith(message.format(file=loss.removesuffix(":Own")))


def test_labels_that_stand_for_others(scene: Scene) -> None:
    """Numbers of a GLUE task, and a model with other names."""
    path = scene.file(f"sentence\tlabel\n{GOOD_ROWS.replace('negative', '0').replace('positive', '1')}")
    scene.edit_config(id2label={"0": "dull", "1": "fine"}, positive_label="fine")
    message = scene.refused(task="sst2", train=path, dev=path, text=None, label=None)
    assert message.startswith(f"{path}:2: label '")
    assert "is one of 'negative', 'positive', and the model's labels are 'dull', 'fine'; expected the same" in message


# === What is on disk is not what it should be ===


@pytest.mark.parametrize("verb", ["distill", "evaluate", "predict"])
def test_a_model_with_a_number_that_is_not_finite(scene: Scene, verb: str) -> None:
    path = scene.teacher / "model.safetensors"
    tensors = load_file(path)
    tensors["classifier.weight"][0, 0] = np.nan
    save_file(tensors, path, metadata={"format": "pt"})
    if verb == "distill":
        refused = scene.refused()
    else:
        flags = ["--data", scene.flags["--train"], "--text", "text", "--label", "label"]
        ended = scene.tinybert(verb, scene.teacher, *(flags if verb == "evaluate" else ["a film"]))
        assert (ended.status, ended.out) == (2, "")
        refused = ended.err.removeprefix("tinybert: ").strip()
    message = f"{path}: tensor classifier.weight: expected finite numbers, got 1 of "
    assert refused.startswith(message + f"{tensors['classifier.weight'].size} ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", '{"model_type": ["bert"]}', 'model_type: expected a string or null, got ["bert"]'),
        ("config.json", '{"architectures": [3]}', "architectures: expected a list of strings or null, got [3]"),
        ("config.json", "[" * 100_000, "expected JSON of at most 100 brackets within brackets, got more"),
        (
            "tokenizer_config.json",
            '{"do_lower_case": "true"}',
            "do_lower_case: expected true or false or null, got 'true'",
        ),
        ("special_tokens_map.json", "[" * 100_000, "expected JSON of at most 100 brackets within brackets, got more"),
    ],
)
@pytest.mark.parametrize("verb", ["distill", "predict"])
def test_json_that_is_not_what_it_should_be(scene: Scene, verb: str, name: str, content: str, message: str) -> None:
    (scene.teacher / name).write_text(content)
    ended = scene.command() if verb == "distill" else scene.tinybert("predict", scene.teacher, "a film")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == f"tinybert: {scene.teacher / name}: {message}\n"
