"""What a run is made from: every file of its config that its result depends on."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from tinybert_tf.config.pretraining import CorpusSection, PretrainConfig
from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    LossSection,
    StageSection,
    StudentSection,
    TeacherSection,
)
from tinybert_tf.pipeline.runs.sources import GONE, changed_source, sources_of


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models and some files, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for model in ("bert", "other", "small"):
        Path(model).mkdir()
        for name in ("config.json", "model.safetensors", "vocab.txt", "README.md"):
            Path(model, name).write_text(f"{name} of {model}")
    for name in ("train.tsv", "dev.tsv", "more.tsv", "mine.py", "corpus.txt"):
        Path(name).write_text(name)
    return tmp_path


def test_a_distillation(files: Path) -> None:
    stages = (
        StageSection("one", (LossSection("mine.py:Mine"), LossSection("hidden_state")), train="more.tsv"),
        StageSection("two", (LossSection("mine.py:Mine"), LossSection("prediction"))),
    )
    config = DistillConfig(
        teacher=TeacherSection("bert", others=("other",)),
        student=StudentSection(dir="small"),
        data=Data(train="train.tsv", dev="dev.tsv", test="test.tsv", text=("text",), label="label"),
        stages=stages,
        out="run",
    )
    sources = sources_of(config)
    assert set(sources) == {
        "train file train.tsv", "dev file dev.tsv", "test file test.tsv", "train file more.tsv",
        *(f"teacher file {name}: {file}" for name in ("bert", "other")
          for file in ("config.json", "model.safetensors", "vocab.txt")),
        *(f"student file small: {file}" for file in ("config.json", "model.safetensors", "vocab.txt")),
        "file of the loss mine.py:Mine",
    }  # fmt: skip
    assert sources["train file train.tsv"] == hashlib.sha256(b"train.tsv").hexdigest()
    assert sources["test file test.tsv"] == GONE
    Path("mine.py").write_text("another loss")
    assert changed_source(sources, sources_of(config)) == "file of the loss mine.py:Mine"
    hub = dataclasses.replace(config.data, train="hub:stanfordnlp/sst2:train")
    assert not any("hub" in name for name in sources_of(dataclasses.replace(config, data=hub)))


def test_a_pretraining(files: Path) -> None:
    Path("small", "config.json").unlink()
    Path("small", "model.safetensors").unlink()
    config = PretrainConfig(
        model=StudentSection(preset="bert-tiny"), tokenizer="small", corpus=CorpusSection(("corpus.txt",)), out="run"
    )
    assert set(sources_of(config)) == {"corpus file corpus.txt", "tokenizer file small: vocab.txt"}


def test_what_changed() -> None:
    assert changed_source({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) is None
    assert changed_source({"a": "1", "b": "2"}, {"a": "1", "b": "3"}) == "b"
    assert changed_source({"a": "1"}, {"a": "1", "c": "3"}) == "c"
    assert changed_source({"a": "1", "b": "2"}, {"a": "1"}) == "b"
