"""Loads what write_saved.py wrote through transformers' own classes and writes down what torch saw: saved_*.npz.

Run in the environment of make_golden.py, after write_saved.py:

    python tests/golden/load_saved.py OUT

It stops if a tensor is missing, unexpected or of the wrong shape, or if the model in memory does not hold the file's
bytes. Written are the `inputs/...`, the `outputs/...`, and as JSON text `tensors` (name -> shape, dtype and sha256),
`loading_info`, `id2label`, `problem_type` and `architecture` (the class that transformers chose).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from safetensors.numpy import load_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

HERE = Path(__file__).parent
SAVED = {
    "encoder": ("encoder_gelu", AutoModel, ("last_hidden_state", "pooler_output")),
    "classifier": ("classifier", AutoModelForSequenceClassification, ("logits",)),
    "multi_label": ("multi_label", AutoModelForSequenceClassification, ("logits",)),
    "token_classifier": ("token_classifier", AutoModelForTokenClassification, ("logits",)),
    "question_answering": ("question_answering", AutoModelForQuestionAnswering, ("start_logits", "end_logits")),
    "masked_lm": ("masked_lm", AutoModelForMaskedLM, ("logits",)),
    "pretraining": ("pretraining", AutoModelForPreTraining, ("prediction_logits", "seq_relationship_logits")),
}
for family in ("roberta", "distilbert", "electra"):
    SAVED[f"{family}_classifier"] = (f"{family}_classifier", AutoModelForSequenceClassification, ("logits",))
    SAVED[f"{family}_masked_lm"] = (f"{family}_masked_lm", AutoModelForMaskedLM, ("logits",))
for family in ("distilbert", "electra"):
    SAVED[f"{family}_encoder"] = (f"{family}_classifier", AutoModel, ("last_hidden_state",))


def describe(tensors: dict[str, np.ndarray]) -> dict[str, dict[str, object]]:
    """Shape, dtype and sha256 of every tensor, by name."""
    return {
        name: {
            "shape": list(values.shape),
            "dtype": str(values.dtype),
            "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        }
        for name, values in sorted(tensors.items())
    }


def load_saved(name: str, directory: Path) -> None:
    """Loads one directory, checks the loading report, runs the model and writes saved_{name}.npz."""
    golden_name, model_class, output_names = SAVED[name]
    model, loading_info = model_class.from_pretrained(
        directory, output_loading_info=True, attn_implementation="eager", dtype=torch.float32
    )
    model.eval()
    report = {key: sorted(map(str, found)) for key, found in loading_info.items()}
    if any(report.values()) or not {"missing_keys", "unexpected_keys", "mismatched_keys"} <= report.keys():
        raise SystemExit(f"{directory}: transformers reports {loading_info}")

    tensors = describe(load_file(directory / "model.safetensors"))
    loaded = describe({key: value.numpy() for key, value in model.state_dict().items()})
    different = [key for key in tensors if tensors[key] != loaded.get(key)]
    if different:
        raise SystemExit(f"{directory}: torch does not hold the bytes of {different}")

    with np.load(HERE / f"{golden_name}.npz") as golden:
        inputs = {key: golden[key] for key in golden if key.startswith("inputs/")}
    with torch.no_grad():
        output = model(**{key.removeprefix("inputs/"): torch.from_numpy(inputs[key]).long() for key in inputs})
    outputs = {f"outputs/{key}": output[key].numpy() for key in output_names}
    texts = {
        "tensors": json.dumps(tensors),
        "loading_info": json.dumps(report),
        "id2label": json.dumps(model.config.id2label),
        "problem_type": json.dumps(model.config.problem_type),
        "architecture": json.dumps(type(model).__name__),
    }
    path = HERE / f"saved_{name}.npz"
    arrays: dict[str, Any] = {**inputs, **outputs, **{key: np.array(text) for key, text in texts.items()}}
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {len(tensors)} tensors, {report}, {model.config.id2label}")


def main() -> None:
    """Loads the directories."""
    parser = argparse.ArgumentParser(description="load the library's directories through transformers and torch")
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    for name in SAVED:
        load_saved(name, out / name)


if __name__ == "__main__":
    main()
