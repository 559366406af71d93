"""Tokens that a directory adds to a vocabulary; they are found in a text before it is split into pieces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken

from tinybert_tf.errors import InputError
from tinybert_tf.json_file import FLAG, NULL, OBJECT, TEXT, Kind, check_kinds, integer, list_of, read_object

ADDED_TOKENS_FILE = "added_tokens.json"
# Roles that every tokenizer class knows; a directory may name more, by keys with the same ending.
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
ROLE_SUFFIX = "_token"
EXTRA_KEYS = ("extra_special_tokens", "additional_special_tokens")
TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")

TOKEN = TEXT | Kind("an object with content", lambda value: isinstance(value, dict) and TEXT.fits(value.get("content")))
TOKEN_KINDS = {
    **dict.fromkeys(ROLES, TOKEN | NULL),
    **dict.fromkeys(EXTRA_KEYS, list_of(TOKEN, "a list of tokens") | OBJECT | NULL),
    "added_tokens_decoder": OBJECT | NULL,
}


def token_text(token: Any) -> str:
    """A token as JSON files write it: the text, or an object with its `content`."""
    return str(token["content"]) if isinstance(token, dict) else str(token)


def add_tokens(backend: tokenizers.Tokenizer, settings: Mapping[str, Any], directory: Path) -> None:
    """Add the tokens that a directory names beside its vocabulary, in the order in which transformers adds them.

    These are `added_tokens_decoder` of the settings or, without one, `added_tokens.json`; tokens with a role that are
    in the vocabulary; `extra_special_tokens`, also called `additional_special_tokens`.

    Args:
        backend: the tokenizer, its normalizer set.
        settings: the contents of `tokenizer_config.json`, and those of `special_tokens_map.json` that count.
        directory: the directory of `added_tokens.json`.

    Raises:
        InputError: a file has other contents; a token's number is not the one that the library gives it.
    """
    roles = [value for key, value in settings.items() if key.endswith(ROLE_SUFFIX) and TOKEN.fits(value)]
    extra = _extra_tokens(settings)
    if settings.get("added_tokens_decoder") is not None:
        source, numbered = directory / "tokenizer_config.json", _of_decoder(settings, directory)
    else:
        source = directory / ADDED_TOKENS_FILE
        numbered = _of_file(source, {token_text(token) for token in (*roles, *extra)})
    backend.add_tokens([numbered[number] for number in sorted(numbered)])
    for number, token in numbered.items():
        place = backend.token_to_id(token.content)
        if place != number:
            raise InputError(
                f"{source}: expected number {place} for token {token.content!r}, its place in the vocabulary or the "
                f"next one after it, got {number}"
            )
    known = backend.get_vocab(with_added_tokens=True)
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    special = [token for token in roles if token_text(token) in known]
    special += [token for token in extra if token_text(token)]
    backend.add_tokens([_special(token) for token in special if token_text(token) not in added])


def _extra_tokens(settings: Mapping[str, Any]) -> list[Any]:
    """Special tokens without one of the usual roles: a list, or an object of roles and tokens."""
    given: Any = next((settings[key] for key in EXTRA_KEYS if settings.get(key)), [])
    return [token for token in (given.values() if isinstance(given, dict) else given) if TOKEN.fits(token)]


def _of_decoder(settings: Mapping[str, Any], directory: Path) -> dict[int, AddedToken]:
    place = f"{directory / 'tokenizer_config.json'}: added_tokens_decoder"
    tokens: dict[str, Any] = settings["added_tokens_decoder"]
    for number, token in tokens.items():
        if not number.isdecimal():
            raise InputError(f"{place}: expected numbers as keys, got {number!r}")
        check_kinds({number: token}, {number: OBJECT}, place)
        check_kinds(token, {"content": TEXT, **dict.fromkeys(TOKEN_FLAGS, FLAG)}, f"{place}: {number}")
        if "content" not in token:
            raise InputError(f"{place}: {number}: expected `content`, the token's text, got none")
    return {int(number): _token(token) for number, token in tokens.items()}


def _of_file(path: Path, special: set[str]) -> dict[int, AddedToken]:
    """The tokens of `added_tokens.json` by their numbers; those in `special` become special tokens."""
    numbers = read_object(path) if path.is_file() else {}
    check_kinds(numbers, dict.fromkeys(numbers, integer(0)), str(path))
    if len(set(numbers.values())) < len(numbers):
        raise InputError(f"{path}: expected a number of its own for each token, got the same one twice")
    return {
        number: AddedToken(text, normalized=text not in special, special=text in special)
        for text, number in numbers.items()
    }


def _special(token: Any) -> AddedToken:
    return _token({**(token if isinstance(token, dict) else {"content": token}), "special": True})


def _token(values: Mapping[str, Any]) -> AddedToken:
    return AddedToken(values["content"], **{flag: values[flag] for flag in TOKEN_FLAGS if flag in values})
