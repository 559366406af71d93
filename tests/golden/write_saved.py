"""Writes what `save_pretrained` makes of the golden models: OUT/encoder, OUT/classifier, ... (see SAVED).

Run in the project's environment, then let torch read the directories with load_saved.py:

    python tests/golden/write_saved.py OUT

The tests use both functions too, so what they look at is what torch has loaded.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.masked_lm import BertPretraining, MaskedLM
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
from tinybert_tf.models.heads.token_heads import QuestionAnswering, TokenClassifier
from tinybert_tf.models.pretrained import PretrainedModel

HERE = Path(__file__).parent
SAVED: dict[str, tuple[str, type[PretrainedModel]]] = {
    "encoder": ("encoder_gelu", TransformerEncoder),
    "classifier": ("classifier", SequenceClassifier),
    "multi_label": ("multi_label", SequenceClassifier),
    "token_classifier": ("token_classifier", TokenClassifier),
    "question_answering": ("question_answering", QuestionAnswering),
    "masked_lm": ("masked_lm", MaskedLM),
    "pretraining": ("pretraining", BertPretraining),
}
for family in ("roberta", "distilbert", "electra"):
    SAVED[f"{family}_classifier"] = (f"{family}_classifier", SequenceClassifier)
    SAVED[f"{family}_masked_lm"] = (f"{family}_masked_lm", MaskedLM)
for family in ("distilbert", "electra"):  # transformers' RobertaModel wants a pooler, which a classifier has not
    SAVED[f"{family}_encoder"] = (f"{family}_classifier", TransformerEncoder)


def write_checkpoint(golden: Mapping[str, np.ndarray], directory: Path) -> None:
    """Writes a golden model's `config` and `weights/...` as Hugging Face does: config.json and model.safetensors."""
    weights = {key.removeprefix("weights/"): golden[key] for key in golden if key.startswith("weights/")}
    directory.mkdir(parents=True, exist_ok=True)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(str(golden["config"]), encoding="utf-8")


def write_saved(name: str, directory: Path) -> None:
    """Loads the golden model called `name` into the library and writes it with the library's `save_pretrained`."""
    golden_name, model_class = SAVED[name]
    with tempfile.TemporaryDirectory() as source, np.load(HERE / f"{golden_name}.npz") as golden:
        write_checkpoint(golden, Path(source))
        model_class.from_pretrained(source).save_pretrained(directory)


def main() -> None:
    """Writes the directories."""
    parser = argparse.ArgumentParser(description="write the golden models with the library's save_pretrained")
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    for name in SAVED:
        write_saved(name, out / name)


if __name__ == "__main__":
    main()
