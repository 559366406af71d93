from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import Corpus, Masking, PretrainingBatches, load_tokenizer
from tinybert_tf.data.corpus.masking import NO_LABEL
from tinybert_tf.pipeline.vocab import run_vocab

Tinybert = Callable[..., Any]

ENGLISH = "The Café opens at nine.\nIt closes late.\n\nA film is shown in the café.\nNobody pays.\n"
CHINESE = """北京是中国的首都。
它有两千多万人口,2008年举办了奥运会。

今天天气很好,我们去公园散步吧!
公园里有很多花,也有小孩子在玩。
傍晚大家都回家了。

这部电影很有意思,BERT也喜欢。
"""


def write(directory: Path, text: str, name: str = "corpus.txt") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_verb_writes_a_tokenizer_and_one_line(tinybert: Tinybert, tmp_path: Path) -> None:
    corpus = write(tmp_path, ENGLISH)
    command = tinybert("vocab", "--corpus", corpus, "--size", 100, "--out", tmp_path / "vocab")
    assert command.status == 0, command.err
    tokenizer = load_tokenizer(tmp_path / "vocab")
    assert command.out == (
        f"{tmp_path / 'vocab'}: a lowercase WordPiece tokenizer of {tokenizer.vocab_size} tokens, for corpus.txt\n"
    )
    assert command.err == "vocab: reading 0.0 MB\n"
    vocabulary = tokenizer.vocabulary()
    assert vocabulary["[UNK]"] not in tokenizer.pieces(["the cafe closes at nine", "THE CAFÉ"])[0]
    assert "cafe" in vocabulary
    assert not any(letter.isupper() or letter == "é" for token in vocabulary for letter in token if token[0] != "[")


def test_cased_and_rare_pieces(tinybert: Tinybert, tmp_path: Path) -> None:
    corpus = write(tmp_path, ENGLISH)
    flags = ["--size", 500, "--cased", "--min-frequency", 1]
    command = tinybert("vocab", "--corpus", corpus, *flags, "--out", tmp_path / "vocab")
    assert command.status == 0, command.err
    assert " a cased WordPiece tokenizer " in command.out
    vocabulary = load_tokenizer(tmp_path / "vocab").vocabulary()
    assert {"The", "the", "Café", "café", "Nobody"} <= set(vocabulary)


def test_several_files_are_one_corpus(tmp_path: Path) -> None:
    files = [write(tmp_path, "aa bb", "1.txt"), write(tmp_path, "cc dd", "2.txt")]
    assert run_vocab(files, 50, tmp_path / "vocab", min_frequency=1).endswith("for 1.txt, 2.txt")
    assert {"aa", "bb", "cc", "dd"} <= set(load_tokenizer(tmp_path / "vocab").vocabulary())


@pytest.mark.parametrize("lowercase", [True, False])
def test_chinese_from_the_corpus_to_batches(tmp_path: Path, lowercase: bool) -> None:
    corpus_file = write(tmp_path, CHINESE)
    run_vocab(corpus_file, 300, tmp_path / "vocab", lowercase)
    tokenizer = load_tokenizer(tmp_path / "vocab")
    vocabulary = tokenizer.vocabulary()
    corpus = Corpus.tokenize(corpus_file, tokenizer, tmp_path / "tokens")
    assert (corpus.num_documents, corpus.num_sentences) == (3, 6)
    assert vocabulary["[UNK]"] not in corpus.tokens
    token_of = {token_id: token for token, token_id in vocabulary.items()}
    first = [token_of[token_id] for token_id in corpus.tokens[: corpus.sentence_offsets[1]].tolist()]
    assert first == list("北京是中国的首都。")  # a character is a word

    batches = PretrainingBatches(corpus, tokenizer, max_length=32, masking=Masking(whole_word=True))
    num_rows = 0
    for batches.epoch in range(3):
        for step in range(len(batches)):
            inputs, labels = batches[step]
            num_rows += len(inputs["input_ids"])
            assert vocabulary["[UNK]"] not in inputs["input_ids"]
            is_label = labels["masked_tokens"] != NO_LABEL
            assert is_label.any(axis=1).all()
            assert np.isin(labels["masked_tokens"][is_label], corpus.tokens).all()
    assert num_rows == 3 * batches.num_rows


# === Refused ===


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (ENGLISH, ["--size", 20], "vocab_size=20 is too small for the characters of these texts; expected at least "),
        (ENGLISH, ["--size", -1], "--size: expected an integer >= 1, got '-1'"),
        (ENGLISH, ["--size", 100, "--min-frequency", 0], "--min-frequency: expected an integer >= 1, got '0'"),
        ("One.\n\n\nTwo.\n", ["--size", 100], "{path}:3: an empty line after another one is an empty document"),
        ("One.\nT\0wo.\n", ["--size", 100], "{path}:2: a zero byte, so this is not a text file"),
        ("", ["--size", 100], "{path}: the file is empty; expected one sentence a line"),
        ("\x01\n", ["--size", 100], "a vocabulary cannot be learned from texts without a single word"),
    ],
)
def test_what_is_refused_leaves_nothing(
    tinybert: Tinybert, tmp_path: Path, content: str, flags: list[object], message: str
) -> None:
    path = write(tmp_path, content)
    command = tinybert("vocab", "--corpus", path, *flags, "--out", tmp_path / "new" / "vocab")
    assert (command.status, command.out) == (2, "")
    line = command.err.splitlines()[-1]
    assert line.startswith("tinybert: " + message.format(path=path))
    assert list(tmp_path.iterdir()) == [path]


def test_out_is_not_written_over(tinybert: Tinybert, tmp_path: Path) -> None:
    path = write(tmp_path, ENGLISH)
    before = path.read_bytes()
    for out, message in (
        (tmp_path, f"out: {tmp_path} is not empty; give a new or an empty directory."),
        (path, f"out: {path} is a file; expected a new or an empty directory."),
    ):
        command = tinybert("vocab", "--corpus", path, "--size", 100, "--out", out)
        assert (command.status, command.err) == (2, f"tinybert: {message}\n")
    assert path.read_bytes() == before
    command = tinybert("vocab", "--corpus", tmp_path / "nothing.txt", "--size", 100, "--out", tmp_path / "vocab")
    assert (command.status, command.err) == (2, f"tinybert: {tmp_path / 'nothing.txt'}: no such file\n")


def test_it_needs_neither_tensorflow_nor_keras(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from tinybert_tf.cli import main; main(sys.argv[1:]);"
        "print([heavy for heavy in ('keras', 'tensorflow', 'transformers') if heavy in sys.modules])"
    )
    flags = ["--corpus", write(tmp_path, ENGLISH), "--size", "100", "--out", tmp_path / "vocab"]
    run = subprocess.run([sys.executable, "-c", program, "vocab", *flags], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
