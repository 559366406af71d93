"""Word vectors: the nearest by hand, and files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinybert_tf.data.glove import WordVectors
from tinybert_tf.errors import InputError

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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("film 1 0\nmovie 2\n", r"words.txt:2: 1 values; 2 are wanted, as in the first line"),
        ("film 1 0\nmovie 2 0 0\n", r"words.txt:2: 3 values; 2 are wanted"),
        ("film 1 0\nmovie 2 x\n", r"words.txt:2: a word and its vector, numbers"),
        ("film 1 0\nmovie 2 nan\n", r"words.txt:2: a word and its vector, numbers"),
        ("film 1 0\n\nmovie 2 0\n", r"words.txt:2: a word and its vector, numbers"),
        ("film\n", r"words.txt:1: a word and its vector"),
        (b"film 1 0\nmov\xffie 1 0\n", r"words.txt:2: byte 0xff is not UTF-8"),
        ("", r"words.txt: no words; lines of a word and its vector"),
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
