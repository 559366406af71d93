"""Writes google_tf_toy.npz: what transformers computes with the toy checkpoint in Google's original format.

transformers 4 reads such checkpoints, with torch and TensorFlow together, in an environment of its own:

    python -m venv google-env
    google-env/bin/pip install "transformers<5" torch tensorflow
    google-env/bin/python tests/golden/make_google.py $TINYBERT_DATA/checkpoints/google_tf_toy

The checkpoint itself is not copied: the keys are `inputs/...`, `hidden_states/...` and both heads' logits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found]
from transformers import BertConfig, BertForPreTraining, load_tf_weights_in_bert


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description="golden values of a checkpoint in Google's format")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    config = BertConfig.from_json_file(directory / "bert_config.json")
    model = load_tf_weights_in_bert(BertForPreTraining(config), config, str(directory / "bert_model.ckpt")).eval()
    mask = (np.arange(9)[None, :] < np.array([9, 6, 2])[:, None]).astype(np.int64)
    inputs = {
        "input_ids": np.random.default_rng(41).integers(1, config.vocab_size, mask.shape) * mask,
        "attention_mask": mask,
        "token_type_ids": (np.arange(9)[None, :] >= 4) * mask,
    }
    with torch.no_grad():
        batch = {name: torch.from_numpy(values) for name, values in inputs.items()}
        outputs = model(**batch, output_hidden_states=True)
    arrays = {f"inputs/{name}": values.astype(np.int32) for name, values in inputs.items()}
    arrays |= {f"hidden_states/{layer}": states.numpy() for layer, states in enumerate(outputs.hidden_states)}
    arrays |= {
        "logits": outputs.prediction_logits.numpy(),
        "next_sentence_logits": outputs.seq_relationship_logits.numpy(),
    }
    np.savez_compressed(Path(__file__).parent / "google_tf_toy.npz", **arrays)


if __name__ == "__main__":
    main()
