"""`Predictor`: texts in, labels and scores out, in the order they came."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import (
    EncoderConfig,
    InputError,
    MaskedLM,
    Predictor,
    SequenceClassifier,
    load_tokenizer,
    train_wordpiece,
)
from tinybert_tf.export.card import Card
from tinybert_tf.export.formats import FORMATS, Wish

TEXTS = [
    "the film is good",
    "bad",
    "this story",
    "i found that the whole picture seemed awful in the end",
    "fine plot",
] * 3


@pytest.fixture(scope="module")
def predictor(teacher_run: Path) -> Predictor:
    return Predictor(teacher_run, batch_size=4)


def test_scores_are_the_softmax_of_each_text_alone(predictor: Predictor, teacher_run: Path) -> None:
    """Texts of different lengths, in batches with padding: each answer is its own text's, in the order given."""
    model = SequenceClassifier.from_pretrained(teacher_run, dtype="float32")
    tokenizer = load_tokenizer(teacher_run)
    answers = predictor(TEXTS)
    for text, answer in zip(TEXTS, answers, strict=True):
        logits = np.asarray(model(tokenizer.encode([text]).padded([0], 0))["logits"])[0].astype("float64")
        expected = np.exp(logits) / np.exp(logits).sum()
        assert list(answer["scores"]) == ["negative", "positive"]
        np.testing.assert_allclose(list(answer["scores"].values()), expected, rtol=1e-4)
        assert answer["label"] == ["negative", "positive"][int(logits.argmax())]
    assert np.diff(sorted(answer["scores"]["positive"] for answer in answers[:5])).min() > 1e-3  # texts differ


def test_scores_are_plain_fractions(predictor: Predictor) -> None:
    for answer in predictor(TEXTS):
        assert sum(answer["scores"].values()) == pytest.approx(1.0, abs=1e-6)
        assert answer["scores"][answer["label"]] == max(answer["scores"].values())
        assert json.loads(json.dumps(answer)) == answer


def test_one_text_many_and_none(predictor: Predictor) -> None:
    assert predictor("bad")["scores"] == pytest.approx(predictor(["bad"])[0]["scores"], rel=1e-5)
    assert predictor([]) == []
    assert len(predictor(("bad", "good"))) == 2


def test_long_texts_are_cut(predictor: Predictor, teacher_run: Path) -> None:
    long = "good " * 500
    assert predictor(long)["scores"] == pytest.approx(predictor("good " * 22)["scores"], rel=1e-5)
    short = Predictor(teacher_run, max_length=3)
    assert short("good bad bad")["scores"] == pytest.approx(predictor("good")["scores"], rel=1e-5)


def test_pairs_are_read_as_pairs(predictor: Predictor, teacher_run: Path) -> None:
    pairs = [("the film is good", "bad"), ("bad", "the film is good"), ["fine plot", "this story"]]
    model, tokenizer = SequenceClassifier.from_pretrained(teacher_run, dtype="float32"), load_tokenizer(teacher_run)
    for pair, answer in zip(pairs, predictor([*pairs, "bad"]), strict=False):
        inputs = tokenizer.encode([tuple(pair)]).padded([0], 0)
        assert inputs["token_type_ids"].max() == 1
        logits = np.asarray(model(inputs)["logits"])[0].astype("float64")
        np.testing.assert_allclose(list(answer["scores"].values()), np.exp(logits) / np.exp(logits).sum(), rtol=1e-4)


def test_a_score(predictor: Predictor, tmp_path: Path) -> None:
    model = SequenceClassifier(predictor.runner.model.encoder, num_labels=1, dtype="float32")
    model.classifier.bias.assign([3.0])
    model.save_pretrained(tmp_path, tokenizer=predictor.tokenizer)
    inputs = predictor.tokenizer.encode(["good"]).padded([0], 0)
    answers = Predictor(tmp_path)(["bad plot", "good"])
    assert [list(answer) for answer in answers] == [["score"], ["score"]]
    assert answers[1]["score"] == pytest.approx(float(np.asarray(model(inputs)["logits"])[0, 0]), rel=1e-5)


@pytest.mark.parametrize("texts", ["", "  ", ["good", ""], ["good", None], [7], [("a",)], [("a", " ")], [("a",) * 3]])
def test_what_is_no_text(predictor: Predictor, texts: Any) -> None:
    number = 2 if isinstance(texts, list) and len(texts) == 2 else 1
    with pytest.raises(InputError, match=rf"text {number}: expected a text that is not empty, or a pair of them, got "):
        predictor(texts)


