import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from tinybert_tf import InputError, load_tokenizer, train_wordpiece
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, as_tokenizer
from tinybert_tf.data.tokenizers.wordpiece import is_cased

CORPUS = ["The film earns its tears.", "A dull, dull film!", "An unhurried and generous café story", "naïve generosity"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "##s", "cafe", "café", "The", ",", "."]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return train_wordpiece(CORPUS * 3, vocab_size=120)


def write_vocabulary(directory: Path, **config: object) -> Path:
    (directory / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    if config:
        (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory


def transformers_ids(
    directory: Path, texts: list[str], pairs: list[str] | None = None, **options: object
) -> list[list[int]]:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(directory)(texts, pairs, **options)["input_ids"]


def row_lists(tokens: TokenizedTexts) -> list[list[int]]:
    return [row.tolist() for row in np.split(tokens.input_ids, tokens.offsets[1:-1])]


def test_a_row_is_cls_pieces_sep(tmp_path):
    tokens = load_tokenizer(write_vocabulary(tmp_path, do_lower_case=True)).encode(["The films, café.", "xyz"])
    assert row_lists(tokens) == [[2, 5, 6, 7, 11, 8, 12, 3], [2, 1, 3]]
    assert tokens.offsets.tolist() == [0, 8, 11]
    assert tokens.lengths.tolist() == [8, 3]
    assert (tokens.input_ids.dtype, tokens.token_type_ids.dtype, tokens.offsets.dtype) == (np.int32, np.int8, np.int64)


def test_a_pair_has_token_types(tmp_path):
    tokens = load_tokenizer(write_vocabulary(tmp_path)).encode([("the film", "films.")])
    assert tokens.input_ids.tolist() == [2, 5, 6, 3, 6, 7, 12, 3]
    assert tokens.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_settings_of_the_config_are_honoured(tmp_path):
    cased = load_tokenizer(write_vocabulary(tmp_path, do_lower_case=False, strip_accents=False))
    assert cased.encode(["The café"]).input_ids.tolist() == [2, 10, 9, 3]
    accented = load_tokenizer(write_vocabulary(tmp_path, do_lower_case=True, strip_accents=False))
    assert accented.encode(["The café"]).input_ids.tolist() == [2, 5, 9, 3]


def test_truncation_takes_the_longer_text_first_and_is_counted(tokenizer):
    texts = ["film film", "film film film", "film film film film"]
    tokens = tokenizer.encode(texts, max_length=5)
    assert tokens.lengths.tolist() == [4, 5, 5]
    assert tokens.num_truncated == 1
    film = tokenizer.vocabulary()["film"]
    pair = tokenizer.encode([("film film film film film", "film")], max_length=7)
    assert pair.num_truncated == 1
    assert pair.input_ids.tolist() == [2, film, film, film, 3, film, 3]


def test_max_length_without_room_for_text(tokenizer):
    with pytest.raises(InputError, match="max_length=2 leaves no room for text; expected at least 3"):
        tokenizer.encode(["film"], max_length=2)
    with pytest.raises(InputError, match="at least 5"):
        tokenizer.encode([("film", "film")], max_length=4)


def test_no_texts_are_no_rows(tokenizer):
    tokens = tokenizer.encode([])
    assert len(tokens) == 0
    assert tokens.offsets.tolist() == [0]


def test_many_rows_are_tokenized_in_chunks(tokenizer, monkeypatch):
    texts = CORPUS * 5
    whole = tokenizer.encode(texts)
    monkeypatch.setattr("tinybert_tf.data.tokenizers.tokenizer.ROWS_PER_CHUNK", 3)
    chunked = tokenizer.encode(texts)
    np.testing.assert_array_equal(chunked.input_ids, whole.input_ids)
    np.testing.assert_array_equal(chunked.offsets, whole.offsets)


def test_padding_and_truncation_of_tokenizer_json_are_kept_but_have_no_effect(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    backend = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    backend.enable_padding(length=20)
    backend.enable_truncation(4)
    backend.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    np.testing.assert_array_equal(loaded.encode(CORPUS).input_ids, tokenizer.encode(CORPUS).input_ids)
    loaded.save_pretrained(tmp_path / "again")
    saved = json.loads((tmp_path / "again" / "tokenizer.json").read_text())
    assert saved["padding"]["strategy"] == {"Fixed": 20}
    assert saved["truncation"]["max_length"] == 4


def test_padded_is_rectangular_to_the_longest_of_the_rows():
    tokens = TokenizedTexts(
        np.array([2, 7, 3, 2, 3, 2, 8, 9, 9, 3], np.int32),
        np.array([0, 0, 1, 0, 1, 0, 0, 1, 1, 1], np.int8),
        np.array([0, 3, 5, 10]),
    )
    batch = tokens.padded([1, 0], pad_token_id=99)
    assert batch["input_ids"].tolist() == [[2, 3, 99], [2, 7, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}


def test_padded_reads_memory_mapped_arrays(tmp_path, tokenizer):
    tokens = tokenizer.encode(CORPUS)
    np.save(tmp_path / "ids.npy", tokens.input_ids)
    mapped = TokenizedTexts(np.load(tmp_path / "ids.npy", mmap_mode="r"), tokens.token_type_ids, tokens.offsets)
    np.testing.assert_array_equal(mapped.padded([2, 0], 0)["input_ids"], tokens.padded([2, 0], 0)["input_ids"])


def test_training_gives_bert_ids_and_covers_its_texts(tokenizer):
    vocabulary = tokenizer.vocabulary()
    assert [vocabulary[token] for token in VOCABULARY[:5]] == [0, 1, 2, 3, 4]
    assert sorted(vocabulary.values()) == list(range(tokenizer.vocab_size))
    assert tokenizer.vocab_size <= 120
    assert tokenizer.pad_token_id == 0
    assert vocabulary["[UNK]"] not in tokenizer.encode(CORPUS).input_ids
    assert "film" in vocabulary
    assert "cafe" in "".join(vocabulary)


def test_training_can_keep_case():
    vocabulary = train_wordpiece(["The The"], 30, lowercase=False, min_frequency=1).vocabulary()
    assert "The" in vocabulary
    assert "the" not in vocabulary


def test_training_is_the_same_in_every_process(tokenizer):
    program = (
        "from tinybert_tf.data.tokenizers.tokenizer import train_wordpiece; import sys, json;"
        "print(json.dumps(train_wordpiece(json.loads(sys.argv[1]), vocab_size=120).vocabulary()))"
    )
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", program, json.dumps(CORPUS * 3)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert json.loads(run.stdout) == tokenizer.vocabulary()


def test_training_says_what_is_too_little():
    with pytest.raises(InputError, match=r"vocab_size=8 is too small .* at least 10"):
        train_wordpiece(["abc"], vocab_size=8)  # 5 special tokens, a, b, c, ##b, ##c
    with pytest.raises(InputError, match="without a single word"):
        train_wordpiece([" "], vocab_size=100)


def test_the_rarest_characters_are_unknown():
    """Of 10,000 characters five need not be there: those that are one of a kind, and not the four of another kind."""
    texts = ["aabb"] * 2500 + ["\u4e00\u4e01", "x\u00e6y", "xyzzzz"]
    tokenizer = train_wordpiece(texts, 100)
    found = set(tokenizer.vocabulary())
    assert found >= {"a", "##b", "x", "y", "z"}
    assert not found & {"\u4e00", "\u4e01", "\u00e6", "##\u00e6"}
    unknown = tokenizer.vocabulary()["[UNK]"]
    assert tokenizer.encode(["\u4e00"]).input_ids.tolist()[1] == unknown
    assert set(train_wordpiece(texts, 100, character_coverage=1.0).vocabulary()) >= {"\u4e00", "\u4e01", "##\u00e6"}
    with pytest.raises(InputError, match=r"character_coverage: expected a number > 0 and <= 1, got 0"):
        train_wordpiece(texts, 100, character_coverage=0)


def test_training_streams_what_can_be_read_again(tokenizer):
    class Texts:
        readings = 0

        def __iter__(self):
            self.readings += 1
            return iter(CORPUS * 3)

    texts = Texts()
    assert train_wordpiece(texts, vocab_size=120).vocabulary() == tokenizer.vocabulary()
    assert texts.readings > 1
    assert train_wordpiece((text for text in CORPUS * 3), vocab_size=120).vocabulary() == tokenizer.vocabulary()


def test_pieces_are_the_tokens_without_special_ones(tmp_path):
    tokenizer = load_tokenizer(write_vocabulary(tmp_path, do_lower_case=True))
    ids, lengths = tokenizer.pieces(["The films, café.", "", "the film [SEP]" + " film" * 200])
    unknown = [1, 1, 1]  # "[", "sep", "]" are not in the vocabulary
    assert ids.tolist() == [5, 6, 7, 11, 8, 12, 5, 6, *unknown, *[6] * 200]
    assert lengths.tolist() == [6, 0, 205]
    assert (ids.dtype, lengths.dtype) == (np.uint16, np.int64)
    assert [array.tolist() for array in tokenizer.pieces([])] == [[], []]
    assert tokenizer.encode(["film [SEP]"]).input_ids.tolist() == [2, 6, 3, 3]  # `encode` is as it was


def test_special_and_continuing_ids(tmp_path):
    tokenizer = load_tokenizer(write_vocabulary(tmp_path))
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id) == (
        *(0, 2, 3, 4),
    )
    assert tokenizer.special_token_ids() == [0, 1, 2, 3, 4]
    assert tokenizer.continuation_ids() == [7]
    tokenizer.save_pretrained(tmp_path / "saved")
    backend = tokenizers.Tokenizer.from_file(str(tmp_path / "saved" / "tokenizer.json"))
    backend.add_special_tokens(["[SPEAKER]"])
    assert Tokenizer(backend).special_token_ids() == [0, 1, 2, 3, 4, 13]


def test_pieces_of_words_are_known_of_wordpiece_only():
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3}))
    tokenizer = Tokenizer(backend)
    with pytest.raises(InputError, match="a WordLevel tokenizer does not say which pieces are one word"):
        tokenizer.continuation_ids()
    with pytest.raises(InputError, match=r"no mask_token: '\[MASK\]' is not in its vocabulary"):
        _ = tokenizer.mask_token_id


