"""The files, the class and the settings of a tokenizer in a Hugging Face directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import normalizers

from tinybert_tf.data.tokenizers.added_tokens import ADDED_TOKENS_FILE, TOKEN_KINDS, add_tokens
from tinybert_tf.data.tokenizers.byte_level_bpe import VOCABULARY_FILES, byte_level_bpe_backend, set_prefix_space
from tinybert_tf.data.tokenizers.wordpiece import (
    bert_normalizer,
    normalizer_settings,
    read_vocabulary,
    set_special_tokens,
    wordpiece_backend,
)
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import FLAG, NULL, TEXT, Kind, read_object

CONFIG, MODEL_CONFIG, SERIALIZED, VOCABULARY = "tokenizer_config.json", "config.json", "tokenizer.json", "vocab.txt"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
TOKENIZER_FILES = (SERIALIZED, CONFIG, SPECIAL_TOKENS_MAP, ADDED_TOKENS_FILE, VOCABULARY, *VOCABULARY_FILES)
SIDES = ("right", "left")
# A word longer than those that WordPiece splits.
UNKNOWN_WORD = "a" * 200

CONFIG_KINDS = {
    **TOKEN_KINDS,
    **dict.fromkeys(("do_lower_case", "strip_accents", "tokenize_chinese_chars"), FLAG | NULL),
    **dict.fromkeys(("add_prefix_space", "trim_offsets"), FLAG | NULL),
    "tokenizer_class": TEXT | NULL,
    "truncation_side": Kind("'right' or 'left'", lambda value: value in SIDES) | NULL,
}

# transformers' classes that are BERT's WordPiece and RoBERTa's byte-level BPE, with these settings; each also ...Fast.
WORDPIECE_CLASSES = frozenset(
    f"{model}Tokenizer" for model in ("Bert", "ConvBert", "DistilBert", "Electra", "MobileBert", "RetriBert")
)
BYTE_LEVEL_CLASSES = frozenset({"RobertaTokenizer", "LongformerTokenizer"})


def read_tokenizer(directory: Path) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """The library's tokenizer of a directory, and its settings; see `load_tokenizer`.

    Raises:
        InputError: there are no tokenizer files, a file cannot be read, or the tokenizer class is not supported.
    """
    settings = read_settings(directory)
    name = _class_name(directory, settings)
    if (directory / SERIALIZED).is_file():
        backend = _read_serialized(directory / SERIALIZED)
        _check_serialized_class(directory, name)
        if name in WORDPIECE_CLASSES and isinstance(backend.normalizer, normalizers.BertNormalizer):
            backend.normalizer = bert_normalizer({**normalizer_settings(backend), **settings})
        if name in BYTE_LEVEL_CLASSES:
            set_prefix_space(backend, settings)
        add_tokens(backend, settings, directory)
    elif (directory / VOCABULARY).is_file():
        _check_class(directory, name, WORDPIECE_CLASSES, VOCABULARY)
        backend = wordpiece_backend(read_vocabulary(directory / VOCABULARY), settings)
        add_tokens(backend, settings, directory)
        set_special_tokens(backend, settings, directory / VOCABULARY)
    elif all((directory / name).is_file() for name in VOCABULARY_FILES):
        _check_class(directory, name, BYTE_LEVEL_CLASSES, " and ".join(VOCABULARY_FILES))
        backend = byte_level_bpe_backend(directory, settings)
        add_tokens(backend, settings, directory)
    else:
        raise InputError(
            f"{directory}: no tokenizer here; expected tokenizer.json, vocab.txt, or vocab.json with merges.txt"
        )
    return backend, settings


def read_settings(directory: Path) -> dict[str, Any]:
    """The settings of `tokenizer_config.json` that are not null.

    Without `added_tokens_decoder` the special tokens of `special_tokens_map.json` are added to them.

    Raises:
        InputError: one of the two files has other contents.
    """
    path, special = directory / CONFIG, directory / SPECIAL_TOKENS_MAP
    settings = read_object(path, CONFIG_KINDS) if path.is_file() else {}
    if "added_tokens_decoder" not in settings and special.is_file():
        settings |= read_object(special, CONFIG_KINDS)
    return {key: value for key, value in settings.items() if value is not None}


def _read_serialized(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare `Exception`
        raise InputError(f"{path}: not a tokenizer.json of the tokenizers library ({error})") from error


def check_encodes(backend: tokenizers.Tokenizer) -> None:
    """Refuse a tokenizer that fails: its template or its unknown token is not in its vocabulary.

    Raises:
        InputError: it fails on a pair with a word that no vocabulary has.
    """
    try:
        backend.encode("a", UNKNOWN_WORD)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the library's Rust is not an `Exception`
        reason = " ".join(str(error).split())
        raise InputError(f"the tokenizer fails on a text ({reason}); expected a tokenizer.json that works") from None


def _class_name(directory: Path, settings: Mapping[str, Any]) -> str:
    """The tokenizer's class without `Fast`: from its own config or the model's, else by the files."""
    named = settings.get("tokenizer_class")
    if named is None and (directory / MODEL_CONFIG).is_file():
        named = read_object(directory / MODEL_CONFIG, {"tokenizer_class": TEXT | NULL}).get("tokenizer_class")
    if named is None:
        is_roberta = (directory / VOCABULARY_FILES[1]).is_file()
        named = "RobertaTokenizer" if is_roberta else "BertTokenizer"
    return str(named).removesuffix("Fast")


def _check_class(directory: Path, name: str, accepted: frozenset[str], files: str) -> None:
    if name not in accepted:
        raise InputError(
            f"{directory}: tokenizer_class {name!r} is not read from {files}; expected one of "
            f"{', '.join(sorted(accepted))}, or a tokenizer.json"
        )


def _check_serialized_class(directory: Path, name: str) -> None:
    """Refuse a class that is written in Python and differs from `tokenizer.json`."""
    if name in WORDPIECE_CLASSES | BYTE_LEVEL_CLASSES | {"TokenizersBackend", "PreTrainedTokenizer"}:
        return
    from transformers import TokenizersBackend  # half a second
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    found = tokenizer_class_from_name(name) or tokenizer_class_from_name(f"{name}Fast")
    if found is not None and not issubclass(found, TokenizersBackend):
        raise InputError(
            f"{directory}: tokenizer_class {name!r} is not read: it is written in Python and differs from "
            "tokenizer.json; expected a class that follows it"
        )
