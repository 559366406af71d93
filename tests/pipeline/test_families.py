"""Teachers that are no BERTs, from the fine-tuning of an encoder to a student that transformers reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import tokenizers

from tinybert_tf import EncoderConfig, TransformerEncoder, load_tokenizer
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def byte_level_bpe(opinions: Path, directory: Path) -> Tokenizer:
    learned = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learned.train([str(opinions / "train.tsv")], vocab_size=330, special_tokens=special, show_progress=False)
    learned.save_model(str(directory))
    return load_tokenizer(directory)


@pytest.fixture(params=["roberta", "distilbert", "electra"])
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def encoder(family: str, opinions: Path, encoder_dir: Path, tmp_path: Path) -> Path:
    """An untrained encoder of the family, with its tokenizer, and texts of up to 24 tokens."""
    more: dict[str, Any] = {
        "roberta": {"pad_token_id": 1, "type_vocab_size": 1, "max_position_embeddings": 26},
        "distilbert": {"type_vocab_size": 0, "max_position_embeddings": 24},
        "electra": {"embedding_size": 12, "max_position_embeddings": 24},
    }[family]
    tokenizer = byte_level_bpe(opinions, tmp_path) if family == "roberta" else load_tokenizer(encoder_dir)
    config = EncoderConfig(model_type=family, vocab_size=tokenizer.vocab_size, initializer_range=0.1, **SIZES, **more)
    keras.utils.set_random_seed(0)
    TransformerEncoder(config, dtype="float32").save_pretrained(tmp_path / "encoder", tokenizer=tokenizer)
    return tmp_path / "encoder"


@pytest.mark.slow
def test_from_an_encoder_to_a_student(
    family: str,
    encoder: Path,
    tinybert: Callable[..., Any],
    data_flags: list[str],
    training_flags: list[str],
    opinions: Path,
    tmp_path: Path,
) -> None:
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    command = tinybert("finetune", "--model", encoder, *data_flags, *training_flags, "--epochs", 8, "--out", teacher)
    assert command.status == 0, command.err
    command = tinybert("explain", "--teacher", teacher, *data_flags, "--out", student)
    assert command.status == 0, command.err
    assert "student starts from: cut" in command.out
    command = tinybert("distill", "--teacher", teacher, *data_flags, *training_flags, "--epochs", 5, "--out", student)
    assert command.status == 0, command.err
    metrics = json.loads((student / "metrics.json").read_text())
    assert metrics["teacher"]["accuracy"] > 0.9
    assert metrics["student"]["accuracy"] > 0.75
    config = json.loads((student / "student" / "config.json").read_text())
    assert config["model_type"] == family
    assert config["architectures"][0].lower() == f"{family}forsequenceclassification"
    command = tinybert("predict", student, "the film is lovely")
    assert command.status == 0, command.err
    assert json.loads(command.out)["label"] == "positive"
