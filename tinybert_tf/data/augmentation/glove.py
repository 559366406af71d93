"""Word vectors in GloVe's text format, and the words nearest to a word."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np

from tinybert_tf.data.augmentation.word_table import WordTable
from tinybert_tf.errors import InputError

# The authors of TinyBERT search this many words; the files have the most frequent words first.
LARGEST_VOCABULARY = 100_000


class WordVectors(WordTable):
    """Vectors of alphabetic words, float32 of length 1; other entries of the file are checked and left out.

    Read from a UTF-8 file of lines `word x1 x2 ...`, with one space between, as GloVe's are (Pennington et al. 2014);
    in an entry with spaces, such as some of `840B`, the last values are the numbers. If words differ only in case, the
    first one counts; `nearest` finds it by its lowercase form.

    Args:
        path: the file.
        limit: the number of lines to read, at most.

    Raises:
        InputError: the file cannot be read or has no alphabetic word; a line has another number of values than the
            first line, or a value that is not a finite number.
    """

    def __init__(self, path: str | Path, limit: int = LARGEST_VOCABULARY) -> None:
        self.path = Path(path)
        words: dict[str, str] = {}
        values, size = array("f"), 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if number > limit:
                        break
                    word, vector = self._parse(number, line, size)
                    size = size or len(vector)
                    if len(vector) != size:
                        raise self._error(number, f"{len(vector)} values; expected {size}, as in the first line")
                    if word.isalpha() and word.lower() not in words:
                        words[word.lower()] = word
                        values.frombytes(vector.tobytes())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}); expected a GloVe file") from error
        if not words:
            raise InputError(f"{self.path}: no words; expected lines of a word and its vector")
        super().__init__(list(words.values()), np.frombuffer(values, np.float32).reshape(-1, size))

    def _parse(self, number: int, line: bytes, size: int) -> tuple[str, np.ndarray]:
        try:
            word, *fields = line.decode("utf-8").rstrip("\r\n").rstrip(" ").split(" ")
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise self._error(number, f"byte 0x{byte:02x} is not UTF-8; expected UTF-8 text") from error
        while size and len(fields) > size and fields[0] and not _is_number(fields[0]):
            word, *fields = f"{word} {fields[0]}", *fields[1:]
        try:
            with np.errstate(over="ignore"):
                vector = np.array(fields, np.float32)
        except ValueError:
            vector = np.array([np.nan])
        if not word or not fields or not np.isfinite(vector).all():
            raise self._error(number, "expected a word and its vector, numbers with one space between")
        return word, vector

    def _error(self, number: int, what: str) -> InputError:
        return InputError(f"{self.path}:{number}: {what}")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
