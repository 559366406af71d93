"""`EncoderConfig`: the hyper-parameters of a BERT encoder, under their Hugging Face names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.errors import InputError

HIDDEN_ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")

# Sizes only; everything else is BERT's default. TinyBERT: arXiv 1909.10351, section 4.1. The small BERTs: arXiv
# 1908.08962, table 1.
PRESETS: dict[str, dict[str, int]] = {
    "tinybert-4l-312d": dict(hidden_size=312, num_hidden_layers=4, num_attention_heads=12, intermediate_size=1200),
    "tinybert-6l-768d": dict(hidden_size=768, num_hidden_layers=6, num_attention_heads=12, intermediate_size=3072),
    "bert-base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "bert-tiny": dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
    "bert-mini": dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024),
    "bert-small": dict(hidden_size=512, num_hidden_layers=4, num_attention_heads=8, intermediate_size=2048),
}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The hyper-parameters of a BERT encoder: Hugging Face's names, BERT-base's values as defaults.

    `hidden_dropout_prob` and `attention_probs_dropout_prob` are fractions in [0, 1); `initializer_range` is the
    standard deviation of the truncated normal that new weights are drawn from; sizes are counts.

    Raises:
        InputError: a size below 1, a fraction outside [0, 1), an unknown `hidden_act`, or a number of heads that does
            not divide `hidden_size`.

    Example:
        >>> EncoderConfig.from_preset("tinybert-4l-312d", vocab_size=1000).hidden_size
        312
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "int":
                lowest = 0 if field.name == "pad_token_id" else 1
                if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                    raise InputError(f"{field.name}={value!r}: an integer of at least {lowest} is wanted.")
            elif field.type == "float" and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(f"{field.name}={value!r}: a number is wanted.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: a fraction in [0, 1) is wanted.")
        for name in ("initializer_range", "layer_norm_eps"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)}: a number above 0 is wanted.")
        if self.hidden_act not in HIDDEN_ACTIVATIONS:
            raise InputError(f"hidden_act={self.hidden_act!r} is not known; one of {', '.join(HIDDEN_ACTIVATIONS)} is.")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"num_attention_heads={self.num_attention_heads} must divide hidden_size={self.hidden_size}."
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> EncoderConfig:
        """A named size, with any field overridden.

        Raises:
            InputError: the name is not a preset's.
        """
        if name not in PRESETS:
            raise InputError(f"preset {name!r} is not known; one of {', '.join(PRESETS)} is.")
        return cls(**{**PRESETS[name], **overrides})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "config") -> EncoderConfig:
        """Take the encoder's fields out of the content of a Hugging Face `config.json`; other keys are not read.

        A config without `model_type` (TinyBERT's own, the first BERTs') is taken for BERT's.

        Raises:
            InputError: another `model_type`, a variant of BERT this encoder does not compute, no sizes at all, or a
                value out of range; the message names `source`.
        """
        model_type = values.get("model_type") or "bert"
        if model_type != "bert":
            raise InputError(f"{source}: model_type {model_type!r} is not read; 'bert' is.")
        position = values.get("position_embedding_type", "absolute")
        if position != "absolute":
            raise InputError(f"{source}: position_embedding_type {position!r} is not read; 'absolute' is.")
        if values.get("is_decoder"):
            raise InputError(f"{source}: is_decoder is true; an encoder is wanted.")
        names = {field.name for field in dataclasses.fields(cls)}
        if "hidden_size" not in values:
            raise InputError(f"{source}: no `hidden_size`; this does not look like a BERT's config.json.")
        known = {name: value for name, value in values.items() if name in names and value is not None}
        try:
            return cls(**known)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    @classmethod
    def from_json(cls, path: str | Path) -> EncoderConfig:
        """Read a `config.json`.

        Raises:
            InputError: the file is missing or not JSON, and as `from_dict`.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as JSON ({error}).") from None
        if not isinstance(values, dict):
            raise InputError(f"{path}: a JSON object is wanted, found {type(values).__name__}.")
        return cls.from_dict(values, source=str(path))

    def to_dict(self) -> dict[str, Any]:
        """The fields as a plain dict, with `model_type`, as Hugging Face writes them."""
        return {"model_type": "bert", **dataclasses.asdict(self)}

    def to_json(self, path: str | Path) -> None:
        """Write a `config.json` that `from_json` and Hugging Face read."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
