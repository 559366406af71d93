"""A plain-text corpus, read as a stream: one sentence a line, an empty line between documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinybert_tf.errors import InputError

# Characters. No sentence is longer, and the limit bounds the memory that reading takes.
LONGEST_LINE = 100_000
# Bytes read at a time: some thousand sentences, enough to keep every core of a tokenizer busy.
BLOCK_BYTES = 1 << 19
UTF8_BOM = b"\xef\xbb\xbf"
EXPECTED = "expected one sentence a line, an empty line between documents"


@dataclass
class SentenceBlock:
    """Consecutive sentences of one file, from `num_bytes` of it.

    `document_starts` are the indices of sentences that begin a document, `start_lines` their lines in the file, from 1.
    """

    path: Path
    num_bytes: int
    sentences: list[str] = field(default_factory=list)
    document_starts: list[int] = field(default_factory=list)
    start_lines: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class CorpusFiles:
    """The sentences of UTF-8 text files; every iteration reads the files anew, and holds one block of them at a time.

    A file begins a document, and so does an empty line, except at the end of a file. A line of white space counts as
    empty.

    Example:
        >>> _ = Path("corpus.txt").write_text("One.\\nTwo.\\n\\nAnother document.\\n")
        >>> list(CorpusFiles.of("corpus.txt"))
        ['One.', 'Two.', 'Another document.']

    Raises:
        InputError: (while files are read) a file does not exist, is empty or is not UTF-8 text; a document is empty; a
            line is longer than 100,000 characters.
    """

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, paths: str | Path | Sequence[str | Path]) -> CorpusFiles:
        """The corpus of one file, or of several in this order.

        Raises:
            InputError: there are no files, or a file does not exist.
        """
        files = tuple(map(Path, [paths] if isinstance(paths, str | Path) else paths))
        if not files:
            raise InputError("a corpus has no file; expected at least one text file")
        for path in files:
            if path.is_dir():
                raise InputError(f"{path}: is a directory; expected a text file")
            if not path.exists():
                raise InputError(f"{path}: no such file")
        return cls(files)

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block.sentences

    @property
    def num_bytes(self) -> int:
        """The size of all files in bytes."""
        return sum(path.stat().st_size for path in self.paths)

    def blocks(self) -> Iterator[SentenceBlock]:
        """The sentences, some thousand at a time."""
        for path in self.paths:
            yield from _sentence_blocks(path)


def _sentence_blocks(path: Path) -> Iterator[SentenceBlock]:
    empty_lines, line, num_sentences = 0, 0, 0
    for lines, num_bytes in _blocks_of_lines(path):
        block = SentenceBlock(path, num_bytes)
        for text in lines:
            line += 1
            if not text or text.isspace():
                empty_lines += 1
                continue
            if empty_lines > 1 or (empty_lines and not num_sentences):
                where = "after another one" if num_sentences else "before the first sentence"
                raise InputError(f"{path}:{line - 1}: an empty line {where} is an empty document; {EXPECTED}")
            if empty_lines or not num_sentences:
                block.document_starts.append(len(block.sentences))
                block.start_lines.append(line)
            block.sentences.append(text)
            empty_lines = 0
            num_sentences += 1
        yield block
    if not num_sentences:
        raise InputError(f"{path}: the file is empty; {EXPECTED}")


def _blocks_of_lines(path: Path) -> Iterator[tuple[list[str], int]]:
    """The decoded lines of a file, some thousand at a time, without their line ends; and their size in bytes."""
    try:
        with path.open("rb") as file:
            rest = file.read(len(UTF8_BOM)).removeprefix(UTF8_BOM)
            first_line = 1
            while content := file.read(BLOCK_BYTES):
                whole, line_end, rest = (rest + content).rpartition(b"\n")
                if line_end:
                    yield _lines(path, first_line, whole), len(whole) + 1
                    first_line += whole.count(b"\n") + 1
                if len(rest) > 4 * LONGEST_LINE:  # bytes: too long whatever its characters are
                    raise _too_long(path, first_line)
            if rest:
                yield _lines(path, first_line, rest), len(rest)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _lines(path: Path, first_line: int, content: bytes) -> list[str]:
    if b"\0" in content:
        line = first_line + content[: content.index(b"\0")].count(b"\n")
        raise InputError(f"{path}:{line}: a zero byte, so this is not a text file; expected UTF-8 text")
    try:
        # Not splitlines(): a sentence may hold a form feed or U+2028.
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        line = first_line + content[: error.start].count(b"\n")
        raise InputError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; expected UTF-8 text"
        ) from error
    if max(map(len, lines)) > LONGEST_LINE:
        index = next(index for index, text in enumerate(lines) if len(text) > LONGEST_LINE)
        raise _too_long(path, first_line + index)
    return lines


def _too_long(path: Path, line: int) -> InputError:
    return InputError(
        f"{path}:{line}: a line of more than {LONGEST_LINE:,} characters; {EXPECTED}, and at most "
        f"{LONGEST_LINE:,} characters in a sentence"
    )
