import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tinybert_tf import Corpus, InputError, load_tokenizer, train_wordpiece
from tinybert_tf.data.corpus import corpus as corpus_module

TEXT = "w1 w2s\nw3\n\nw4 w5 w6\n"  # w2s: w2, ##s
IDS = [6, 7, 2005, 8, 9, 10, 11]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    return path


def contents(corpus: Corpus) -> tuple[list[int], ...]:
    return tuple(array.tolist() for array in (corpus.tokens, corpus.sentence_offsets, corpus.document_offsets))


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def count_writings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The list that every later writing of arrays is noted in."""
    written: list[Path] = []
    write = corpus_module.write_arrays

    def note(files, tokenizer, directory, min_documents):
        written.append(directory)
        return write(files, tokenizer, directory, min_documents)

    monkeypatch.setattr(corpus_module, "write_arrays", note)
    return written


def test_the_arrays_hold_tokens_sentences_and_documents(tmp_path, text_file, word_tokenizer):
    corpus = Corpus.tokenize(text_file, word_tokenizer, tmp_path / "new" / "tokens")
    assert contents(corpus) == (IDS, [0, 3, 4, 7], [0, 2, 3])
    assert (corpus.num_tokens, corpus.num_sentences, corpus.num_documents) == (7, 3, 2)
    assert (corpus.tokens.dtype, corpus.sentence_offsets.dtype) == (np.uint16, np.int64)
    assert contents(Corpus.open(corpus.directory)) == contents(corpus)
    corpus.release()
    assert corpus.tokens.tolist() == IDS
    assert files_below(corpus.directory) == [
        "corpus.json",
        "document_offsets.bin",
        "sentence_offsets.bin",
        "tokens.bin",
    ]
    with pytest.raises(ValueError, match="read-only"):
        corpus.tokens[0] = 1


def test_several_files_are_one_corpus(tmp_path, text_file, word_tokenizer):
    other = tmp_path / "other.txt"
    other.write_text("w9")
    corpus = Corpus.tokenize([other, text_file], word_tokenizer, tmp_path / "tokens")
    assert contents(corpus) == ([14, *IDS], [0, 1, 4, 5, 8], [0, 1, 3, 4])
    assert corpus.source == "other.txt, corpus.txt"


@pytest.mark.parametrize("block_bytes", [1, 5, 11])
def test_blocks_are_put_together_again(tmp_path, text_file, word_tokenizer, monkeypatch, block_bytes):
    monkeypatch.setattr("tinybert_tf.data.corpus.reader.BLOCK_BYTES", block_bytes)
    corpus = Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens")
    assert contents(corpus) == (IDS, [0, 3, 4, 7], [0, 2, 3])


def test_the_library_agrees_on_real_text(tmp_path, data_dir, minilm_dir):
    tokenizer = load_tokenizer(minilm_dir)
    lines = (data_dir / "corpus" / "wikitext2_valid.txt").read_text(encoding="utf-8").split("\n")[:3000]
    (tmp_path / "part.txt").write_text("\n".join(lines), encoding="utf-8")
    corpus = Corpus.tokenize(tmp_path / "part.txt", tokenizer, tmp_path / "tokens")
    sentences = [line for line in lines if line]
    encoded = tokenizer.encode(sentences, max_length=100_000)
    rows = np.split(encoded.input_ids, encoded.offsets[1:-1])
    assert corpus.tokens.tolist() == np.concatenate([row[1:-1] for row in rows]).tolist()  # without [CLS] and [SEP]
    assert np.diff(corpus.sentence_offsets).tolist() == (encoded.lengths - 2).tolist()
    before = np.array([index for index, line in enumerate(lines) if line and (index == 0 or not lines[index - 1])])
    assert corpus.document_offsets.tolist() == [sum(map(bool, lines[:index])) for index in before] + [len(sentences)]


def test_what_looks_like_a_special_token_is_text(tmp_path):
    tokenizer = train_wordpiece(["the [ mask ] and the [ sep ] token"], 80, min_frequency=1)
    (tmp_path / "corpus.txt").write_text("the [MASK] and the [SEP] token\n")
    corpus = Corpus.tokenize(tmp_path / "corpus.txt", tokenizer, tmp_path / "tokens")
    assert not np.isin(corpus.tokens, tokenizer.special_token_ids()).any()
    token_of = {token_id: token for token, token_id in tokenizer.vocabulary().items()}
    text = "".join(token_of[token_id].removeprefix("##") for token_id in corpus.tokens.tolist())
    assert text == "the[mask]andthe[sep]token"


def test_sentences_without_a_token_are_left_out(tmp_path, word_tokenizer):
    (tmp_path / "corpus.txt").write_text("\x01\nw1\n\x01\x02\n\nw2\n\x01\n")
    corpus = Corpus.tokenize(tmp_path / "corpus.txt", word_tokenizer, tmp_path / "tokens")
    assert contents(corpus) == ([6, 7], [0, 1, 2], [0, 1, 2])


def test_ids_beyond_16_bits(tmp_path):
    words = [f"w{number}" for number in range(70_000)]
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]))
    (tmp_path / "corpus.txt").write_text("w0 w69999\n")
    corpus = Corpus.tokenize(tmp_path / "corpus.txt", load_tokenizer(tmp_path), tmp_path / "tokens")
    assert corpus.tokens.tolist() == [4, 70_003]
    assert corpus.tokens.dtype == np.int32


# === Once only ===


def test_a_complete_corpus_is_used_again(tmp_path, text_file, word_tokenizer, monkeypatch):
    word_tokenizer.save_pretrained(tmp_path / "saved")
    Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens")
    written = count_writings(monkeypatch)
    again = Corpus.tokenize(text_file, load_tokenizer(tmp_path / "saved"), tmp_path / "tokens")
    assert not written
    assert again.tokens.tolist() == IDS


def test_another_file_or_tokenizer_replaces_it(tmp_path, text_file, word_tokenizer, monkeypatch):
    directory = tmp_path / "tokens"
    first = Corpus.tokenize(text_file, word_tokenizer, directory)
    written = count_writings(monkeypatch)

    os.utime(text_file, ns=(0, 0))
    Corpus.tokenize(text_file, word_tokenizer, directory)
    assert len(written) == 1
    text_file.write_text("w7\n")
    os.utime(text_file, ns=(0, 0))
    assert Corpus.tokenize(text_file, word_tokenizer, directory).tokens.tolist() == [12]
    assert len(written) == 2
    other = train_wordpiece(["w7 w8"], 60, min_frequency=1)
    assert Corpus.tokenize(text_file, other, directory).tokens.tolist() == [other.vocabulary()["w7"]]
    assert len(written) == 3
    renamed = text_file.rename(tmp_path / "renamed.txt")
    Corpus.tokenize(renamed, other, directory)
    assert len(written) == 4
    assert first.tokens.tolist() == IDS  # who has it open keeps what was there
    assert len(files_below(directory)) == 4


def test_two_at_a_time_write_once(tmp_path, text_file, word_tokenizer, monkeypatch):
    written = count_writings(monkeypatch)
    slow = corpus_module.write_arrays

    def slower(*arguments):
        time.sleep(0.2)
        return slow(*arguments)

    monkeypatch.setattr(corpus_module, "write_arrays", slower)
    found: list[list[int]] = []

    def tokenize() -> None:
        found.append(Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens").tokens.tolist())

    threads = [threading.Thread(target=tokenize) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [IDS] * 3
    assert len(written) == 1


# === Interrupted ===


def test_a_killed_writing_is_not_taken_for_complete(tmp_path, word_tokenizer):
    word_tokenizer.save_pretrained(tmp_path / "tokenizer")
    lines = np.random.default_rng(1).integers(0, 2000, (40_000, 20))
    text = tmp_path / "large.txt"
    text.write_text("\n".join(" ".join(f"w{word}" for word in line) for line in lines))
    program = (
        "import sys; from tinybert_tf.data.corpus.corpus import Corpus;"
        "from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer;"
        "Corpus.tokenize(sys.argv[1], load_tokenizer(sys.argv[2]), sys.argv[3])"
    )
    directory = tmp_path / "tokens"
    process = subprocess.Popen([sys.executable, "-c", program, text, tmp_path / "tokenizer", directory])
    partial = directory / "tokens.partial"
    while not (partial.exists() and partial.stat().st_size):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(InputError, match="no complete tokenized corpus here"):
        Corpus.open(directory)
    resumed = Corpus.tokenize(text, word_tokenizer, directory)
    assert resumed.tokens.tolist() == (lines.ravel() + 5).tolist()
    assert contents(resumed) == contents(Corpus.tokenize(text, word_tokenizer, tmp_path / "never interrupted"))
    assert len(files_below(directory)) == 4


@pytest.mark.parametrize("name", ["tokens.bin", "sentence_offsets.bin", "document_offsets.bin"])
@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_directory_is_not_taken_for_complete(tmp_path, text_file, word_tokenizer, name, damage):
    path = Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens").directory / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"tokens: no complete tokenized corpus here; Corpus.tokenize makes one"):
        Corpus.open(tmp_path / "tokens")
    assert Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens").tokens.tolist() == IDS


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 1, "sources": 3}'])
def test_an_unreadable_description_is_no_corpus(tmp_path, text_file, word_tokenizer, content):
    (Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens").directory / "corpus.json").write_text(content)
    with pytest.raises(InputError, match="no complete tokenized corpus"):
        Corpus.open(tmp_path / "tokens")
    assert Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens").tokens.tolist() == IDS


# === Refused ===


BAD_TEXTS = [
    (b"w1\n\n\nw2\n", ":3: an empty line after another one is an empty document; expected one sentence a line"),
    (
        b"w1\n" * 1000 + b"x" * 1_000_000,
        ":1001: a line of more than 100,000 characters; expected one sentence a line",
    ),
    (b"w1\n\nw2\0\n", ":3: a zero byte, so this is not a text file; expected UTF-8 text"),
    (b"w1\n\xff\n", ":2: byte 0xff is not UTF-8; expected UTF-8 text"),
    (b"", ": the file is empty; expected one sentence a line"),
    (b"w1\n\n\x01\n\nw2\n", ":3: a document without a single token; expected text"),
    (b"w1\n\n\x01\n", ":3: a document without a single token; expected text"),
    (b"w1\nw2\n", ": documents up to its end: 1; expected at least 2, with an empty line between them"),
]


def test_nothing_is_left_of_a_refused_corpus(each_row, tmp_path, word_tokenizer, monkeypatch) -> None:
    monkeypatch.setattr("tinybert_tf.data.corpus.reader.BLOCK_BYTES", 1000)
    (tmp_path / "there" / "tokens").mkdir(parents=True)
    path = tmp_path / "corpus.txt"

    def look(content: bytes, message: str, parent: str) -> None:
        path.write_bytes(content)
        before = files_below(tmp_path)
        with pytest.raises(InputError) as error:
            Corpus.tokenize(path, word_tokenizer, tmp_path / parent / "tokens", min_documents=2)
        assert str(error.value).startswith(f"{path}{message}")
        assert files_below(tmp_path) == before

    each_row([(*row, parent) for row in BAD_TEXTS for parent in ("there", "made")], look)


def test_a_refused_corpus_leaves_the_one_that_was_there(tmp_path, text_file, word_tokenizer):
    Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens")
    bad = tmp_path / "bad.txt"
    bad.write_text("w1\n\n\nw2\n")
    with pytest.raises(InputError):
        Corpus.tokenize(bad, word_tokenizer, tmp_path / "tokens")
    assert Corpus.open(tmp_path / "tokens").tokens.tolist() == IDS
    with pytest.raises(InputError, match=r"expected at least 3"):
        Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens", min_documents=3)
    assert len(files_below(tmp_path / "tokens")) == 4


def test_a_directory_that_is_full(tmp_path, text_file, word_tokenizer, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinybert_tf.data.corpus.writer._Writer.add", full)
    directory = tmp_path / "tokens"
    with pytest.raises(InputError, match=r"tokens: cannot be written \(No space left on device\)"):
        Corpus.tokenize(text_file, word_tokenizer, directory)
    assert not directory.exists()


def test_a_long_tokenization_says_how_far_it_is(tmp_path, text_file, word_tokenizer, monkeypatch, caplog):
    monkeypatch.setattr("tinybert_tf.data.corpus.reader.BLOCK_BYTES", 5)
    monkeypatch.setattr("tinybert_tf.data.corpus.writer.SECONDS_BETWEEN_LOG_LINES", 0.0)
    with caplog.at_level("INFO", logger="tinybert_tf"):
        Corpus.tokenize(text_file, word_tokenizer, tmp_path / "tokens")
    first, *progress, last = caplog.messages
    assert first == f"corpus: tokenizing 0.0 MB into {tmp_path / 'tokens'}"
    assert progress[-1] == "corpus: 100% tokenized"
    assert last == "corpus: 2 documents, 3 sentences, 7 tokens"


def test_a_directory_that_cannot_be_made(tmp_path, text_file, word_tokenizer):
    with pytest.raises(InputError, match="cannot be made"):
        Corpus.tokenize(text_file, word_tokenizer, text_file / "tokens")
