"""Word vectors: the nearest by hand, and files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.data.augmentation.glove import WordVectors

WORDS = "film 1 0\nmovie 2 0.1\n, 1 0\ntrain 0 1\nbus 0.5 1\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_nearest_by_cosine(tmp_path: Path) -> None:
    vectors = WordVectors(write(tmp_path / "words.txt", WORDS))
    assert vectors.words == ["film", "movie", "train", "bus"]  # a comma replaces no word
    np.testing.assert_allclose(np.linalg.norm(vectors.vectors, axis=1), 1, rtol=1e-6)
    nearest = vectors.nearest(["train", "film", "train", "unheard"], 2)
    assert nearest == {"train": ["bus", "movie"], "film": ["movie", "bus"]}
    assert vectors.nearest(["bus"], 9) == {"bus": ["train", "movie", "film"]}


def test_only_the_first_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "words.txt", WORDS + "late 1 1\n")
    assert WordVectors(path, limit=2).words == ["film", "movie"]


def test_entries_with_spaces(tmp_path: Path) -> None:
    """As `. . .` and `at name@domain.com` in GloVe's 840B; neither replaces a word."""
    lines = "film 1 0\n. . . 1 0\nat name@domain.com 1 0\nmovie 2 0.1\n"
    assert WordVectors(write(tmp_path / "words.txt", lines)).words == ["film", "movie"]


def test_words_that_differ_in_case_are_one(tmp_path: Path) -> None:
    """A word is never its own neighbour, and is found in whatever case the file has it."""
    vectors = WordVectors(write(tmp_path / "words.txt", WORDS + "Film 1 0\nTRAIN 1 0\nParis 0 2\n"))
    assert vectors.words == ["film", "movie", "train", "bus", "Paris"]
    assert vectors.nearest(["film", "paris"], 1) == {"film": ["movie"], "paris": ["train"]}


def test_as_many_as_there_are(tmp_path: Path) -> None:
    """Equals in the file's order; one word alone has no neighbour."""
    vectors = WordVectors(write(tmp_path / "words.txt", "a 1 0\n" + "".join(f"{letter} 0 1\n" for letter in "cbd")))
    assert vectors.nearest(["a"], 9) == {"a": ["c", "b", "d"]}
    assert WordVectors(write(tmp_path / "words.txt", "a 1 0\n")).nearest(["a"], 2) == {"a": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("film 1 0\nmovie 2\n", r"words.txt:2: 1 values; expected 2, as in the first line"),
        ("film 1 0\nmovie 2 0 0\n", r"words.txt:2: 3 values; expected 2"),
        ("film 1 0\nmovie 2 x\n", r"words.txt:2: expected a word and its vector, numbers"),
        ("film 1 0\nmovie 2 nan\n", r"words.txt:2: expected a word and its vector, numbers"),
        ("film 1 0\nmovie 2 1e99\n", r"words.txt:2: expected a word and its vector, numbers"),
        ("film 1 0\nmovie  2 0\n", r"words.txt:2: expected a word and its vector, numbers with one space between"),
        ("film 1 0\n\nmovie 2 0\n", r"words.txt:2: expected a word and its vector, numbers"),
        ("film\n", r"words.txt:1: expected a word and its vector"),
        (b"film 1 0\nmov\xffie 1 0\n", r"words.txt:2: byte 0xff is not UTF-8"),
        ("", r"words.txt: no words; expected lines of a word and its vector"),
        (", 1 0\n", r"words.txt: no words"),
    ],
)
def test_bad_files(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        WordVectors(write(tmp_path / "words.txt", content))
    with pytest.raises(InputError, match=r"nowhere.txt: cannot be read"):
        WordVectors(tmp_path / "nowhere.txt")


def test_real_vectors(data_dir: Path) -> None:
    vectors = WordVectors(data_dir / "glove" / "glove.6B.50d.subset.txt")
    nearest = vectors.nearest(["actor"], 15)["actor"]
    assert {"actress", "comedian"} & set(nearest)