def test_the_fingerprint_is_of_what_decides_the_ids(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").fingerprint == tokenizer.fingerprint
    (tmp_path / "saved" / "tokenizer.json").unlink()
    assert load_tokenizer(tmp_path / "saved").fingerprint == tokenizer.fingerprint
    assert train_wordpiece(CORPUS * 3, vocab_size=60).fingerprint != tokenizer.fingerprint
    settings = [load_tokenizer(write_vocabulary(tmp_path, do_lower_case=value)).fingerprint for value in (True, False)]
    assert settings[0] != settings[1]


@pytest.mark.parametrize("lowercase", [True, False])
def test_transformers_reads_what_is_saved(tmp_path, lowercase):
    tokenizer = train_wordpiece(CORPUS * 3, 200, lowercase=lowercase)
    tokenizer.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
    }
    assert transformers_ids(tmp_path, CORPUS) == row_lists(tokenizer.encode(CORPUS))
    (tmp_path / "tokenizer.json").unlink()
    assert row_lists(load_tokenizer(tmp_path).encode(CORPUS)) == row_lists(tokenizer.encode(CORPUS))


def test_model_max_length_travels(tmp_path):
    transformers = pytest.importorskip("transformers")
    load_tokenizer(write_vocabulary(tmp_path, model_max_length=77)).save_pretrained(tmp_path / "saved")
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "saved").model_max_length == 77
    train_wordpiece(CORPUS, 120).save_pretrained(tmp_path / "trained")
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "trained").model_max_length == 512


