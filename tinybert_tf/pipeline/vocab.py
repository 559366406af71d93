"""`tinybert vocab`: learns a WordPiece vocabulary for the language or domain of a corpus."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from tinybert_tf.data.corpus.reader import CorpusFiles
from tinybert_tf.data.tokenizers.tokenizer import train_wordpiece
from tinybert_tf.data.tokenizers.wordpiece import CHARACTER_COVERAGE
from tinybert_tf.errors import InputError
from tinybert_tf.pipeline.runs.directory import check_can_be_made

logger = logging.getLogger(__name__)


def run_vocab(
    corpus: str | Path | Sequence[str | Path],
    size: int,
    out: str | Path,
    lowercase: bool = True,
    min_frequency: int = 2,
    character_coverage: float = CHARACTER_COVERAGE,
) -> str:
    """Learn a vocabulary from text files and write it as a tokenizer directory, as `load_tokenizer` reads it.

    The files are streamed twice, so they may be larger than memory.

    Args:
        corpus: UTF-8 text files, one sentence a line, an empty line between documents.
        size: the most tokens, special ones included; a small corpus gives fewer.
        out: a new or an empty directory.
        lowercase: whether to lowercase letters and remove accents.
        min_frequency: how often two pieces must stand together to become one piece.
        character_coverage: the fraction of the corpus's characters that the vocabulary covers, without the rarest ones.

    Returns:
        A line that describes the written tokenizer.

    Raises:
        InputError: a file cannot be used, `size` is too small for its characters, or `out` is not empty. Then nothing
            is written.
    """
    directory = Path(out)
    check_can_be_made(directory)
    if directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"out: {directory} is not empty; give a new or an empty directory.")
    if min_frequency < 1:
        raise InputError(f"min_frequency: expected an integer >= 1, got {min_frequency}")
    files = CorpusFiles.of(corpus)
    logger.info(f"vocab: reading {files.num_bytes / 1e6:,.1f} MB")
    tokenizer = train_wordpiece(files, size, lowercase, min_frequency, character_coverage)
    tokenizer.save_pretrained(directory)
    case = "lowercase" if lowercase else "cased"
    return f"{directory}: a {case} WordPiece tokenizer of {tokenizer.vocab_size:,} tokens, for {_names(files)}"


def _names(files: CorpusFiles) -> str:
    return ", ".join(path.name for path in files.paths)
