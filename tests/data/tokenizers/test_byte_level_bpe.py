"""RoBERTa's tokenizer: equal to transformers', from either of its two kinds of files, saved and loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from tinybert_tf import InputError, load_tokenizer
from tinybert_tf.data.tokenizers.byte_level_bpe import ROBERTA_SPECIAL_TOKENS
from tinybert_tf.data.tokenizers.tokenizer import as_tokenizer

CORPUS = ["The film isn't bad, it isn't great.", "A dull film: naïve, café, 漢字 and \U0001f642.", "dull dull  film"]
# In the order of roberta-base's vocabulary: `<pad>` is 1.
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`vocab.json` and `merges.txt` of a tokenizer learned from `CORPUS`, nothing else."""
    directory = tmp_path_factory.mktemp("bpe")
    learned = tokenizers.ByteLevelBPETokenizer()
    learned.train_from_iterator(CORPUS, vocab_size=300, min_frequency=1, special_tokens=SPECIAL)
    learned.save_model(str(directory))
    return directory


def transformers_tokenizer(directory: Path):
    return pytest.importorskip("transformers").RobertaTokenizer.from_pretrained(directory)


def rows(directory: Path, texts: list) -> list[list[int]]:
    tokens = load_tokenizer(directory).encode(texts)
    return [row.tolist() for row in np.split(tokens.input_ids, tokens.offsets[1:-1])]


def test_a_row_and_a_pair_by_hand(directory: Path) -> None:
    vocabulary = json.loads((directory / "vocab.json").read_text(encoding="utf-8"))
    film = vocabulary["Ġfilm"]
    assert rows(directory, [" film"]) == [[0, film, 2]]
    tokens = load_tokenizer(directory).encode([(" film", " film film")])
    assert tokens.input_ids.tolist() == [0, film, 2, 2, film, film, 2]
    assert not tokens.token_type_ids.any()


def test_special_tokens(directory: Path) -> None:
    tokenizer = load_tokenizer(directory)
    assert (tokenizer.cls_token_id, tokenizer.pad_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id) == (
        0,
        1,
        2,
        4,
    )
    assert tokenizer.special_token_ids() == [0, 1, 2, 3, 4]
    assert tokenizer.vocab_size == 300
    with pytest.raises(InputError, match="a BPE tokenizer does not say which pieces are one word"):
        tokenizer.continuation_ids()


def test_no_room_for_a_pair(directory: Path) -> None:
    with pytest.raises(InputError, match="max_length=5 leaves no room for text; expected at least 6"):
        load_tokenizer(directory).encode([("film", "film")], max_length=5)


@pytest.mark.parametrize("add_prefix_space", [False, True])
def test_ids_are_those_of_transformers(directory: Path, tmp_path: Path, add_prefix_space: bool) -> None:
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((directory / name).read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"add_prefix_space": add_prefix_space}))
    theirs = transformers_tokenizer(tmp_path)
    assert rows(tmp_path, CORPUS) == theirs(CORPUS)["input_ids"]
    pairs = [(one, other) for one in CORPUS for other in CORPUS]
    assert rows(tmp_path, pairs) == theirs(*map(list, zip(*pairs, strict=True)))["input_ids"]
    ours = as_tokenizer(theirs).encode(CORPUS)
    assert ours.input_ids.tolist() == [number for row in rows(tmp_path, CORPUS) for number in row]


@pytest.mark.parametrize("add_prefix_space", [False, True])
def test_saved_and_loaded(directory: Path, tmp_path: Path, add_prefix_space: bool) -> None:
    tokenizer = load_tokenizer(directory)
    tokenizer.save_pretrained(tmp_path)
    for name in ("vocab.json", "merges.txt"):
        assert (tmp_path / name).is_file()
    assert not (tmp_path / "vocab.txt").exists()
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "RobertaTokenizer"
    assert {role: config[role] for role in ROBERTA_SPECIAL_TOKENS} == ROBERTA_SPECIAL_TOKENS
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "add_prefix_space": add_prefix_space}))
    expected = transformers_tokenizer(tmp_path)(CORPUS)["input_ids"]
    assert (expected == rows(directory, CORPUS)) is not add_prefix_space
    assert rows(tmp_path, CORPUS) == expected
    (tmp_path / "tokenizer.json").unlink()  # what is left are the two files
    assert rows(tmp_path, CORPUS) == expected
    if not add_prefix_space:
        assert load_tokenizer(tmp_path).fingerprint == tokenizer.fingerprint


def test_files_that_are_no_vocabulary(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "merges.txt").write_bytes((directory / "merges.txt").read_bytes())
    with pytest.raises(InputError, match=r"no tokenizer here; expected .* or vocab\.json with merges\.txt"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text("[1]")
    with pytest.raises(InputError, match=r"vocab\.json and merges\.txt: not a byte-level BPE vocabulary"):
        load_tokenizer(tmp_path)
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    (tmp_path / "vocab.json").write_text('{"<s>": 0, "a": 1}')
    with pytest.raises(InputError, match=r"vocab\.json: a RoBERTa vocabulary holds .*; not found: <pad>, <unk>, </s>"):
        load_tokenizer(tmp_path)