def test_a_fast_tokenizer_of_transformers_is_accepted(tmp_path, tokenizer):
    transformers = pytest.importorskip("transformers")
    tokenizer.save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, model_max_length=64)
    ours = as_tokenizer(theirs)
    assert row_lists(ours.encode(CORPUS)) == theirs(CORPUS)["input_ids"]
    ours.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())["model_max_length"] == 64
    assert as_tokenizer(tokenizer) is tokenizer
    with pytest.raises(InputError, match="a str is not a tokenizer"):
        as_tokenizer("bert-base-uncased")


def test_a_vocabulary_that_names_a_token_twice_keeps_every_id(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join([*VOCABULARY[:5], "film", "film", "the"]))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.vocab_size == 8
    tokenizer.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "tokenizer.json").unlink()
    assert load_tokenizer(tmp_path / "saved").encode(["the film"]).input_ids.tolist() == [2, 7, 6, 3]


def test_directories_without_a_usable_tokenizer(tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer here; expected tokenizer.json, vocab.txt"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").write_text("a\nb\n[PAD]\n")
    with pytest.raises(InputError, match=r"vocab.txt: .*\[UNK\], \[CLS\], \[SEP\]"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(InputError, match=r"tokenizer_config.json: expected a JSON object, got"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer.json: not a tokenizer.json"):
        load_tokenizer(tmp_path)


def test_the_real_vocabulary_gives_the_ids_of_transformers(data_dir: Path):
    directory = data_dir / "vocab" / "bert-base-uncased"
    tokenizer = load_tokenizer(directory)
    lines = (data_dir / "sst2" / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    texts = [line.split("\t")[1] for line in lines]
    pairs = texts[1:] + texts[:1]
    ours = tokenizer.encode(list(zip(texts, pairs, strict=True)), max_length=40)
    assert row_lists(ours) == transformers_ids(directory, texts, pairs, truncation=True, max_length=40)
    full = [len(ids) for ids in transformers_ids(directory, texts, pairs)]
    assert ours.num_truncated == sum(length > 40 for length in full)


def test_a_vocabulary_alone_says_whether_it_is_cased(tmp_path):
    for words, text in ((["London", "is", "big"], "London is big"), (["london", "is", "big"], "London is big")):
        directory = tmp_path / words[0]
        directory.mkdir()
        (directory / "vocab.txt").write_text("\n".join([*VOCABULARY[:5], *words]) + "\n", encoding="utf-8")
        tokenizer = load_tokenizer(directory)
        unknown = tokenizer.vocabulary()["[UNK]"]
        assert unknown not in tokenizer.encode([text]).input_ids
    assert not is_cased(["[UNK]", "<S>", *(f"w{number}" for number in range(200))])
