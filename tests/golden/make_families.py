"""Writes the golden values of BERT's relatives: tiny random RoBERTas, DistilBERTs and ELECTRAs of transformers.

Run in the environment of make_golden.py:

    python tests/golden/make_families.py

It writes FAMILY_classifier.npz (with every layer's features) and FAMILY_masked_lm.npz beside itself, from fixed seeds;
the keys are those of make_golden.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
import transformers
from make_golden import Arrays, checkpoint_arrays, input_arrays, write  # type: ignore[import-not-found]

LENGTHS = (9, 6, 2)
LABELS = {0: "negative", 1: "neutral", 2: "positive"}


@dataclass(frozen=True)
class Family:
    """Classes of transformers, a tiny config, and where queries, keys and values are within an encoder layer.

    `masked_lm`: what the masked LM's config has besides, so that a head with an activation of its own shows.
    """

    classes: str
    config: dict[str, Any]
    queries_keys_values: tuple[str, str, str] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    )
    layers: str = "encoder.layer"
    masked_lm: dict[str, Any] = field(default_factory=dict)


SIZES = {
    "vocab_size": 41,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
}
FAMILIES = {
    "roberta": Family(
        "Roberta",
        SIZES | {"max_position_embeddings": 14, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
        masked_lm={"hidden_act": "relu"},
    ),
    "distilbert": Family(
        "DistilBert",
        {
            "vocab_size": 41,
            "dim": 16,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 24,
            "max_position_embeddings": 12,
            "sinusoidal_pos_embds": False,
        },
        queries_keys_values=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        layers="transformer.layer",
        masked_lm={"activation": "relu"},
    ),
    "electra": Family(
        "Electra",
        SIZES | {"max_position_embeddings": 12, "embedding_size": 12},
        masked_lm={"hidden_act": "relu"},
    ),
}


def build(model_class: type, config: Any, seed: int) -> torch.nn.Module:
    """A random model in which every tensor matters: biases are not 0 and LayerNorm weights are not 1."""
    model = model_class(config).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.2 if parameter.ndim == 2 else 0.1
            centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            values = centre + scale * rng.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    return model


def random_batch(config: Any, seed: int) -> dict[str, torch.Tensor]:
    """A batch padded at the end to its longest row, with two segments in a row where the family knows two."""
    rng = np.random.default_rng(seed)
    positions = np.arange(max(LENGTHS))[None, :]
    mask = (positions < np.array(LENGTHS)[:, None]).astype(np.int64)
    ids = rng.integers(config.pad_token_id + 1, config.vocab_size, mask.shape)
    batch = {"input_ids": np.where(mask == 1, ids, config.pad_token_id), "attention_mask": mask}
    if hasattr(config, "type_vocab_size"):
        second_segment = positions >= np.array(LENGTHS)[:, None] // 2
        batch["token_type_ids"] = second_segment * mask * (config.type_vocab_size - 1)
    return {name: torch.from_numpy(values.astype(np.int64)) for name, values in batch.items()}


def features_and_logits(family: Family, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> Arrays:
    """One forward pass: hidden states, queries, keys, values and raw attention scores of every layer, logits."""
    heads, head_size = model.config.num_attention_heads, model.config.hidden_size // model.config.num_attention_heads
    captured: dict[str, torch.Tensor] = {}

    def capture(key: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            captured[key] = output.unflatten(-1, (heads, head_size)).transpose(1, 2)

        return hook

    for number, layer in enumerate(model.base_model.get_submodule(family.layers), start=1):
        for name, path in zip(("queries", "keys", "values"), family.queries_keys_values, strict=True):
            layer.get_submodule(path).register_forward_hook(capture(f"{name}/{number}"))
    with torch.no_grad():
        output = model(**batch, output_hidden_states=True)
    for number in range(1, model.config.num_hidden_layers + 1):
        scores = captured[f"queries/{number}"] @ captured[f"keys/{number}"].transpose(-1, -2)
        captured[f"attention_scores/{number}"] = scores / head_size**0.5
    captured |= {f"hidden_states/{number}": states for number, states in enumerate(output.hidden_states)}
    return {key: tensor.numpy() for key, tensor in (captured | {"logits": output.logits}).items()}


def main() -> None:
    """Writes every file."""
    torch.set_num_threads(1)
    for seed, (name, family) in enumerate(FAMILIES.items(), start=31):
        config_class = getattr(transformers, f"{family.classes}Config")
        for task, suffix, more in (
            ("classifier", "ForSequenceClassification", {"id2label": LABELS}),
            ("masked_lm", "ForMaskedLM", family.masked_lm),
        ):
            config = config_class(**family.config, **more, attn_implementation="eager")
            model = build(getattr(transformers, f"{family.classes}{suffix}"), config, seed)
            batch = random_batch(config, seed)
            computed = features_and_logits(family, model, batch)
            kept = computed if task == "classifier" else {"logits": computed["logits"]}
            write(f"{name}_{task}", checkpoint_arrays(model) | input_arrays(batch) | kept)


if __name__ == "__main__":
    main()
