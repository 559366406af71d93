"""What a run measured: the numbers of metrics.json and their table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier, train_wordpiece
from tinybert_tf.data.batches.encoded import EncodedTexts, write_classes
from tinybert_tf.models.pretrained import in_precision
from tinybert_tf.pipeline.runs import measure
from tinybert_tf.pipeline.runs.directory import RunDirectory
from tinybert_tf.pipeline.runs.measure import measure_fully, measure_models
from tinybert_tf.pipeline.runs.results import results_table


def result(accuracy: float, parameters: int, test: float | None = None) -> dict[str, Any]:
    cost = {"parameters": parameters, "size_bytes": 4 * parameters, "latency_ms": 2.5}
    values = {"accuracy": accuracy, "standard_error": {"accuracy": 0.012}, **cost}
    return values if test is None else {**values, "test": {"accuracy": test, "standard_error": {"accuracy": 0.0068}}}


def test_the_table_compares_with_the_reference() -> None:
    results = {
        "data": {"train": {"rows": 4, "truncated": 0}},
        "student": result(0.9, 4_000_000, 0.8),
        "teacher": result(0.95, 10_000_000, 0.875),
    }
    header, _, *rows = results_table(results, "accuracy", "teacher").splitlines()
    assert [cell.strip() for cell in header.split("|")[1:-1]] == [
        "model", "dev accuracy", "test accuracy", "parameters", "size", "latency",
    ]  # fmt: skip
    assert [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows] == [
        ["teacher", "95.0% ± 1.2", "87.5% ± 0.7", "10.00 M", "40.0 MB", "2.50 ms"],
        ["student", "90.0% ± 1.2", "80.0% ± 0.7", "4.00 M (2.5x less)", "16.0 MB (2.5x less)", "2.50 ms"],
    ]


def test_correlations_are_numbers_and_other_metrics_percentages() -> None:
    cost = {"parameters": 1, "size_bytes": 4, "latency_ms": 2.5}
    results = {"model": {"pearson": 0.8765, "f1": 0.5, **cost}}
    assert " 0.876 |" in results_table(results, "pearson", "model")
    assert " 50.0% |" in results_table(results, "f1", "model")


def test_without_a_test_set() -> None:
    assert "test" not in results_table({"model": result(0.5, 1)}, "accuracy", "model")


@pytest.fixture(scope="module")
def split() -> EncodedTexts:
    texts = [("a b c " * (1 + number % 3)).strip() for number in range(70)]  # more than one batch
    tokenizer = train_wordpiece(texts, vocab_size=20)
    labels = np.arange(70, dtype="int32") % 2
    return EncodedTexts(tokenizer.encode(texts, 8), labels, 0, ["no", "yes"], write_classes)


def make_model(dtype: str, seed: int) -> SequenceClassifier:
    keras.utils.set_random_seed(seed)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = EncoderConfig(vocab_size=20, max_position_embeddings=8, initializer_range=0.5, **sizes)
    return SequenceClassifier(config, dtype=dtype, name=f"model_{seed}")


def test_measured_as_saved(split: EncodedTexts, tmp_path: Path) -> None:
    models = {"teacher": make_model("float32", 1), "student": make_model("mixed_bfloat16", 2)}
    for name, model in models.items():
        model.save_pretrained(tmp_path / name)
    directories = {name: [tmp_path / name] for name in models}
    splits = {"train": split, "dev": split, "test": split}
    run = RunDirectory(tmp_path)
    results = measure_models(models, directories, splits, "sequence_classification", run)
    comparisons = results.pop("comparisons")
    assert results.keys() == models.keys()
    exact = {
        name: measure_fully(in_precision(model, "float32"), split, "sequence_classification")
        for name, model in models.items()
    }
    for name, measured in results.items():
        metrics = exact[name].as_json()
        assert {key: measured[key] for key in metrics} == metrics == measured["test"]
        assert measured["parameters"] == models[name].count_params()
        assert measured["size_bytes"] == (tmp_path / name / "model.safetensors").stat().st_size
        assert measured["latency_ms"] > 0  # also where the model takes fewer than 32 tokens, as this one
        assert measured.keys() == {*metrics, "test", "parameters", "size_bytes", "latency_ms"}
    expected = {"student_teacher": exact["student"].less(exact["teacher"])}
    assert comparisons == {"dev": expected, "test": expected}
    resamples = run.read_resamples()
    assert set(resamples) == {
        f"{name}/{part}/{metric}" for name in models for part in ("dev", "test") for metric in exact[name].metrics
    }
    np.testing.assert_array_equal(resamples["student/test/f1"], exact["student"].resampled["f1"])


def test_models_are_asked_once(split: EncodedTexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors and comparisons come from the same answers as the metrics."""
    asked: list[str] = []
    monkeypatch.setattr(
        measure, "logits_of", lambda model, batches: asked.append(model.name) or np.eye(2, dtype="float32")[[0, 1] * 35]
    )
    models = {name: make_model("float32", seed) for seed, name in enumerate(("teacher", "student", "baseline"))}
    models["teacher"].save_pretrained(tmp_path / "model")
    results = measure_models(
        models, {name: [tmp_path / "model"] for name in models}, {"dev": split}, "sequence_classification",
        RunDirectory(tmp_path),
    )  # fmt: skip
    assert asked == ["model_0", "model_1", "model_2"]
    nothing = {"difference": 0.0, "standard_error": 0.0, "interval": [0.0, 0.0]}
    assert results["comparisons"]["dev"]["student_baseline"]["accuracy"] == nothing


def test_a_single_model_is_compared_with_nothing(split: EncodedTexts, tmp_path: Path) -> None:
    model = make_model("float32", 1)
    model.save_pretrained(tmp_path / "model")
    directories = {"model": [tmp_path / "model"]}
    run = RunDirectory(tmp_path)
    assert list(measure_models({"model": model}, directories, {"dev": split}, "sequence_classification", run)) == [
        "model"
    ]
