"""`EncoderConfig`: presets and their parameter counts, what is refused, and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from tinybert_tf import EncoderConfig, InputError, TransformerEncoder
from tinybert_tf.models.config import PRESETS

# Hidden size, layers, heads, intermediate size; parameters of the encoder with its pooler.
SIZES = {
    "tinybert-4l-312d": (312, 4, 12, 1200, 14_350_248),
    "tinybert-6l-768d": (768, 6, 12, 3072, 66_955_008),
    "bert-base": (768, 12, 12, 3072, 109_482_240),
    "bert-tiny": (128, 2, 2, 512, 4_385_920),
    "bert-mini": (256, 4, 4, 1024, 11_170_560),
    "bert-small": (512, 4, 8, 2048, 28_763_648),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    hidden_size, layers, heads, intermediate_size, parameters = SIZES[preset]
    config = EncoderConfig.from_preset(preset)
    sizes = (config.hidden_size, config.num_hidden_layers, config.num_attention_heads, config.intermediate_size)
    assert sizes == (hidden_size, layers, heads, intermediate_size)
    assert config.head_size * heads == hidden_size

    embeddings = (30522 + 512 + 2) * hidden_size + 2 * hidden_size
    attention = 4 * (hidden_size * hidden_size + hidden_size) + 2 * hidden_size
    feed_forward = 2 * hidden_size * intermediate_size + intermediate_size + hidden_size + 2 * hidden_size
    pooler = hidden_size * hidden_size + hidden_size
    assert embeddings + layers * (attention + feed_forward) + pooler == parameters

    # Random numbers for a hundred million weights take seconds; zeros do not.
    monkeypatch.setattr(
        keras.initializers.TruncatedNormal, "__call__", lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
    )
    assert TransformerEncoder(config).count_params() == parameters


def test_defaults_are_bert_base() -> None:
    assert EncoderConfig() == EncoderConfig.from_preset("bert-base")


def test_a_preset_with_overrides() -> None:
    config = EncoderConfig.from_preset("tinybert-4l-312d", num_hidden_layers=3, vocab_size=100)
    assert (config.num_hidden_layers, config.vocab_size, config.hidden_size) == (3, 100, 312)


def test_an_unknown_preset() -> None:
    with pytest.raises(InputError, match=r"preset 'bert-huge': expected one of tinybert-4l-312d, .*bert-small"):
        EncoderConfig.from_preset("bert-huge")


REFUSED = [
    ({"hidden_size": 310}, "num_attention_heads=12 must divide hidden_size=310"),
    ({"hidden_size": 0}, "hidden_size=0: expected an integer from 1 to 2147483647"),
    ({"num_hidden_layers": -1}, "num_hidden_layers=-1: expected an integer"),
    ({"vocab_size": 3.0}, "vocab_size=3.0: expected an integer"),
    ({"intermediate_size": "12"}, "intermediate_size='12': expected an integer"),
    ({"num_attention_heads": True}, "num_attention_heads=True: expected an integer"),
    ({"pad_token_id": -1}, "pad_token_id=-1: expected an integer from 0 to"),
    ({"hidden_dropout_prob": 1.0}, r"hidden_dropout_prob=1.0: expected a fraction in \[0, 1\)"),
    ({"attention_probs_dropout_prob": -0.1}, "attention_probs_dropout_prob=-0.1: expected a fraction"),
    ({"hidden_dropout_prob": float("nan")}, "hidden_dropout_prob=nan: expected a fraction"),
    ({"hidden_dropout_prob": "0.1"}, "hidden_dropout_prob='0.1': expected a number"),
    ({"layer_norm_eps": 0.0}, "layer_norm_eps=0.0: expected a finite number above 0"),
    ({"layer_norm_eps": float("inf")}, "layer_norm_eps=inf: expected a finite number above 0"),
    ({"hidden_size": 10**30}, "hidden_size=1000000000000000000000000000000: expected an integer from 1 to"),
    ({"initializer_range": -0.02}, "initializer_range=-0.02: expected a finite number above 0"),
    ({"model_type": "gpt2"}, "model_type='gpt2': expected one of bert, roberta, distilbert, electra"),
    ({"model_type": "distilbert"}, "type_vocab_size=2: expected 0 for model_type distilbert"),
    ({"embedding_size": 128}, "embedding_size=128: expected None for model_type bert"),
    ({"type_vocab_size": 0}, "type_vocab_size=0: expected an integer from 1"),
    ({"hidden_act": "geglu"}, "hidden_act='geglu': expected one of gelu, .*tanh"),
]


def test_refusals(each_row: Callable[..., None]) -> None:
    def look(fields: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message) as error:
            EncoderConfig(**fields)
        assert "\n" not in str(error.value)

    each_row(REFUSED, look)


def test_json_round_trip(tmp_path: Path) -> None:
    config = EncoderConfig.from_preset("bert-mini", vocab_size=77, hidden_act="relu", hidden_dropout_prob=0.25)
    config.to_json(tmp_path / "config.json")
    assert EncoderConfig.from_json(tmp_path / "config.json") == config
    written = json.loads((tmp_path / "config.json").read_text())
    fields = {
        name: value for name, value in dataclasses.asdict(config).items() if name not in ("embedding_size", "head_dim")
    }
    assert written == {**fields, "model_type": "bert"}


def test_a_relative_keeps_its_own_names_in_json() -> None:
    values = {
        "model_type": "distilbert",
        "dim": 24,
        "n_layers": 2,
        "n_heads": 3,
        "hidden_dim": 40,
        "activation": "relu",
        "dropout": 0.2,
        "attention_dropout": 0.3,
    }
    config = EncoderConfig.from_dict(values)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (24, 2, 3)
    assert (config.intermediate_size, config.hidden_act, config.type_vocab_size) == (40, "relu", 0)
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.2, 0.3)
    written = config.to_dict()
    assert values.items() <= written.items()
    assert not {"hidden_size", "type_vocab_size", "layer_norm_eps", "embedding_size"} & written.keys()
    assert EncoderConfig.from_dict(written) == config


def test_defaults_are_the_family_s() -> None:
    roberta = EncoderConfig.from_dict({"model_type": "roberta", "hidden_size": 768})
    assert (roberta.vocab_size, roberta.pad_token_id, roberta.max_tokens) == (50265, 1, 510)
    electra = EncoderConfig.from_dict({"model_type": "electra", "hidden_size": 256})
    assert (electra.embedding_size, electra.num_attention_heads, electra.intermediate_size) == (128, 4, 1024)
    assert EncoderConfig().max_tokens == 512


def test_embeddings_as_wide_as_the_layers_are_not_projected() -> None:
    config = EncoderConfig(model_type="electra", hidden_size=24, embedding_size=24)
    assert config.embedding_size is None
    assert config.to_dict()["embedding_size"] == 24


def test_keys_that_are_not_ours_and_missing_ones() -> None:
    config = EncoderConfig.from_dict({"hidden_size": 24, "torch_dtype": "float32", "id2label": {"0": "a"}})
    assert config == EncoderConfig(hidden_size=24)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"model_type": "gpt2", "hidden_size": 24},
            "my.json: model_type='gpt2': expected one of bert, roberta, distilbert, electra",
        ),
        (
            {"hidden_size": 24, "position_embedding_type": "relative_key"},
            "my.json: position_embedding_type='relative_key'",
        ),
        ({"hidden_size": 24, "is_decoder": True}, "my.json: is_decoder is true; expected an encoder"),
        ({"model_type": "bert"}, "my.json: no `hidden_size`; this does not look like a config.json of a model of type"),
        ({"model_type": "distilbert", "hidden_size": 24}, "my.json: no `dim`; this does not look like"),
        (
            {"model_type": "electra", "hidden_size": 24, "embedding_size": 0},
            "my.json: embedding_size=0: expected an integer",
        ),
        ({"hidden_size": 25}, "my.json: num_attention_heads=12 must divide hidden_size=25"),
    ],
)
def test_configs_of_other_models(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        EncoderConfig.from_dict(values, source="my.json")


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not valid JSON"), ("[1]", r"expected a JSON object, got \[1\]")]
)
def test_files_that_are_no_config(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(InputError, match=f"{path}: {message}"):
        EncoderConfig.from_json(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.json: no such file"):
        EncoderConfig.from_json(tmp_path / "absent.json")


def test_heads_of_a_width_of_their_own(tmp_path: Path) -> None:
    config = EncoderConfig(hidden_size=16, num_attention_heads=3, head_dim=4)
    assert config.head_size == 4
    config.to_json(tmp_path / "config.json")
    assert json.loads((tmp_path / "config.json").read_text())["head_dim"] == 4
    assert EncoderConfig.from_json(tmp_path / "config.json") == config
    # What hidden_size / num_attention_heads says already is said once, and transformers is told nothing new.
    usual = EncoderConfig(hidden_size=16, num_attention_heads=4, head_dim=4)
    assert usual == EncoderConfig(hidden_size=16, num_attention_heads=4)
    assert "head_dim" not in usual.to_dict()
    with pytest.raises(InputError, match=r"head_dim=0: expected an integer from 1"):
        EncoderConfig(hidden_size=16, num_attention_heads=3, head_dim=0)
