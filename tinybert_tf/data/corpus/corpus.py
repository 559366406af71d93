"""A text corpus as token ids, tokenized once into files that are memory-mapped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.checkpoints.directory_lock import directory_lock
from tinybert_tf.checkpoints.replace_directory import sweep_partials
from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.data.corpus.mapped_array import MappedArray
from tinybert_tf.data.corpus.reader import CorpusFiles
from tinybert_tf.data.corpus.writer import ARRAYS, array_path, check_documents, partial_path, write_arrays
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, as_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import read_object
from tinybert_tf.short_repr import short_repr

logger = logging.getLogger(__name__)

# The format of the files; a corpus of another format is tokenized again.
FORMAT = 1
DESCRIPTION = "corpus.json"


@dataclass(frozen=True)
class _Description:
    """The contents of `corpus.json`, which is written last: if it exists, the arrays are complete."""

    format: int
    sources: list[dict[str, Any]]
    tokenizer: str
    token_dtype: str
    num_tokens: int
    num_sentences: int
    num_documents: int

    def num_bytes(self) -> dict[str, int]:
        """The size of each array's file."""
        return {
            "tokens": self.num_tokens * np.dtype(self.token_dtype).itemsize,
            "sentence_offsets": (self.num_sentences + 1) * 8,
            "document_offsets": (self.num_documents + 1) * 8,
        }


class Corpus:
    """The token ids of a text corpus, sentence by sentence and document by document, memory-mapped.

    `tokens` (uint16 where the vocabulary fits, else int32) holds all sentences one after the other, without special
    tokens. Sentence `i` is `tokens[sentence_offsets[i]:sentence_offsets[i + 1]]`; document `i` the sentences
    `document_offsets[i]` to `document_offsets[i + 1]` (both int64, one longer than what they count). No sentence and no
    document is empty.

    `Corpus.tokenize` and `Corpus.open` make one. The directory takes about half of the text's size on disk. Memory
    holds the parts that were read since the last `release`.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        description = _read_description(self.directory)
        if description is None:
            raise InputError(f"{self.directory}: no complete tokenized corpus here; Corpus.tokenize makes one")
        self.num_tokens = description.num_tokens
        self.num_sentences = description.num_sentences
        self.num_documents = description.num_documents
        self.tokenizer_fingerprint = description.tokenizer
        self.source = ", ".join(source["name"] for source in description.sources)
        dtypes = {"tokens": description.token_dtype}
        self._arrays = []
        for name in ARRAYS:
            with array_path(self.directory, name).open("rb") as file:
                self._arrays.append(MappedArray(file, dtypes.get(name, np.int64)))
        self.tokens, self.sentence_offsets, self.document_offsets = (array.values for array in self._arrays)

    def __repr__(self) -> str:
        return short_repr(self, directory=str(self.directory), tokens=self.num_tokens, documents=self.num_documents)

    @classmethod
    def open(cls, directory: str | Path) -> Corpus:
        """The corpus that `Corpus.tokenize` wrote.

        Raises:
            InputError: there is no corpus, or its writing was interrupted.
        """
        return cls(directory)

    @classmethod
    def tokenize(
        cls,
        paths: str | Path | Sequence[str | Path],
        tokenizer: Any,
        directory: str | Path,
        min_documents: int = 1,
    ) -> Corpus:
        """Tokenize a text file, or several, into `directory`: one sentence a line, an empty line between documents.

        A complete corpus of the same files (names, sizes, times of change) and the same tokenizer is used as it is;
        any other one is replaced. Neither the text nor its tokens are ever in memory as a whole. A line without a token
        (only control characters) is left out.

        Args:
            paths: UTF-8 text files, see `tinybert_tf.data.corpus.reader.CorpusFiles`.
            tokenizer: ours, or a fast one of transformers.
            directory: the directory of the arrays; it is made if it does not exist.
            min_documents: the least number of documents; next-sentence prediction needs two.

        Raises:
            InputError: a file cannot be used, or there are too few documents. Nothing is then left in `directory`.
        """
        files, tokenizer, directory = CorpusFiles.of(paths), as_tokenizer(tokenizer), Path(directory)
        sources = [_source(path) for path in files.paths]
        with _made(directory), directory_lock(directory):
            sweep_partials(directory)
            there = _read_description(directory)
            if there is None or (there.sources, there.tokenizer) != (sources, tokenizer.fingerprint):
                _replace_corpus(files, sources, tokenizer, directory, min_documents)
        corpus = cls(directory)
        check_documents(corpus.num_documents, min_documents, files)
        return corpus

    def fingerprint(self) -> str:
        """A hash of the tokens, and of where sentences and documents begin."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            with array_path(self.directory, name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def release(self) -> None:
        """Give back the memory of the parts of the arrays that were read."""
        for array in self._arrays:
            array.release()


def _replace_corpus(
    files: CorpusFiles, sources: list[dict[str, Any]], tokenizer: Tokenizer, directory: Path, min_documents: int
) -> None:
    logger.info(f"corpus: tokenizing {files.num_bytes / 1e6:,.1f} MB into {directory}")
    try:
        counts = write_arrays(files, tokenizer, directory, min_documents)
        (directory / DESCRIPTION).unlink(missing_ok=True)
        for name in ARRAYS:
            partial_path(directory, name).replace(array_path(directory, name))
        description = _Description(FORMAT, sources, tokenizer.fingerprint, tokenizer.piece_dtype.name, **asdict(counts))
        replace_text(directory / DESCRIPTION, json.dumps(asdict(description), indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror}); expected another directory") from error
    logger.info(
        f"corpus: {counts.num_documents:,} documents, {counts.num_sentences:,} sentences, {counts.num_tokens:,} tokens"
    )


def _read_description(directory: Path) -> _Description | None:
    """The description of a directory's corpus; None if there is no complete corpus of this format."""
    try:
        description = _Description(**read_object(directory / DESCRIPTION))
        sizes = {name: array_path(directory, name).stat().st_size for name in ARRAYS}
        is_complete = description.format == FORMAT and sizes == description.num_bytes()
    except (OSError, ValueError, TypeError):
        return None
    return description if is_complete else None


def _source(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"name": path.name, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


@contextlib.contextmanager
def _made(directory: Path) -> Iterator[None]:
    """Make a directory; remove it again if the body fails and nothing is in it."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory}: cannot be made ({error.strerror}); expected the path of a directory") from error
    try:
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
