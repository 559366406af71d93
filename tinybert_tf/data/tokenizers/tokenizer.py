"""Text to token ids: a thin wrapper over the `tokenizers` library."""

from __future__ import annotations

import array
import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import models

from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.data.tokenizers.added_tokens import token_text
from tinybert_tf.data.tokenizers.byte_level_bpe import (
    ROBERTA_SPECIAL_TOKENS,
    prefix_settings,
    vocabulary_files,
)
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.data.tokenizers.tokenizer_files import (
    MODEL_CONFIG,
    SIDES,
    TOKENIZER_FILES,
    check_encodes,
    read_tokenizer,
)
from tinybert_tf.data.tokenizers.wordpiece import (
    CHARACTER_COVERAGE,
    SPECIAL_TOKENS,
    learn_vocabulary,
    normalizer_settings,
    set_special_tokens,
    vocabulary_lines,
    wordpiece_backend,
)
from tinybert_tf.errors import InputError
from tinybert_tf.short_repr import short_repr

DEFAULT_MODEL_MAX_LENGTH = 512
# Rows tokenized at a time: the library's `Encoding` objects are large, the flat arrays they become are not.
ROWS_PER_CHUNK = 4096


class Tokenizer:
    """A tokenizer of BERT or RoBERTa: from texts, or pairs of them, to ids (`[CLS] a [SEP]`, `[CLS] a [SEP] b [SEP]`).

    Made by `load_tokenizer`, `as_tokenizer` or `train_wordpiece`. Padding and truncation that a `tokenizer.json` has
    switched on are saved again with it, and have no effect on `encode`. Threads may share one.

    Example:
        >>> tokenizer = train_wordpiece(["a fine film", "a dull film"], vocab_size=100, min_frequency=1)
        >>> tokenizer.encode(["a fine film"]).input_ids.tolist() == [
        ...     tokenizer.vocabulary()[token] for token in ("[CLS]", "a", "fine", "film", "[SEP]")
        ... ]
        True
    """

    def __init__(self, backend: tokenizers.Tokenizer, settings: dict[str, Any] | None = None) -> None:
        settings = settings or {}
        defaults = ROBERTA_SPECIAL_TOKENS if isinstance(backend.model, models.BPE) else SPECIAL_TOKENS
        special_tokens = {role: token_text(settings.get(role) or default) for role, default in defaults.items()}
        self._serialized = backend.to_str()
        self._settings = {**settings, **special_tokens}
        self._special_tokens = special_tokens
        own_truncation = backend.truncation or {}
        self._truncation_side = settings.get("truncation_side") or own_truncation.get("direction", SIDES[0])
        self._backend = tokenizers.Tokenizer.from_str(self._serialized)
        self._backend.no_padding()
        self._backend.no_truncation()
        self._turn = threading.Lock()
        self._vocabulary: dict[str, int] = self._backend.get_vocab(with_added_tokens=True)
        for role in ("pad_token", "cls_token", "sep_token"):
            if special_tokens[role] not in self._vocabulary:
                raise InputError(
                    f"the tokenizer has no {role}: {special_tokens[role]!r} is not among its {len(self._vocabulary)} "
                    f"tokens; expected a vocabulary with {', '.join(defaults.values())}"
                )
        self.pad_token_id, self.cls_token_id, self.sep_token_id = (
            self._vocabulary[special_tokens[role]] for role in ("pad_token", "cls_token", "sep_token")
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (tokenizers.Tokenizer.from_str(self._serialized), self._settings)  # a lock cannot be copied

    def __repr__(self) -> str:
        return short_repr(self, vocab_size=self.vocab_size, pad_token_id=self.pad_token_id)

    @cached_property
    def vocab_size(self) -> int:
        """The number of rows that an embedding table needs: the highest id plus one."""
        return max(self._vocabulary.values()) + 1

    @property
    def mask_token_id(self) -> int:
        """The id of `[MASK]`.

        Raises:
            InputError: the vocabulary has no mask token.
        """
        token = self._special_tokens["mask_token"]
        if token not in self._vocabulary:
            raise InputError(f"the tokenizer has no mask_token: {token!r} is not in its vocabulary; masking needs one")
        return self._vocabulary[token]

    def vocabulary(self) -> dict[str, int]:
        """The id of each token, special tokens included."""
        return dict(self._vocabulary)

    def special_token_ids(self) -> list[int]:
        """The ids of tokens that are not pieces of a text: `[PAD]`, `[UNK]`, `[CLS]`, ..., and added special tokens."""
        added = [token_id for token_id, token in self._backend.get_added_tokens_decoder().items() if token.special]
        roles = [self._vocabulary[token] for token in self._special_tokens.values() if token in self._vocabulary]
        return sorted({*added, *roles})

    def continuation_ids(self) -> list[int]:
        """The ids of pieces that continue a word, such as `##s`.

        Raises:
            InputError: the tokenizer is not a WordPiece one.
        """
        self.require_wordpiece()
        prefix = self._backend.model.continuing_subword_prefix
        return sorted(token_id for token, token_id in self._vocabulary.items() if token.startswith(prefix))

    def require_wordpiece(self) -> None:
        """Raise an `InputError` unless the tokenizer is a WordPiece one, whose pieces tell where a word begins."""
        if not isinstance(self._backend.model, models.WordPiece):
            kind = type(self._backend.model).__name__
            raise InputError(f"a {kind} tokenizer does not say which pieces are one word; expected a WordPiece one")

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 hash of everything that decides a text's ids; saving and loading do not change it."""
        parts = json.loads(self._serialized)
        decisive = {name: parts[name] for name in ("normalizer", "pre_tokenizer", "model", "added_tokens")}
        decisive["truncation_side"] = self._truncation_side
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def encode(self, texts: Sequence[str | tuple[str, str]], max_length: int = 128) -> TokenizedTexts:
        """Ids of `texts`, cut at `max_length` tokens (special tokens included), the longer text of a pair first.

        A text loses its end, or, with `truncation_side: left` in `tokenizer_config.json`, its beginning.

        Raises:
            InputError: `max_length` leaves no room for text beside the special tokens.
        """
        rows = [text if isinstance(text, str) else tuple(text) for text in texts]
        has_pairs = any(isinstance(row, tuple) for row in rows)
        smallest = self._backend.num_special_tokens_to_add(has_pairs) + 1 + has_pairs
        if max_length < smallest:
            raise InputError(f"max_length={max_length} leaves no room for text; expected at least {smallest}")
        return TokenizedTexts.of(self.encodings(rows, max_length))

    def encodings(
        self, rows: Sequence[Any], max_length: int, words: bool = False
    ) -> Iterator[list[tokenizers.Encoding]]:
        """The library's encodings of rows, cut at `max_length`, in chunks; `words`: rows are lists of words."""
        for start in range(0, max(len(rows), 1), ROWS_PER_CHUNK):
            with self._turn:  # the backend holds the length: another thread could change it meanwhile
                self._backend.enable_truncation(max_length, strategy="longest_first", direction=self._truncation_side)
                encodings = self._backend.encode_batch(rows[start : start + ROWS_PER_CHUNK], is_pretokenized=words)
            yield encodings

    @property
    def piece_dtype(self) -> np.dtype:
        """The smaller of uint16 and int32 that holds every id."""
        return np.dtype(np.uint16 if self.vocab_size <= 1 << 16 else np.int32)

    def pieces(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all `texts`, one after the other, without special tokens, and the number of tokens of each (int64).

        Nothing is cut. `[SEP]` and its like in a text are text here: pieces such as `[`, `sep`, `]`. Python's lock is
        free while the library works, so threads can take turns with it.
        """
        ids, lengths = array.array(self.piece_dtype.char), array.array("q")
        for encoding in self._verbatim_backend.encode_batch_fast(texts, add_special_tokens=False):
            row = encoding.ids
            ids.fromlist(row)
            lengths.append(len(row))
        return np.frombuffer(ids, self.piece_dtype), np.frombuffer(lengths, np.int64)

    def words(self, text: str) -> tuple[list[int], list[tuple[int, int, int, int]]]:
        """The ids of a text without special tokens, and for each word `(start, end, token, pieces)`.

        A word is `text[start:end]`, and its ids are `ids[token : token + pieces]`.
        """
        encoding = self._verbatim_backend.encode(text, add_special_tokens=False)
        words: list[tuple[int, int, int, int]] = []
        for token, ((start, end), word) in enumerate(zip(encoding.offsets, encoding.word_ids, strict=True)):
            if token and word == encoding.word_ids[token - 1]:
                first, _, begin, pieces = words[-1]
                words[-1] = (first, end, begin, pieces + 1)
            else:
                words.append((start, end, token, 1))
        return encoding.ids, words

    def pieces_and_spans(self, texts: Sequence[str]) -> list[tuple[list[int], np.ndarray]]:
        """The ids of each text, as `pieces` has them, and each token's first and end character, `(tokens, 2)`."""
        encodings = self._verbatim_backend.encode_batch(list(texts), add_special_tokens=False)
        return [(encoding.ids, np.array(encoding.offsets, np.int32).reshape(-1, 2)) for encoding in encodings]

    @cached_property
    def _verbatim_backend(self) -> tokenizers.Tokenizer:
        backend = tokenizers.Tokenizer.from_str(self._serialized)
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = True
        return backend

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the files that `load_tokenizer` and `transformers.AutoTokenizer.from_pretrained` read.

        `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and `vocab.txt` (a line is a token, its
        number the id), or for a BPE `vocab.json` and `merges.txt`.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        config = {
            "tokenizer_class": "RobertaTokenizer" if self._is_bpe else "BertTokenizer",
            "model_max_length": DEFAULT_MODEL_MAX_LENGTH,
            **self._settings,
            **normalizer_settings(self._backend),
            **prefix_settings(self._backend),
        }
        contents = {
            "tokenizer.json": json.dumps(json.loads(self._serialized), ensure_ascii=False, indent=2),
            "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True),
            "special_tokens_map.json": json.dumps(self._special_tokens, ensure_ascii=False, indent=2),
            **(vocabulary_files(self._backend) if self._is_bpe else {"vocab.txt": vocabulary_lines(self._vocabulary)}),
        }
        for name, content in contents.items():
            (directory / name).write_text(content + "\n", encoding="utf-8", newline="\n")

    @property
    def _is_bpe(self) -> bool:
        return isinstance(self._backend.model, models.BPE)


def load_tokenizer(path_or_hub_id: str | Path) -> Tokenizer:
    """The tokenizer of a Hugging Face directory or Hub repository, from the first of these files that are there.

    `tokenizer.json`; `vocab.txt` (WordPiece); `vocab.json` and `merges.txt` (RoBERTa's byte-level BPE).

    As in transformers, `do_lower_case`, `strip_accents`, `tokenize_chinese_chars` and `add_prefix_space` of
    `tokenizer_config.json` override `tokenizer.json` if `tokenizer_class` is one that has these settings; texts are cut
    at their `truncation_side`; and the tokens of `added_tokens_decoder`, `additional_special_tokens`,
    `special_tokens_map.json` and `added_tokens.json` are added. Unlike in transformers, a `vocab.txt` without
    `do_lower_case` is cased if its words are, and a `tokenizer.json` keeps its own normalizer unless a setting differs.

    Raises:
        InputError: there is no such directory, it has no tokenizer files, a file cannot be read, or `tokenizer_class`
            does something else with the files, as `BertJapaneseTokenizer` does.
    """
    directory = resolve_directory(path_or_hub_id, allow_patterns=(*TOKENIZER_FILES, MODEL_CONFIG))
    try:
        tokenizer = Tokenizer(*read_tokenizer(directory))
        check_encodes(tokenizer._backend)
    except InputError as error:
        raise InputError(str(error) if str(directory) in str(error) else f"{directory}: {error}") from error
    return tokenizer


def as_tokenizer(tokenizer: Any) -> Tokenizer:
    """A `Tokenizer` from a `Tokenizer` or a fast tokenizer of Hugging Face.

    Raises:
        InputError: it is neither, for instance a slow tokenizer or a path.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(
            f"a {type(tokenizer).__name__} is not a tokenizer; expected tinybert_tf.load_tokenizer(...) or a fast "
            "tokenizer of transformers"
        )
    special_tokens = {role: getattr(tokenizer, role, None) for role in SPECIAL_TOKENS}
    named = {role: str(token) for role, token in special_tokens.items() if token is not None}
    settings = {"model_max_length": tokenizer.model_max_length, "truncation_side": tokenizer.truncation_side}
    return Tokenizer(backend, {**settings, **named})


def train_wordpiece(
    texts: Iterable[str],
    vocab_size: int,
    lowercase: bool = True,
    min_frequency: int = 2,
    character_coverage: float = CHARACTER_COVERAGE,
) -> Tokenizer:
    """Learn a BERT WordPiece tokenizer from texts; its first ids are `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]`.

    The same texts give the same vocabulary, of at most `vocab_size` tokens. Two pieces are joined if they stand
    together at least `min_frequency` times. The most frequent characters that make up `character_coverage` of the texts
    are in the vocabulary; words with a rarer one are `[UNK]`.

    Raises:
        InputError: `vocab_size` is too small for the special tokens and the other characters, or there is no text.
    """
    vocabulary = learn_vocabulary(texts, vocab_size, lowercase, min_frequency, character_coverage)
    backend = wordpiece_backend(vocabulary, {"do_lower_case": lowercase})
    set_special_tokens(backend, {})
    return Tokenizer(backend)
