"""Writes tf_models.npz: the golden models as transformers' TensorFlow classes saved them, `tf_model.h5`.

These classes are gone from transformers 5, so this runs in an environment of its own, only when the file has to change:

    python -m venv tf-env
    tf-env/bin/pip install "transformers<5" tf_keras
    tf-env/bin/python tests/golden/make_tf_models.py

The keys are the names of the golden files that the weights come from, the values the bytes of `tf_model.h5`. It stops
where a model does not compute that file's logits.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import transformers
from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model

HERE = Path(__file__).parent
CLASSES = {
    "classifier": "TFBertForSequenceClassification",
    "pretraining": "TFBertForPreTraining",
    "roberta_classifier": "TFRobertaForSequenceClassification",
    "roberta_masked_lm": "TFRobertaForMaskedLM",
    "distilbert_classifier": "TFDistilBertForSequenceClassification",
    "distilbert_masked_lm": "TFDistilBertForMaskedLM",
    "electra_classifier": "TFElectraForSequenceClassification",
    "electra_masked_lm": "TFElectraForMaskedLM",
}


def h5_bytes(name: str, class_name: str) -> np.ndarray:
    """What the TensorFlow class saves after it has loaded the golden file's weights."""
    with np.load(HERE / f"{name}.npz") as golden, tempfile.TemporaryDirectory() as directory:
        weights = {key.removeprefix("weights/"): golden[key] for key in golden if key.startswith("weights/")}
        (Path(directory) / "config.json").write_text(str(golden["config"]), encoding="utf-8")
        model = getattr(transformers, class_name)(transformers.AutoConfig.from_pretrained(directory))
        load_pytorch_state_dict_in_tf2_model(model, weights, allow_missing_keys=True)
        outputs = model({key.removeprefix("inputs/"): golden[key] for key in golden if key.startswith("inputs/")})
        logits = outputs["logits"] if "logits" in outputs else outputs["prediction_logits"]
        np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)
        model.save_pretrained(directory)
        return np.frombuffer((Path(directory) / "tf_model.h5").read_bytes(), np.uint8)


def main() -> None:
    """Writes the file."""
    np.savez_compressed(
        HERE / "tf_models.npz", **{name: h5_bytes(name, class_name) for name, class_name in CLASSES.items()}
    )


if __name__ == "__main__":
    main()
