"""`evaluate`: the metrics of a saved model on a file, as scikit-learn computes them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tinybert_tf import InputError, SequenceClassifier, TextDataset, load_tokenizer
from tinybert_tf.pipeline.evaluate import run_evaluate


@pytest.fixture(scope="module")
def half_right(opinions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`opinions`' test file with every third label turned round, 1 and 0 for names."""
    _, *lines = (opinions / "test.tsv").read_text(encoding="utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines):
        text, label = line.split("\t")
        rows.append(f"{int((label == 'positive') ^ (number % 3 == 0))}\t{text}")
    path = tmp_path_factory.mktemp("half") / "half_right.tsv"
    path.write_text("\n".join(["class\ttext", *rows]) + "\n", encoding="utf-8")
    return path


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """The metrics that are one number."""
    return {name: value for name, value in metrics.items() if isinstance(value, float)}


def by_hand(directory: Path, file: Path, max_length: int = 24) -> dict[str, float]:
    dataset = TextDataset.from_file(file, text="text", label="class")
    labels = dataset.label_ids(["negative", "positive"])
    model = SequenceClassifier.from_pretrained(directory, dtype="float32")
    tokens = load_tokenizer(directory).encode(dataset.texts, max_length)
    answers = np.asarray(model(tokens.padded(range(len(tokens)), 0))["logits"]).argmax(axis=-1)
    return {
        "accuracy": accuracy_score(labels, answers),
        "f1": f1_score(labels, answers),
        "f1_macro": f1_score(labels, answers, average="macro"),
        "matthews_correlation": matthews_corrcoef(labels, answers),
    }


def test_a_run_directory_against_scikit_learn(
    tinybert: Callable[..., Any], distilled_run: Path, half_right: Path
) -> None:
    command = tinybert("evaluate", distilled_run, "--data", half_right, "--text", "text", "--label", "class")
    assert command.status == 0, command.err
    assert numbers(json.loads(command.out)) == pytest.approx(by_hand(distilled_run / "student", half_right), abs=1e-12)
    assert len(command.out.splitlines()) == 1
    assert "40 rows" in command.err
    assert "cut at 24 tokens" in command.err  # the model's limit, which is below 128


def test_a_length_of_ones_own(teacher_run: Path, half_right: Path) -> None:
    # The word that counts is cut.
    metrics = numbers(run_evaluate(teacher_run, str(half_right), "text", "class", max_length=4))
    assert metrics == pytest.approx(by_hand(teacher_run / "model", half_right, 4), abs=1e-12)
    assert metrics != pytest.approx(by_hand(teacher_run / "model", half_right), abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length": 25}, "max_length=25: .* has max_position_embeddings=24"),
        ({"max_length": 2}, "max_length=2 leaves no room for text; expected at least 3"),
        ({"task": "masked_lm"}, "task: expected one of sequence_classification, regression, "),
        ({"text": "text,class,more"}, "names 3 columns; expected one, or two different ones for pairs"),
        ({"task": "regression"}, "gives classes, one of them right; a model for task regression gives one score"),
        (
            {"label": "text"},
            r"half_right\.tsv:2: label 'the film looks good to me'; expected 'negative', 'positive', or 0 to 1",
        ),
    ],
)
def test_refusals(teacher_run: Path, half_right: Path, changes: dict[str, Any], message: str) -> None:
    arguments = {"data": str(half_right), "text": "text", "label": "class", **changes}
    with pytest.raises(InputError, match=message):
        run_evaluate(teacher_run, **arguments)


def test_scores_of_pairs_against_scipy(
    tinybert: Callable[..., Any], score_teacher: tuple[Path, Any], scored_pairs: Path
) -> None:
    run = score_teacher[0]
    flags = ["--data", scored_pairs / "dev.tsv", "--text", "first,second", "--label", "score"]
    command = tinybert("evaluate", run, *flags)  # the task is the model's
    assert command.status == 0, command.err
    dataset = TextDataset.from_file(scored_pairs / "dev.tsv", text="first,second", label="score")
    tokens = load_tokenizer(run).encode(dataset.texts, 24)
    model = SequenceClassifier.from_pretrained(run, dtype="float32")
    answers = np.asarray(model(tokens.padded(range(len(tokens)), 0))["logits"])[:, 0]
    scores = [float(label) for label in dataset.labels or []]
    measured = json.loads(command.out)
    errors = measured.pop("standard_error")
    assert f"pearson {measured['pearson']:.3f} ± {errors['pearson']:.3f}, spearman " in command.err
    assert command.err.endswith("; ± standard error, from 1,000 resamples of 16 rows\n")
    assert measured == pytest.approx(
        {"pearson": pearsonr(answers, scores).statistic, "spearman": spearmanr(answers, scores).statistic}, abs=1e-5
    )
    assert tinybert("evaluate", run, *flags, "--task", "regression").out == command.out
    refused = tinybert("evaluate", run, *flags, "--task", "sequence_classification")
    assert refused.status == 2
    assert refused.err.startswith(f"tinybert: {run} gives one score; a model for task sequence_classification gives c")
    assert refused.err.endswith(", or name the task that it was trained for (--task regression).\n")


