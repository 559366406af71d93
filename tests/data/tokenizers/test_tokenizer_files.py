"""What directories say beside a vocabulary: the same ids as transformers, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError, load_tokenizer
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, as_tokenizer

WORDS = ["the", "film", "##s", "on", "x", "##1", "cafe", "The", "covid", "[", "]", "<", ">", "e", "mail", "url"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
NEXT = len(VOCABULARY)
TEXTS = [
    "the films <e1> on [X1] cafe COVID-19",
    "The COVID-19 covid-19 @url[MASK] x",
    "films<e1>the <e1>films [SEP] <eos>",
    "a Café [URL]the",
]


def flags(content: str, **others: bool) -> dict[str, Any]:
    values = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"content": content, **values, **others}


def write(directory: Path, files: dict[str, Any], model: dict[str, Any], vocabulary: list[str] = VOCABULARY) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    for name, content in {"config.json": {"model_type": "bert", **model}, **files}.items():
        (directory / name).write_text(json.dumps(content))
    return directory


def ids(tokenizer: Tokenizer, max_length: int = 64) -> list[list[int]]:
    tokens = tokenizer.encode(TEXTS, max_length)
    return [row.tolist() for row in np.split(tokens.input_ids, tokens.offsets[1:-1])]


def ids_of_transformers(directory: Path, max_length: int = 64) -> list[list[int]]:
    tokenizer = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(directory)
    return list(tokenizer(TEXTS, max_length=max_length, truncation=True)["input_ids"])


CONFIG, MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
LOWER = {"do_lower_case": True}
# What is in the directory beside its vocabulary, and a token that then is a whole one in `TEXTS`.
DIRECTORIES: dict[str, tuple[dict[str, Any], str]] = {
    "added_tokens.json": ({CONFIG: LOWER, ADDED: {"<e1>": NEXT, "COVID-19": NEXT + 1}}, "COVID-19"),
    "added tokens that are special": (
        {CONFIG: {**LOWER, "additional_special_tokens": ["[X1]"]}, ADDED: {"[X1]": NEXT, "COVID-19": NEXT + 1}},
        "[X1]",
    ),
    "additional_special_tokens": ({CONFIG: {**LOWER, "additional_special_tokens": ["<e1>", "[X1]"]}}, "<e1>"),
    "extra_special_tokens": ({CONFIG: {**LOWER, "extra_special_tokens": ["<e1>"]}}, "<e1>"),
    "extra_special_tokens with roles": ({CONFIG: {**LOWER, "extra_special_tokens": {"url_token": "[URL]"}}}, "[URL]"),
    "added_tokens_decoder": (
        {
            CONFIG: {
                **LOWER,
                "added_tokens_decoder": {
                    "0": flags("[PAD]"),
                    "8": flags("on", special=False, normalized=True),
                    str(NEXT): flags("<e1>", lstrip=True, rstrip=True),
                    str(NEXT + 1): flags("covid-19", special=False, normalized=True),
                },
                "additional_special_tokens": ["<e1>"],
            },
        },
        "covid-19",
    ),
    "special_tokens_map.json": (
        {CONFIG: LOWER, MAP: {"additional_special_tokens": ["[X1]"], "mask_token": flags("[MASK]", lstrip=True)}},
        "[X1]",
    ),
    "a map beside added_tokens_decoder counts for nothing": (
        {
            CONFIG: {**LOWER, "added_tokens_decoder": {str(NEXT): flags("[X1]")}},
            MAP: {"additional_special_tokens": ["<e1>"]},
        },
        "[X1]",
    ),
    "roles in special_tokens_map.json": ({CONFIG: LOWER, MAP: {"cls_token": "<", "sep_token": ">"}}, "<"),
    "a word in added_tokens_decoder alone": (
        {CONFIG: {**LOWER, "added_tokens_decoder": {"13": flags("covid", special=False, single_word=True)}}},
        "covid",
    ),
}


@pytest.mark.parametrize("name", DIRECTORIES)
def test_ids_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    files, token = DIRECTORIES[name]
    directory = write(tmp_path / "model", files, {})
    tokenizer = load_tokenizer(directory)
    found = ids(tokenizer)
    assert found == ids_of_transformers(directory)
    assert any(tokenizer.vocabulary()[token] in row for row in found)
    tokenizer.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_text('{"model_type": "bert"}')
    assert ids(load_tokenizer(tmp_path / "saved")) == found
    assert load_tokenizer(tmp_path / "saved").fingerprint == tokenizer.fingerprint
    assert ids_of_transformers(tmp_path / "saved") == found


@pytest.mark.parametrize("has_serialized", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_truncation_side(side: str, has_serialized: bool, tmp_path: Path) -> None:
    directory = write(tmp_path / "model", {CONFIG: {**LOWER, "truncation_side": side}}, {})
    tokenizer = load_tokenizer(directory)
    if has_serialized:
        directory = tmp_path / "saved"
        tokenizer.save_pretrained(directory)
        tokenizer = load_tokenizer(directory)
    else:
        pairs = [("the films on the x", "film")]
        kept = tokenizer.encode(pairs, 7).input_ids.tolist()
        the, film, on = (VOCABULARY.index(word) for word in ("the", "film", "on"))
        x = VOCABULARY.index("x")
        assert kept == [2, *({"left": [on, the, x], "right": [the, film, film + 1]}[side]), 3, film, 3]
    assert ids(tokenizer, 6) == ids_of_transformers(directory, 6)
    assert (tokenizer.fingerprint == load_tokenizer(write(tmp_path / "right", {CONFIG: LOWER}, {})).fingerprint) == (
        side == "right"
    )
    transformers = pytest.importorskip("transformers")
    assert ids(as_tokenizer(transformers.AutoTokenizer.from_pretrained(directory)), 6) == ids(tokenizer, 6)


@pytest.mark.parametrize("tokenizer_class", ["PreTrainedTokenizerFast", "TokenizersBackend", "BertTokenizerFast", None])
def test_do_lower_case_counts_for_the_classes_that_know_it(tokenizer_class: str | None, tmp_path: Path) -> None:
    load_tokenizer(write(tmp_path / "cased", {CONFIG: {"do_lower_case": False}}, {})).save_pretrained(tmp_path)
    config = {"do_lower_case": True, "tokenizer_class": tokenizer_class}
    (tmp_path / CONFIG).write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    tokenizer = load_tokenizer(tmp_path)
    is_lower = tokenizer_class in ("BertTokenizerFast", None)
    assert tokenizer.encode(["The"]).input_ids.tolist() == [2, VOCABULARY.index("the" if is_lower else "The"), 3]
    assert ids(tokenizer) == ids_of_transformers(tmp_path)


@pytest.mark.parametrize("place", [CONFIG, "config.json"])
@pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "BertweetTokenizer", "AlbertTokenizer", "OwnTokenizer"])
def test_a_class_that_is_another_tokenizer(name: str, place: str, tmp_path: Path) -> None:
    directory = write(tmp_path, {CONFIG: LOWER}, {})
    (directory / place).write_text(json.dumps({"model_type": "bert", "tokenizer_class": name}))
    with pytest.raises(InputError, match=f"tokenizer_class '{name}' is not read from vocab.txt; expected one of BertT"):
        load_tokenizer(directory)


def test_a_class_in_python_beside_a_tokenizer_json(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    load_tokenizer(write(tmp_path / "words", {CONFIG: LOWER}, {})).save_pretrained(tmp_path)
    expected = ids(load_tokenizer(tmp_path))
    for name, is_read in (("AlbertTokenizerFast", True), ("OwnTokenizer", True), ("BertJapaneseTokenizer", False)):
        (tmp_path / CONFIG).write_text(json.dumps({"tokenizer_class": name}))
        if is_read:
            assert ids(load_tokenizer(tmp_path)) == expected
        else:
            with pytest.raises(InputError, match=f"tokenizer_class '{name}' is not read: it is written in Python"):
                load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({CONFIG: {"do_lower_case": "true"}}, "do_lower_case: expected true or false or null, got 'true'"),
        ({CONFIG: {"truncation_side": "middle"}}, "truncation_side: expected 'right' or 'left' or null, got 'middle'"),
        ({CONFIG: {"tokenizer_class": 3}}, "tokenizer_class: expected a string or null, got 3"),
        ({CONFIG: {"cls_token": ["[CLS]"]}}, "cls_token: expected a string or an object with content or null, got"),
        ({MAP: {"truncation_side": "x"}}, "map.json: truncation_side: expected 'right' or 'left' or null, got 'x'"),
        ({MAP: {"sep_token": 3}}, "sep_token: expected a string or an object with content or null, got 3"),
        ({CONFIG: {"additional_special_tokens": "<e1>"}}, "additional_special_tokens: expected a list of tokens or"),
        ({CONFIG: {"added_tokens_decoder": {"x": {}}}}, "added_tokens_decoder: expected numbers as keys, got 'x'"),
        ({CONFIG: {"added_tokens_decoder": {"1": "a"}}}, "added_tokens_decoder: 1: expected an object, got 'a'"),
        ({CONFIG: {"added_tokens_decoder": {"1": {}}}}, "added_tokens_decoder: 1: expected `content`, the token's"),
        (
            {CONFIG: {"added_tokens_decoder": {"1": {"content": "a", "special": 1}}}},
            "added_tokens_decoder: 1: special: expected true or false, got 1",
        ),
        ({ADDED: {"<e1>": "7"}}, "added_tokens.json: <e1>: expected an integer >= 0, got '7'"),
        (
            {ADDED: {"<e1>": NEXT + 3}},
            f"expected number {NEXT} for token '<e1>', .* got {NEXT + 3}",
        ),
        ({ADDED: {"<e1>": NEXT, "<e2>": NEXT}}, "added_tokens.json: expected a number of its own for each token"),
    ],
)
def test_files_that_are_refused(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_tokenizer(write(tmp_path, files, {}))


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("model", "unk_token", "[NONE]", "the tokenizer fails on a text .WordPiece error: Missing"),
        ("post_processor", "special_tokens", {}, "the tokenizer fails on a text .no entry found"),
    ],
)
def test_a_tokenizer_json_that_the_library_fails_with(
    part: str, key: str, value: Any, message: str, tmp_path: Path
) -> None:
    load_tokenizer(write(tmp_path / "words", {CONFIG: LOWER}, {})).save_pretrained(tmp_path)
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    values[part][key] = value
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=f"^{tmp_path}: {message}"):
        load_tokenizer(tmp_path)
