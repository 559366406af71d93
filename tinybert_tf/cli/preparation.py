"""`augment`, `vocab` and `quickstart`: prepare data and a vocabulary, or run everything at once."""

from __future__ import annotations

import argparse

from tinybert_tf.cli.flags import BATCH_SIZE, MAX_LENGTH, PRECISION, SEED, TEXT, integer, number
from tinybert_tf.cli.tensorflow import import_tensorflow
from tinybert_tf.cli.verb import Flag, Verb


def _augment(arguments: argparse.Namespace) -> None:
    from tinybert_tf.data.text.readers import check_columns
    from tinybert_tf.pipeline.first_look import look_at_file, look_at_model

    check_columns(arguments.input, arguments.text)
    look_at_file(arguments.glove)
    look_at_model(arguments.masked_lm)
    import_tensorflow()
    from tinybert_tf.data.augmentation.augmentation import Augmentation
    from tinybert_tf.pipeline.augment import run_augment

    settings = Augmentation(**{flag.attribute: getattr(arguments, flag.attribute) for flag in AUGMENTATION})
    files = arguments.masked_lm, arguments.input, arguments.text, arguments.output, arguments.glove
    print(run_augment(*files, settings=settings, precision=arguments.precision))


def _vocab(arguments: argparse.Namespace) -> None:
    from tinybert_tf.pipeline.vocab import run_vocab

    learning = arguments.min_frequency, arguments.character_coverage
    print(run_vocab(arguments.corpus, arguments.size, arguments.out, not arguments.cased, *learning))


def _quickstart(arguments: argparse.Namespace) -> None:
    import_tensorflow()
    from tinybert_tf.pipeline.quickstart import run_quickstart

    print(run_quickstart(arguments.out, arguments.seed))


# The fields of `Augmentation`. Its defaults are written out so that `--help` does not import it; a test compares them.
AUGMENTATION = (
    Flag("--variant", "NAME", "what the masked LM sees: `paper`, the text with a word masked, or `authors`, that and "
         "the whole text after it", default="paper"),
    Flag("--copies", "N", "copies of each text; of a pair, of each side", default=20, type=integer(1)),
    Flag("--replace-probability", "P", "fraction of the words that are replaced in a copy", default=0.4, type=number),
    Flag("--candidates", "K", "words that one can be replaced by", default=15, type=integer(1)),
    MAX_LENGTH.but(default=128),
    BATCH_SIZE.but(help="masked words that are computed together", default=64),
    SEED,
)  # fmt: skip
AUGMENT = Verb(
    "augment",
    "write copies of texts with words replaced by a masked LM's, for the teacher to label",
    (
        Flag("--masked-lm", "DIR", "model with a masked-LM head, or a Hub id", required=True),
        Flag("--glove", "F", "word vectors, for the words that are not one token", otherwise="none; they stay"),
        Flag("--input", "F", "file of texts: .tsv, .csv or .jsonl", required=True),
        TEXT.but(required=True, otherwise=""),
        Flag("--output", "F", "file to make", required=True),
        PRECISION,
        *AUGMENTATION,
    ),
    _augment,
)
VOCAB = Verb(
    "vocab",
    "learn a WordPiece vocabulary for the language or domain of a corpus",
    (
        Flag("--corpus", "F", "text files: a sentence a line, an empty line between documents", required=True,
             nargs="+"),
        Flag("--size", "N", "tokens at most, special tokens included", required=True, type=integer(1)),
        Flag("--out", "DIR", "tokenizer directory to make", required=True),
        Flag("--cased", None, "keep case and accents; otherwise text is lowercased and accents are removed"),
        Flag("--min-frequency", "N", "times that two pieces must stand together to become one", default=2,
             type=integer(1)),
        Flag("--character-coverage", "F", "fraction of the corpus's characters to keep; the rarest become [UNK]",
             default=0.9995, type=number),
    ),
    _vocab,
)  # fmt: skip
QUICKSTART = Verb(
    "quickstart",
    "make a distilled student from nothing, offline, in minutes",
    (Flag("--out", "DIR", "directory to make", default="quickstart"), SEED),
    _quickstart,
)