def test_pairs_on_the_command_line(
    tinybert: Callable[..., Any], score_teacher: tuple[Path, Any], scored_pairs: Path
) -> None:
    pairs = ["the film is good\tthe plot was lovely", "the film is bad\tthe plot was awful"]
    command = tinybert("predict", "--pairs", score_teacher[0], *pairs)
    assert command.status == 0, command.err
    praised, blamed = (json.loads(line)["score"] for line in command.out.splitlines())
    assert praised > blamed
    refused = tinybert("predict", "--pairs", score_teacher[0], pairs[0], "no tab")
    assert (refused.status, refused.out) == (2, "")
    assert "text 2: expected a text that is not empty, or a pair of them, got ('no tab',)" in refused.err


def test_a_task_of_glue_by_its_name(tinybert: Callable[..., Any], teacher_run: Path, tmp_path: Path) -> None:
    """SST-2's columns and its labels, 0 for negative; a model whose classes have another order is measured right."""
    path = tmp_path / "dev.tsv"
    rows = ["the film was good\t1", "the plot was awful\t0", "the plot was dull\tpositive", "the film was bad\t0"]
    path.write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    command = tinybert("evaluate", teacher_run, "--task", "sst2", "--data", path)
    assert command.status == 0, command.err
    metrics = numbers(json.loads(command.out))
    assert metrics["accuracy"] == pytest.approx(3 / 4)
    assert metrics["f1"] == pytest.approx(2 / 3)  # of "positive": one of two was found
    model = SequenceClassifier.from_pretrained(teacher_run, dtype="float32")
    turned = SequenceClassifier(model.encoder, id2label=["positive", "negative"], dtype="float32")
    turned.classifier.kernel.assign(model.classifier.kernel.numpy()[:, ::-1])
    turned.classifier.bias.assign(model.classifier.bias.numpy()[::-1])
    turned.save_pretrained(tmp_path / "turned", tokenizer=load_tokenizer(teacher_run))
    turned_round = tinybert("evaluate", tmp_path / "turned", "--task", "sst2", "--data", path)
    assert numbers(json.loads(turned_round.out)) == pytest.approx(metrics)
    assert json.loads(turned_round.out) == json.loads(command.out)
    refused = tinybert("evaluate", teacher_run, "--task", "mrpc", "--data", path)
    assert refused.status == 2
    assert refused.err.startswith(f"tinybert: {path}: no column '#1 String'; it has 'sentence', 'label'")


