"""`tinybert augment`: writes a file of texts with copies of every text in which some words are replaced."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tinybert_tf.checkpoints.formats import resolve_model, weight_files
from tinybert_tf.data.augmentation.augmentation import Augmentation, Augmenter, candidate_tokens
from tinybert_tf.data.augmentation.glove import WordVectors
from tinybert_tf.data.text.readers import check_names, read_rows, text_columns, text_of
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.models.heads.masked_lm import MaskedLM
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.pretrained import in_precision
from tinybert_tf.pipeline.runs.callbacks import SECONDS_BETWEEN_LINES
from tinybert_tf.pipeline.runs.growing_file import GrowingFile
from tinybert_tf.pipeline.runs.log_lines import held_back
from tinybert_tf.training.devices import setup_devices

logger = logging.getLogger(__name__)

# Rows between two saved states, from which an interrupted augmentation goes on.
ROWS_PER_CHUNK = 256
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "masked_positions")
# Vocabularies are padded for the hardware to a multiple of at most this number.
LARGEST_PADDING = 128
# More rows than any file has: the random draws for a pair's second text are numbered from here.
AFTER_ALL_ROWS = 1 << 40


def run_augment(
    masked_lm: str | Path,
    input: str | Path,
    text: str,
    output: str | Path,
    glove: str | Path | None = None,
    settings: Augmentation | None = None,
    precision: str = "auto",
) -> str:
    """Write every row of a file, and after it its copies with replaced words; see `Augmenter`.

    A copy keeps the other columns of its row, the label too; in a distillation the teacher labels it. In a copy of a
    pair, words are replaced in one text only.

    `OUTPUT.partial` and `OUTPUT.state.json` hold the progress. After an interruption the same call goes on from there,
    and ends with the same file.

    Args:
        masked_lm: directory, run directory or Hub id of a model with a masked-LM head.
        input: a `.tsv`, `.csv` or `.jsonl` file.
        text: the column of the text, or the two columns of a pair with a comma between.
        output: the file to make, with the same suffix.
        glove: a file of word vectors, for words of several tokens; without it these words stay.
        settings: how words are replaced.
        precision: the precision of the masked LM, as in `setup_devices`.

    Returns:
        A line that describes the written file.

    Raises:
        InputError: a file, a column, the model or a setting cannot be used, `output` exists already, or another
            augmentation was interrupted there. Then nothing is written.
    """
    settings = settings or Augmentation()
    source, target = Path(input), Path(output)
    with held_back():
        columns, rows = _read(source, text)
        writer = _RowWriter(source, target, list(rows[0]))
        directory = resolve_model(masked_lm)
        tokenizer = load_tokenizer(masked_lm)
        fingerprint = {
            "input": _digest(source),
            "text": text,
            "masked_lm": "; ".join(_digest(file) for file in weight_files(directory)),
            "glove": None if glove is None else _digest(Path(glove)),
            "tokenizer": tokenizer.fingerprint,
            "precision": setup_devices(precision).choice.precision,  # `auto` differs between machines
            **asdict(settings),
        }
        progress = GrowingFile(target, fingerprint)
        vectors = None if glove is None else WordVectors(glove)
        model = load_masked_lm(masked_lm, tokenizer, settings)
        predict = PredictMasked(model, tokenizer, settings.candidates)
        if vectors is None:
            logger.info("augment: without --glove, words of several pieces stay as they are")
    nearest = None if vectors is None else lambda words: vectors.nearest(words, settings.candidates)
    augmenter = Augmenter(tokenizer, predict, nearest, settings)
    last_line = time.monotonic()
    with progress.begin(writer.header()):
        for start in range(progress.rows, len(rows), ROWS_PER_CHUNK):
            chunk = rows[start : start + ROWS_PER_CHUNK]
            progress.add(len(chunk), [writer.row(row) for row in _augmented(augmenter, chunk, columns, start)])
            if time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                line = f"[augment] {progress.rows:,} of {len(rows):,} rows, {progress.written:,} written"
                print(line, file=sys.stderr, flush=True)
        progress.end()
    written = progress.written
    return f"{target}: {written:,} rows, {written / len(rows):.1f} for each of {len(rows):,}"


class PredictMasked:
    """Predicts a masked LM's likeliest whole words at masked places; compiled once for all shapes.

    Args:
        model: the masked LM.
        tokenizer: the model's tokenizer.
        count: number of words for each place.

    Raises:
        InputError: the vocabulary has fewer words than `count`.
    """

    def __init__(self, model: MaskedLM, tokenizer: Tokenizer, count: int) -> None:
        tokens = np.flatnonzero(candidate_tokens(tokenizer))
        if count > len(tokens):
            raise InputError(f"candidates={count}: expected at most the vocabulary's {len(tokens)} whole words.")
        self._model = model
        self._count = count
        self._tokens = tokens
        # The decoder's columns of whole words, transposed once: the decoder transposes the whole table in each call.
        self._table = ops.transpose(ops.cast(ops.take(model.word_embeddings, tokens, axis=0), model.compute_dtype))
        self._bias = ops.cast(ops.take(model.decoder.bias, tokens), model.compute_dtype)
        shape = tf.TensorSpec([None, None], tf.int32)
        self._compiled = tf.function(self._likeliest, input_signature=[dict.fromkeys(INPUTS, shape)])

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return token ids, `(batch, count)`; `inputs` are those of `PredictTokens` in `data/augmentation/`."""
        best = self._compiled({name: tf.constant(inputs[name]) for name in INPUTS})
        return self._tokens[np.asarray(best)]

    def _likeliest(self, inputs: Mapping[str, Any]) -> Any:
        hidden = self._model.decoded_at(inputs)[:, 0]
        return ops.top_k(ops.cast(ops.matmul(hidden, self._table) + self._bias, "float32"), self._count)[1]


