"""`EncoderConfig`: the hyper-parameters of an encoder, BERT's or a relative's, under their Hugging Face names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.checkpoints.families import FAMILIES, Family
from tinybert_tf.checkpoints.hf_directory import CONFIG_KINDS
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import check_kinds, read_object
from tinybert_tf.short_repr import short_repr

HIDDEN_ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")

# TensorFlow counts with 32-bit integers.
LARGEST_SIZE = (1 << 31) - 1

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
    """The hyper-parameters of an encoder under their Hugging Face names; the defaults are BERT-base's.

    `model_type` is the family: `bert`, `roberta`, `distilbert` or `electra`; all of them use BERT's field names here.
    Sizes are counts. `hidden_dropout_prob` and `attention_probs_dropout_prob` are fractions in [0, 1).
    `initializer_range` is the standard deviation of the truncated normal that new weights are drawn from.
    A DistilBERT always has `type_vocab_size` 0 and `layer_norm_eps` 1e-12. Only an ELECTRA can have an
    `embedding_size`, the width of its embedding tables if it differs from `hidden_size`. `head_dim` is the width of an
    attention head if it differs from `hidden_size / num_attention_heads`, as after `prune_structure` has removed heads;
    transformers' classes do not know this field.

    Raises:
        InputError: a size is below 1, a fraction is outside [0, 1), `hidden_act` or `model_type` is unknown, the number
            of heads does not divide `hidden_size` and no `head_dim` is given, or the family has no such field.

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
    model_type: str = "bert"
    embedding_size: int | None = None
    head_dim: int | None = None

    def __repr__(self) -> str:
        sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        changed = {each.name for each in dataclasses.fields(self) if values[each.name] != each.default}
        return short_repr(self, **{name: value for name, value in values.items() if name in sizes or name in changed})

    def __post_init__(self) -> None:
        self._check_family()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in self.family.absent or (value is None and field.type == "int | None"):
                continue
            if field.type in ("int", "int | None"):
                lowest = 0 if field.name == "pad_token_id" else 1
                if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= LARGEST_SIZE:
                    raise InputError(f"{field.name}={value!r}: expected an integer from {lowest} to {LARGEST_SIZE}")
            elif field.type == "float" and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(f"{field.name}={value!r}: expected a number")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: expected a fraction in [0, 1)")
        for name in ("initializer_range", "layer_norm_eps"):
            if not 0 < getattr(self, name) <= LARGEST_SIZE:
                raise InputError(f"{name}={getattr(self, name)}: expected a finite number above 0")
        if self.hidden_act not in HIDDEN_ACTIVATIONS:
            raise InputError(f"hidden_act={self.hidden_act!r}: expected one of {', '.join(HIDDEN_ACTIVATIONS)}.")
        if self.head_dim is not None and self.head_dim * self.num_attention_heads == self.hidden_size:
            object.__setattr__(self, "head_dim", None)  # one spelling for one model
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"num_attention_heads={self.num_attention_heads} must divide hidden_size={self.hidden_size}."
            )

    def _check_family(self) -> None:
        if self.model_type not in FAMILIES:
            raise InputError(f"model_type={self.model_type!r}: expected one of {', '.join(FAMILIES)}.")
        if self.embedding_size == self.hidden_size:
            object.__setattr__(self, "embedding_size", None)  # nothing to project: one spelling for one model
        for name, value in self.family.absent.items():
            if getattr(self, name) != value:
                raise InputError(f"{name}={getattr(self, name)!r}: expected {value} for model_type {self.model_type}.")

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads if self.head_dim is None else self.head_dim

    @property
    def family(self) -> Family:
        """The family of `model_type`: its layers, its defaults and the names in its files."""
        return FAMILIES[self.model_type]

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest text: `max_position_embeddings`, less the positions that RoBERTa keeps for padding."""
        return self.max_position_embeddings - (self.pad_token_id + 1 if self.family.positions_after_padding else 0)

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> EncoderConfig:
        """Make the config of a named size (a key of `PRESETS`); `overrides` replace any field.

        Raises:
            InputError: no preset has this name, or as the constructor.
        """
        if name not in PRESETS:
            raise InputError(f"preset {name!r}: expected one of {', '.join(PRESETS)}.")
        return cls(**{**PRESETS[name], **overrides})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "config") -> EncoderConfig:
        """Take the encoder's fields out of the content of a Hugging Face `config.json`; other keys are not read.

        A config without `model_type`, such as TinyBERT's own or those of the first BERTs, is read as BERT's.

        Raises:
            InputError: `model_type` is of no known family, the config asks for a variant that this encoder does not
                compute, it has no sizes, or a value is out of range; the message names `source`.
        """
        check_kinds(values, CONFIG_KINDS, source)
        family = FAMILIES.get(values.get("model_type") or "bert")
        if family is None:
            raise InputError(f"{source}: model_type={values['model_type']!r}: expected one of {', '.join(FAMILIES)}.")
        position = values.get("position_embedding_type") or "absolute"
        if position != "absolute":
            raise InputError(f"{source}: position_embedding_type={position!r}: expected 'absolute'.")
        if values.get("is_decoder"):
            raise InputError(f"{source}: is_decoder is true; expected an encoder.")
        theirs = {name: family.field_names.get(name, name) for name in _field_names() if name not in family.absent}
        if theirs["hidden_size"] not in values:
            raise InputError(
                f"{source}: no `{theirs['hidden_size']}`; this does not look like a config.json of a model of type "
                f"{family.model_type}."
            )
        known = {ours: values[name] for ours, name in theirs.items() if values.get(name) is not None}
        try:
            return cls(**{**family.defaults, **family.absent, **known, "model_type": family.model_type})
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    @classmethod
    def from_json(cls, path: str | Path) -> EncoderConfig:
        """Read a `config.json`.

        Raises:
            InputError: the file is missing or is not JSON, or as `from_dict`.
        """
        return cls.from_dict(read_object(Path(path)), source=str(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict, under the names that Hugging Face gives them in this family."""
        values = {**dataclasses.asdict(self), "embedding_size": self.embedding_size or self.hidden_size}
        theirs = self.family.field_names
        left_out = {*self.family.absent, *(["head_dim"] if self.head_dim is None else [])}
        return {theirs.get(name, name): value for name, value in values.items() if name not in left_out}

    def to_json(self, path: str | Path) -> None:
        """Write a `config.json` that `from_json` and Hugging Face read."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _field_names() -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(EncoderConfig))
