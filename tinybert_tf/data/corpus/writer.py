"""Tokenizes a text corpus into arrays on disk; blocks are read, tokenized and written at the same time."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from tinybert_tf.data.corpus.reader import CorpusFiles, SentenceBlock
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.errors import InputError

ARRAYS = ("tokens", "sentence_offsets", "document_offsets")
# While two blocks are tokenized, only one more waits: the library's `Encoding` objects are large.
BLOCK_THREADS = 2
BLOCKS_AHEAD = 3

SECONDS_BETWEEN_LOG_LINES = 30.0

Pieces = tuple[np.ndarray, np.ndarray]
Blocks = Iterator[tuple[SentenceBlock, Pieces]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """The numbers of tokens, sentences and documents of a corpus."""

    num_tokens: int
    num_sentences: int
    num_documents: int


def array_path(directory: Path, name: str) -> Path:
    """The file of one of `ARRAYS`."""
    return directory / f"{name}.bin"


def write_arrays(files: CorpusFiles, tokenizer: Tokenizer, directory: Path, min_documents: int) -> Counts:
    """Tokenize `files` into the arrays of `directory`, in files with the suffix `.partial` that a failure removes.

    Raises:
        InputError: a file cannot be used, or there are fewer than `min_documents` documents.
    """
    paths = [partial_path(directory, name) for name in ARRAYS]
    try:
        with ExitStack() as stack:
            writer = _Writer(*(stack.enter_context(path.open("wb")) for path in paths))
            for block, pieces in _with_progress(_tokenized_blocks(files, tokenizer), files.num_bytes):
                writer.add(block, *pieces)
            writer.finish()
        counts = Counts(writer.num_tokens, writer.num_sentences, writer.num_documents)
        check_documents(counts.num_documents, min_documents, files)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return counts


def partial_path(directory: Path, name: str) -> Path:
    """The path of an array while it is written."""
    return directory / f"{name}.partial"


def check_documents(num_documents: int, min_documents: int, files: CorpusFiles) -> None:
    """Refuse a corpus with fewer than `min_documents` documents."""
    if num_documents < min_documents:
        raise InputError(
            f"{files.paths[-1]}: documents up to its end: {num_documents}; expected at least {min_documents}, with "
            "an empty line between them (rows of two segments draw from another document; next_sentence=false: of one)"
        )


class _Writer:
    """Appends blocks of sentences to the three arrays."""

    def __init__(self, tokens: IO[bytes], sentence_offsets: IO[bytes], document_offsets: IO[bytes]) -> None:
        self.num_tokens = self.num_sentences = self.num_documents = 0
        self._tokens, self._sentence_offsets, self._document_offsets = tokens, sentence_offsets, document_offsets
        self._sentence_offsets.write(np.zeros(1, np.int64).tobytes())
        # A document is counted when the next one begins: only then it is known to have a sentence.
        self._document_start, self._place = 0, ""

    def add(self, block: SentenceBlock, ids: np.ndarray, lengths: np.ndarray) -> None:
        """Append the sentences of a block: `ids` of all of them, and the number of tokens of each."""
        has_tokens = lengths > 0
        sentences_before = self.num_sentences + np.cumsum(has_tokens) - has_tokens
        for index, line in zip(block.document_starts, block.start_lines, strict=True):
            self._end_document(int(sentences_before[index]))
            self._place = f"{block.path}:{line}"
        ends = self.num_tokens + np.cumsum(lengths[has_tokens])
        self._tokens.write(ids.tobytes())
        self._sentence_offsets.write(ends.tobytes())
        self.num_tokens += len(ids)
        self.num_sentences += len(ends)

    def finish(self) -> None:
        """End the last document, and wait until everything is on the disk."""
        self._end_document(self.num_sentences)
        for file in (self._tokens, self._sentence_offsets, self._document_offsets):
            file.flush()
            os.fsync(file.fileno())

    def _end_document(self, end: int) -> None:
        if self._place and end == self._document_start:
            raise InputError(f"{self._place}: a document without a single token; expected text")
        self.num_documents += bool(self._place)
        self._document_start = end
        self._document_offsets.write(np.array([end], np.int64).tobytes())


def _tokenized_blocks(files: CorpusFiles, tokenizer: Tokenizer) -> Blocks:
    """The blocks in order with their pieces; threads tokenize the next blocks meanwhile."""
    waiting: deque[tuple[SentenceBlock, Future[Pieces]]] = deque()
    with ThreadPoolExecutor(BLOCK_THREADS) as pool:
        for block in files.blocks():
            waiting.append((block, pool.submit(tokenizer.pieces, block.sentences)))
            if len(waiting) == BLOCKS_AHEAD:
                first, pieces = waiting.popleft()
                yield first, pieces.result()
        for block, pieces in waiting:
            yield block, pieces.result()


def _with_progress(blocks: Blocks, num_bytes: int) -> Blocks:
    """The blocks; now and then a log line tells the progress in bytes."""
    done, last = 0, time.monotonic()
    for block, pieces in blocks:
        yield block, pieces
        done += block.num_bytes
        if time.monotonic() - last >= SECONDS_BETWEEN_LOG_LINES:
            logger.info(f"corpus: {done / num_bytes:.0%} tokenized")
            last = time.monotonic()