@pytest.fixture(scope="module")
def turned_teacher(teacher_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny teacher with its classes in the order positive, negative."""
    directory = tmp_path_factory.mktemp("turned")
    model = SequenceClassifier.from_pretrained(teacher_run, dtype="float32")
    turned = SequenceClassifier(model.encoder, id2label=["positive", "negative"], dtype="float32")
    turned.classifier.kernel.assign(model.classifier.kernel.numpy()[:, ::-1])
    turned.classifier.bias.assign(model.classifier.bias.numpy()[::-1])
    turned.save_pretrained(directory, tokenizer=load_tokenizer(teacher_run))
    return directory


@pytest.fixture(scope="module")
def in_integers(opinions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`opinions`' dev file as SST-2 has it: `sentence` and `label`, 1 for positive."""
    rows = [line.split("\t") for line in (opinions / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    lines = ["sentence\tlabel", *(f"{text}\t{int(label == 'positive')}" for text, label in rows)]
    path = tmp_path_factory.mktemp("integers") / "dev.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def from_integers(
    tinybert: Callable[..., Any],
    turned_teacher: Path,
    in_integers: Path,
    training_flags: list[str],
    tmp_path_factory: Any,
) -> Path:
    """A run whose student learned from integers, of a teacher whose classes are the other way round."""
    out = tmp_path_factory.mktemp("runs") / "from_integers"
    files = ["--train", in_integers, "--dev", in_integers, "--max-length", 16]
    flags = ["--task", "sst2", "--max-steps", 1, *training_flags, "--learning-rate", "1e-5", "--out", out]
    command = tinybert("distill", "--teacher", turned_teacher, *files, *flags)
    assert command.status == 0, command.err
    return out


def test_a_student_carries_what_integers_stood_for(
    tinybert: Callable[..., Any], from_integers: Path, in_integers: Path, tmp_path: Path
) -> None:
    columns = ["--text", "sentence", "--label", "label"]
    metrics = json.loads(tinybert("evaluate", from_integers / "student", "--data", in_integers, *columns).out)
    assert metrics["accuracy"] > 0.9
    assert metrics["positive_label"] == "positive"
    flags = ["--format", "hf", "--out", tmp_path / "out"]
    exported = tinybert("export", from_integers / "student", *flags, "--verify", in_integers, *columns)
    assert exported.status == 0, exported.err
    verified = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["verification"]["metrics"]
    assert verified["accuracy"] == metrics["accuracy"]


def test_a_model_that_carries_nothing_says_how_it_reads_integers(
    tinybert: Callable[..., Any], turned_teacher: Path, in_integers: Path
) -> None:
    columns = ["--data", in_integers, "--text", "sentence", "--label", "label"]
    command = tinybert("evaluate", turned_teacher, *columns)
    assert f"integers in {in_integers}: 0 = positive, 1 = negative" in command.err
    assert json.loads(command.out)["accuracy"] < 0.1
    named = tinybert("evaluate", turned_teacher, "--data", in_integers, "--task", "sst2")
    assert "0 = " not in named.err
    assert json.loads(named.out)["accuracy"] > 0.9


def test_f1_is_of_the_positive_class_whatever_its_number(
    tinybert: Callable[..., Any], teacher_run: Path, turned_teacher: Path, tmp_path: Path
) -> None:
    """Six rows are `negative`, and one of them is answered `positive`: F1 is 10 of 11, of the other class 0."""
    texts = ["the film was good", *["the film was bad"] * 5]
    path = tmp_path / "rows.tsv"
    path.write_text("\n".join(["text\tlabel", *(f"{text}\tnegative" for text in texts)]) + "\n", encoding="utf-8")
    columns = ["--data", path, "--text", "text", "--label", "label"]
    for model in (teacher_run, turned_teacher):
        of = {
            name: json.loads(tinybert("evaluate", model, *columns, "--positive", name).out)
            for name in ("positive", "negative")
        }
        assert of["negative"]["f1"] == pytest.approx(10 / 11)
        assert (of["positive"]["f1"], of["positive"]["positive_label"]) == (0.0, "positive")


def test_a_run_knows_its_columns_task_and_labels(
    tinybert: Callable[..., Any],
    from_integers: Path,
    in_integers: Path,
    score_teacher: tuple[Path, Any],
    scored_pairs: Path,
) -> None:
    command = tinybert("evaluate", from_integers, "--data", in_integers)
    assert command.status == 0, command.err
    metrics = json.loads(command.out)
    assert (metrics["accuracy"] > 0.9, metrics["per_class"]["positive"]["support"]) == (True, 20)
    scored = tinybert("evaluate", score_teacher[0], "--data", scored_pairs / "dev.tsv")
    assert set(json.loads(scored.out)) == {"pearson", "spearman", "standard_error"}
    missing = tinybert("evaluate", from_integers / "student", "--data", in_integers)
    assert (missing.status, missing.out) == (2, "")
    assert "which columns?" in missing.err


def test_an_export_is_measured_without_tensorflow(
    tinybert: Callable[..., Any], from_integers: Path, in_integers: Path, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    assert tinybert("export", from_integers, "--format", "litert", "--out", export).status == 0
    flags = ["evaluate", export, "--data", in_integers, "--text", "sentence", "--label", "label"]
    program = "import sys\nfrom tinybert_tf.cli import main\nstatus = main(sys.argv[1:])\n"
    program += "print(status, [name for name in ('keras', 'tensorflow') if name in sys.modules])"
    command = [sys.executable, "-c", program, *map(str, flags)]
    out, loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert loaded == "0 []"
    ours = json.loads(tinybert("evaluate", from_integers, "--data", in_integers).out)
    assert json.loads(out) == ours
    refused = tinybert(*flags, "--task", "regression")
    assert f"{export}: expected task sequence_classification, for which it was exported, got regression" in refused.err


def test_a_class_that_is_never_predicted_is_named(
    tinybert: Callable[..., Any], teacher_run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("text\tlabel\nthe film was good\tpositive\nthe plot was good\tnegative\n", encoding="utf-8")
    command = tinybert("evaluate", teacher_run, "--data", path, "--text", "text", "--label", "label")
    assert "never predicted: 'negative' (0 of 1)" in command.err
    assert json.loads(command.out)["per_class"] == {
        "negative": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1, "predicted": 0},
        "positive": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1, "predicted": 2},
    }
