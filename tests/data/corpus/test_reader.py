from pathlib import Path

import pytest

from tinybert_tf import InputError
from tinybert_tf.data.corpus.reader import LONGEST_LINE, CorpusFiles

TEXT = "Ein Satz.\nNoch eïner.\n\n中文 😀.\n  \nThe last one"


def write(directory: Path, content: str | bytes, name: str = "corpus.txt") -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def documents(paths: Path | list[Path]) -> list[list[str]]:
    found: list[list[str]] = []
    for block in CorpusFiles.of(paths).blocks():
        for index, sentence in enumerate(block.sentences):
            if index in block.document_starts:
                found.append([])
            found[-1].append(sentence)
    return found


@pytest.mark.parametrize("block_bytes", [1, 2, 7, 16, 1000])
def test_sentences_and_documents_whatever_a_block_cuts_through(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr("tinybert_tf.data.corpus.reader.BLOCK_BYTES", block_bytes)
    path = write(tmp_path, TEXT)
    assert documents(path) == [["Ein Satz.", "Noch eïner."], ["中文 😀."], ["The last one"]]
    starts = [line for block in CorpusFiles.of(path).blocks() for line in block.start_lines]
    assert starts == [1, 4, 6]
    with pytest.raises(InputError, match=r"corpus.txt:5: byte 0xff"):
        documents(write(tmp_path, TEXT.encode().replace(b"  ", b" \xff")))
    with pytest.raises(InputError, match=r"corpus.txt:4: a zero byte"):
        documents(write(tmp_path, TEXT.replace("中", "\0")))


def test_what_an_editor_adds_is_no_text(tmp_path):
    content = b"\xef\xbb\xbf" + b"One.\r\nTwo.\r\n\r\nThree.\r\n\r\n\n \n"
    assert [[text.strip() for text in document] for document in documents(write(tmp_path, content))] == [
        ["One.", "Two."],
        ["Three."],
    ]


def test_a_sentence_may_hold_other_separators(tmp_path):
    assert documents(write(tmp_path, "a\u2028b\x0cc\x85d\ne\n")) == [["a\u2028b\x0cc\x85d", "e"]]


def test_files_follow_one_another_and_each_begins_a_document(tmp_path):
    paths = [write(tmp_path, "One.\nTwo.", "b.txt"), write(tmp_path, "Three.\n\n\n", "a.txt")]
    assert documents(paths) == [["One.", "Two."], ["Three."]]
    files = CorpusFiles.of(paths)
    assert list(files) == list(files) == ["One.", "Two.", "Three."]
    assert files.num_bytes == 18


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": the file is empty; expected one sentence a line"),
        ("\n \n\n", ": the file is empty; expected one sentence a line"),
        ("\nOne.\n", ":1: an empty line before the first sentence is an empty document; expected one sentence a line"),
        (
            "\n\n\nOne.\n",
            ":3: an empty line before the first sentence is an empty document; expected one sentence a line",
        ),
        ("One.\n\n\nTwo.\n", ":3: an empty line after another one is an empty document; expected one sentence a line"),
        ("One.\n\nTwo\n\n \t\n\nThree.\n", ":6: an empty line after another one is an empty document"),
        (b"One.\ncaf\xe9\n", ":2: byte 0xe9 is not UTF-8; expected UTF-8 text"),
        (b"One.\n\nT\0wo\n", ":3: a zero byte, so this is not a text file; expected UTF-8 text"),
        (
            "One.\n" + "x" * (LONGEST_LINE + 1),
            ":2: a line of more than 100,000 characters; expected one sentence a line",
        ),
        ("One.\nTwo.\n" + "x" * 1_000_000 + "\n", ":3: a line of more than 100,000 characters"),
        (b"One.\n" + b"x" * 5_000_000, ":2: a line of more than 100,000 characters"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(InputError) as error:
        list(CorpusFiles.of(path))
    assert str(error.value).startswith(f"{path}{message}")
    assert len(str(error.value).splitlines()) == 1


def test_the_longest_line_is_measured_in_characters(tmp_path):
    sentence = "中" * LONGEST_LINE
    assert documents(write(tmp_path, f"One.\n{sentence}\n")) == [["One.", sentence]]


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nothing.txt: no such file"):
        CorpusFiles.of([write(tmp_path, "One."), tmp_path / "nothing.txt"])
    with pytest.raises(InputError, match="is a directory; expected a text file"):
        CorpusFiles.of(tmp_path)
    with pytest.raises(InputError, match="expected at least one text file"):
        CorpusFiles.of([])
