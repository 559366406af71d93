"""RoBERTa's byte-level BPE, built with the `tokenizers` library from `vocab.json` and `merges.txt`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

from tinybert_tf.errors import InputError

VOCABULARY_FILES = ("vocab.json", "merges.txt")
ROBERTA_SPECIAL_TOKENS = {
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}


def byte_level_bpe_backend(directory: Path, settings: dict[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer of RoBERTa (arXiv 1907.11692) over a directory's two files: `<s> a </s>`, `<s> a </s></s> b </s>`.

    Every token type is 0. `settings` as in `tokenizer_config.json`: `add_prefix_space` and `trim_offsets`.

    Raises:
        InputError: a file cannot be read, or the vocabulary lacks a special token of RoBERTa.
    """
    paths = [directory / name for name in VOCABULARY_FILES]
    try:
        model = models.BPE.from_file(*map(str, paths))
    except Exception as error:  # the library raises bare `Exception`
        raise InputError(f"{paths[0]} and {paths[1].name}: not a byte-level BPE vocabulary ({error})") from error
    backend = tokenizers.Tokenizer(model)
    ids = backend.get_vocab()
    missing = [token for token in ROBERTA_SPECIAL_TOKENS.values() if token not in ids]
    if missing:
        needed = ", ".join(ROBERTA_SPECIAL_TOKENS.values())
        raise InputError(f"{paths[0]}: a RoBERTa vocabulary holds {needed}; not found: {', '.join(missing)}")
    prefix = bool(settings.get("add_prefix_space", False))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    cls, sep = ((token, ids[token]) for token in ("<s>", "</s>"))
    trim = bool(settings.get("trim_offsets", True))
    backend.post_processor = processors.RobertaProcessing(sep, cls, trim_offsets=trim, add_prefix_space=prefix)
    # The mask stands for a word with the space before it.
    special = [AddedToken(token, lstrip=token == "<mask>", special=True) for token in ROBERTA_SPECIAL_TOKENS.values()]
    backend.add_special_tokens(special)
    return backend


def set_prefix_space(backend: tokenizers.Tokenizer, settings: dict[str, Any]) -> None:
    """Let `add_prefix_space` of `tokenizer_config.json` override that of `tokenizer.json`, as transformers does."""
    if "add_prefix_space" in settings and isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
        backend.pre_tokenizer.add_prefix_space = bool(settings["add_prefix_space"])


def prefix_settings(backend: tokenizers.Tokenizer) -> dict[str, Any]:
    """The settings of RoBERTa's pre-tokenizer for `tokenizer_config.json`; empty for any other pre-tokenizer."""
    if not isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
        return {}
    return {"add_prefix_space": backend.pre_tokenizer.add_prefix_space}


def vocabulary_files(backend: tokenizers.Tokenizer) -> dict[str, str]:
    """The contents of `vocab.json` and `merges.txt` of a BPE backend, without added tokens that are in neither."""
    model = json.loads(backend.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    contents = (json.dumps(model["vocab"], ensure_ascii=False), "\n".join(["#version: 0.2", *merges]))
    return dict(zip(VOCABULARY_FILES, contents, strict=True))