def test_directories_that_cannot_answer(
    predictor: Predictor, teacher_run: Path, encoder_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no such directory"):
        Predictor(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no sequence_classification head"):
        Predictor(encoder_dir)
    with pytest.raises(InputError, match=r"max_length=25: .* has max_position_embeddings=24"):
        Predictor(teacher_run, max_length=25)
    with pytest.raises(InputError, match="max_length=0 leaves no room"):
        Predictor(teacher_run, max_length=0)("good")
    MaskedLM(predictor.runner.model.encoder.config, dtype="float32").save_pretrained(
        tmp_path / "lm", predictor.tokenizer
    )
    with pytest.raises(InputError, match="no sequence_classification head"):
        Predictor(tmp_path / "lm")
    for file in ("config.json", "model.safetensors"):
        shutil.copy(teacher_run / "model" / file, tmp_path)
    with pytest.raises(InputError, match="no tokenizer here"):
        Predictor(tmp_path)


# === Exports ===


def test_a_litert_export_answers_without_tensorflow(litert_export: Path, predictor: Predictor) -> None:
    """In a process of its own: neither TensorFlow nor Keras nor transformers is imported, and the answers are right."""
    program = (
        "import json, sys, tinybert_tf as tb\n"
        f"predictor = tb.Predictor({str(litert_export)!r})\n"
        f"answers = predictor({TEXTS!r})\n"
        "heavy = {'tensorflow', 'keras', 'transformers', 'torch', 'sklearn', 'scipy', 'h5py'} & set(sys.modules)\n"
        "print(json.dumps([sorted(heavy), answers]))"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy, answers = json.loads(process.stdout)
    assert heavy == []
    for answer, expected in zip(answers, predictor(TEXTS), strict=True):
        assert answer["label"] == expected["label"]
        assert answer["scores"] == pytest.approx(expected["scores"], abs=0.02)


def test_the_command_line_answers_without_tensorflow(litert_export: Path) -> None:
    program = (
        "import sys; from tinybert_tf.cli import main\n"
        f"status = main(['predict', {str(litert_export)!r}, 'the film is good'])\n"
        "print(status, {'tensorflow', 'keras', 'transformers'} & set(sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    answer, end = process.stdout.splitlines()
    assert json.loads(answer)["label"] == "positive"
    assert end == "0 set()"


@pytest.mark.parametrize("task", ["multi_label", "regression", "token_classification", "question_answering"])
def test_every_task_from_a_litert_file(
    task: str, make_model: Callable[..., Any], litert_content: Callable[..., bytes], tmp_path: Path
) -> None:
    """The file named by itself; each answer is what the Hugging Face directory's predictor gives."""
    tokenizer = train_wordpiece(["ann came from york to see bob and the new film"], vocab_size=60, min_frequency=1)
    model = make_model("bert", task, num_hidden_layers=1)
    model.save_pretrained(tmp_path / "model", tokenizer=tokenizer)
    exported = tmp_path / "export"
    exported.mkdir()
    (exported / "model.tflite").write_bytes(litert_content(model))
    tokenizer.save_pretrained(exported)
    Card("litert", "model.tflite", task, model.label_names, 12, [8, 12]).write(exported)
    texts: list[Any] = ["ann came", "bob and ann came to see the new film from york " * 3]
    if task == "question_answering":
        texts = [("who came", text) for text in texts]
    found, expected = Predictor(exported / "model.tflite")(texts), Predictor(tmp_path / "model", max_length=12)(texts)
    for one, other in zip(found, expected, strict=True):
        assert flat(one) == pytest.approx(flat(other), abs=1e-4)


@pytest.mark.parametrize("task", ["sequence_classification", "token_classification", "question_answering"])
def test_a_call_costs_the_same_with_a_large_vocabulary(
    task: str, make_model: Callable[..., Any], tmp_path: Path
) -> None:
    """Counted in steps of Python, of a call that is not the first."""
    words = ["".join(letters) for letters in itertools.product("abcdefghijkl", repeat=3)]
    text: Any = ("abc", "def ghi") if task == "question_answering" else "abc def ghi"
    steps = []
    for count in (60, 1500):
        tokenizer = train_wordpiece([" ".join(words[:count])], vocab_size=20_000, min_frequency=1)
        model = make_model("bert", task, vocab_size=tokenizer.vocab_size)
        model.save_pretrained(tmp_path / str(count), tokenizer=tokenizer)
        predictor = Predictor(tmp_path / str(count))
        predictor([text])
        steps.append(counted(predictor, text))
    assert steps[1] < steps[0] + 500


def counted(predictor: Predictor, text: Any) -> int:
    """Functions that a call enters, those of C too, and generators that it resumes."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        predictor([text])
    finally:
        sys.setprofile(None)
    return calls


def flat(answer: Any) -> dict[str, Any]:
    """An answer's numbers and names by their places."""
    pairs = enumerate(answer) if isinstance(answer, list) else answer.items() if isinstance(answer, dict) else None
    if pairs is None:
        return {"": answer}
    return {f"{key}/{rest}": value for key, one in pairs for rest, value in flat(one).items()}


def test_an_export_whose_labels_are_gone(litert_export: Path, tmp_path: Path) -> None:
    shutil.copytree(litert_export, tmp_path / "export")
    (tmp_path / "export" / "labels.json").unlink()
    for path in (tmp_path / "export", tmp_path / "export" / "model.tflite"):
        with pytest.raises(InputError, match=r"labels\.json: no such file, and only it holds the labels"):
            Predictor(path)


def test_an_export_whose_tokenizer_is_gone(litert_export: Path, tmp_path: Path) -> None:
    for name in ("model.tflite", "labels.json"):
        shutil.copy(litert_export / name, tmp_path)
    with pytest.raises(InputError, match="no tokenizer here"):
        Predictor(tmp_path)


def test_longer_than_the_export(litert_export: Path) -> None:
    with pytest.raises(InputError, match=r"max_length=17: .* takes at most 16 tokens"):
        Predictor(litert_export, max_length=17)
    assert Predictor(litert_export)("good " * 500)["label"] == "positive"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a" * 10_000_000, "text 1 has 10,000,000 characters; expected at most 1,000,000"),
        (["good", ("bad", " " * 1_000_001)], "text 2 has 1,000,001 characters"),
        (["good", "b\udcffd"], "text 2 is not UTF-8 at character 2"),
        (b"good", "text 1 is bytes; expected a str"),
        ([b"\xff"], "text 1 is bytes"),
    ],
)
def test_what_is_refused_before_it_is_read(texts: Any, message: str, predictor: Predictor, litert_export: Path) -> None:
    for refusing in (predictor, Predictor(litert_export)):
        with pytest.raises(InputError, match=message):
            refusing(texts)


@pytest.mark.alone
def test_cold_start(tmp_path: Path) -> None:
    """From the start of Python to the first answer of a TinyBERT takes far less than TensorFlow's import."""
    words = ["".join(letters) for letters in itertools.product("abcdefghijklmnop", repeat=3)]
    tokenizer = train_wordpiece(words * 2, vocab_size=4000)
    config = EncoderConfig.from_preset("tinybert-4l-312d", vocab_size=30522)
    model = SequenceClassifier(config, num_labels=2, dtype="float32")
    FORMATS["litert"].write(model, tmp_path / "model.tflite", Wish("dynamic_int8", (128,)))
    tokenizer.save_pretrained(tmp_path)
    Card("litert", "model.tflite", "sequence_classification", model.label_names, 128, [128]).write(tmp_path)
    program = f"import tinybert_tf as tb; tb.Predictor({str(tmp_path)!r})('abc')"
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) <= 1.5  # half a second on an idle machine; with TensorFlow imported it is over 3


def test_no_texts_together(litert_export: Path) -> None:
    with pytest.raises(InputError, match="batch_size: expected an integer >= 1, got 0"):
        Predictor(litert_export, batch_size=0)


def test_several_scores_are_the_logits(tmp_path: Path) -> None:
    config = EncoderConfig.from_preset("bert-tiny", vocab_size=40, num_hidden_layers=1)
    model = SequenceClassifier(config, num_labels=3, id2label=["x", "y", "z"])
    model.classifier.kernel.assign(np.zeros((128, 3)))
    model.classifier.bias.assign([1.9459, 1.3547, 0.2292])
    model.save_pretrained(tmp_path, tokenizer=train_wordpiece(["a film"], 40, min_frequency=1))
    config_file = tmp_path / "config.json"
    saved = json.loads(config_file.read_text(encoding="utf-8"))
    config_file.write_text(json.dumps({**saved, "problem_type": "regression"}), encoding="utf-8")
    answer = Predictor(tmp_path)("a film")
    assert answer == {"scores": pytest.approx({"x": 1.9459, "y": 1.3547, "z": 0.2292}, abs=1e-6)}