def load_masked_lm(directory: str | Path, tokenizer: Tokenizer, settings: Augmentation) -> MaskedLM:
    """Load the masked LM of a directory, in the global precision.

    Raises:
        InputError: it has no masked-LM head, its vocabulary is not its tokenizer's, or the settings' inputs are too
            long or have too many segments for it.
    """
    model = MaskedLM.from_pretrained(directory, dtype="float32")
    missing = model.load_report.missing if model.load_report is not None else ()
    if missing:
        raise InputError(
            f"{directory} has no masked-LM head ({missing[0]} is missing): it cannot predict words. Train a head: "
            f"tinybert pretrain --model {directory} --corpus FILE --head-only --out RUN"
        )
    check_limits(model.config, tokenizer.vocab_size, settings.max_length, directory)
    if model.config.vocab_size - tokenizer.vocab_size >= LARGEST_PADDING:
        raise InputError(
            f"{directory}: the tokenizer has {tokenizer.vocab_size} tokens, the model has vocab_size="
            f"{model.config.vocab_size}; they do not belong together."
        )
    if settings.variant == "authors" and model.config.type_vocab_size < 2:
        raise InputError(f"variant='authors' has two segments, {directory} has type_vocab_size=1; use 'paper'")
    return in_precision(model, keras.config.dtype_policy().compute_dtype)


def _augmented(
    augmenter: Augmenter, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], first_row: int
) -> Iterator[Mapping[str, Any]]:
    """Yield each row, and after it its copies, which differ from it in one of the columns."""
    copies = [
        augmenter.augment([str(row[column]) for row in rows], first_row + number * AFTER_ALL_ROWS)
        for number, column in enumerate(columns)
    ]
    for place, row in enumerate(rows):
        yield row
        for column, of_column in zip(columns, copies, strict=True):
            for text in of_column[place]:
                yield {**row, column: text}


def _read(source: Path, text: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Read the text columns' names and all rows; refuse a row without a text in one of the columns."""
    found = read_rows(source)
    columns = text_columns(text, found.names)
    check_names(source, columns, found.names)
    rows = []
    for line, row in found.rows:
        for column in columns:
            text_of(source, line, column, row, may_be_empty=False)
        rows.append(row)
    return columns, rows


class _RowWriter:
    """Formats rows as lines of the output file: `.tsv`, `.csv` or `.jsonl`, as the input."""

    def __init__(self, source: Path, target: Path, names: list[str]) -> None:
        suffix = source.suffix.lower()
        if target.suffix.lower() != suffix:
            raise InputError(f"{target}: expected a name that ends in {suffix}, as the input's does")
        self._names = names
        self._line: Callable[[list[Any]], str] = _csv_line if suffix == ".csv" else "\t".join
        self._is_json = suffix == ".jsonl"

    def header(self) -> str:
        """Return the header line, or an empty text if the format has none."""
        return "" if self._is_json else self._line(self._names) + "\n"

    def row(self, row: Mapping[str, Any]) -> str:
        """Return a row's line."""
        if self._is_json:
            return json.dumps(row, ensure_ascii=False) + "\n"
        return self._line([row[name] for name in self._names]) + "\n"


def _csv_line(fields: list[Any]) -> str:
    line = io.StringIO()
    # With this terminator, fields that contain one of its characters are quoted.
    csv.writer(line, lineterminator="\r\n").writerow(fields)
    return line.getvalue().removesuffix("\r\n")


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
