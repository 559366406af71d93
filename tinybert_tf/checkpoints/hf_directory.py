"""A model directory in Hugging Face's layout: `config.json` and `model.safetensors`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tinybert_tf.checkpoints.directory_lock import directory_lock
from tinybert_tf.checkpoints.replace_directory import sweep_partials
from tinybert_tf.checkpoints.replace_file import replace_file, replace_text
from tinybert_tf.checkpoints.tensors import SINGLE_FILE
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import FLAG, FRACTION, NULL, OBJECT, TEXT, TEXTS, read_object

CONFIG_FILE = "config.json"
GOOGLE_CONFIG_FILE = "bert_config.json"
# The keys that we read beside the encoder's sizes, which `EncoderConfig` checks. Null stands for "not given".
CONFIG_KINDS = {
    "model_type": TEXT | NULL,
    "architectures": TEXTS | NULL,
    "problem_type": TEXT | NULL,
    "id2label": OBJECT | NULL,
    "integer_labels": TEXTS | NULL,
    "positive_label": TEXT | NULL,
    "position_embedding_type": TEXT | NULL,
    "hidden_act": TEXT | NULL,
    "activation": TEXT | NULL,
    "is_decoder": FLAG | NULL,
    "tie_word_embeddings": FLAG | NULL,
    "classifier_dropout": FRACTION | NULL,
    "seq_classif_dropout": FRACTION | NULL,
    "fake_quantization": OBJECT | NULL,
}


def config_path(directory: Path) -> Path:
    """The file of a directory's hyper-parameters: `config.json`, or `bert_config.json` beside Google's checkpoints."""
    google = Path(directory) / GOOGLE_CONFIG_FILE
    own = Path(directory) / CONFIG_FILE
    return google if google.is_file() and not own.is_file() else own


def read_config(directory: Path) -> dict[str, Any]:
    """The contents of the config.

    Raises:
        InputError: the file is missing or not a JSON object, or a value is not of its kind in `CONFIG_KINDS`.
    """
    path = config_path(directory)
    if not path.is_file():
        raise InputError(f"{directory}: expected a Hugging Face model directory, found no {CONFIG_FILE} in it")
    return read_object(path, CONFIG_KINDS)


def write_directory(directory: Path, config: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Write `model.safetensors` and then `config.json`, creating the directory.

    Each file appears complete or not at all, and one process writes at a time.

    Raises:
        InputError: the directory cannot be made, or a file cannot be written.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory}: the directory cannot be made ({error.strerror})") from error
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    with directory_lock(directory):
        sweep_partials(directory, is_deep=False)
        # Without the "format" entry some loaders refuse the file.
        replace_file(directory / SINGLE_FILE, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
        replace_text(directory / CONFIG_FILE, text)
