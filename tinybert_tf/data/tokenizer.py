"""Text to token ids: a thin wrapper over the `tokenizers` library, and the flat arrays the ids live in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.errors import InputError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
# What tokenizer_config.json calls a setting, and what BertNormalizer calls it.
NORMALIZER_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
DEFAULT_MODEL_MAX_LENGTH = 512
# Rows tokenized at a time: the library's `Encoding` objects are large, the flat arrays they become are not.
ROWS_PER_CHUNK = 4096


@dataclass(frozen=True)
class TokenizedTexts:
    """Token ids of many texts in flat arrays, so that they can be memory-mapped.

    `input_ids` (int32) and `token_type_ids` (int8) hold all rows one after the other; row `i` is
    `offsets[i]:offsets[i + 1]` (`offsets`: int64, `(rows + 1,)`). `num_truncated` counts the rows that were longer
    than the `max_length` they were cut at.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    offsets: np.ndarray
    num_truncated: int = 0

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each row, `(rows,)` int64, special tokens included."""
        return np.diff(self.offsets)

    def padded(self, rows: Sequence[int] | np.ndarray, pad_token_id: int) -> dict[str, np.ndarray]:
        """`input_ids`, `attention_mask`, `token_type_ids` of `rows`, each `(len(rows), longest)` int32."""
        starts = self.offsets[rows]
        lengths = self.offsets[np.asarray(rows) + 1] - starts
        columns = np.arange(lengths.max(initial=0))
        is_token = columns < lengths[:, None]
        positions = (starts[:, None] + columns)[is_token]
        input_ids = np.full(is_token.shape, pad_token_id, np.int32)
        token_type_ids = np.zeros(is_token.shape, np.int32)
        input_ids[is_token] = self.input_ids[positions]
        token_type_ids[is_token] = self.token_type_ids[positions]
        return {
            "input_ids": input_ids,
            "attention_mask": is_token.astype(np.int32),
            "token_type_ids": token_type_ids,
        }


class Tokenizer:
    """A BERT tokenizer: texts or pairs of texts to ids, `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.

    Made by `load_tokenizer`, `as_tokenizer` or `train_wordpiece`. Padding and truncation that a `tokenizer.json` has
    switched on are saved again with it, and have no effect on `encode`.

    Example:
        >>> tokenizer = train_wordpiece(["a fine film", "a dull film"], vocab_size=100, min_frequency=1)
        >>> tokenizer.encode(["a fine film"]).input_ids.tolist() == [
        ...     tokenizer.vocabulary()[token] for token in ("[CLS]", "a", "fine", "film", "[SEP]")
        ... ]
        True
    """

    def __init__(self, backend: tokenizers.Tokenizer, settings: dict[str, Any] | None = None) -> None:
        settings = settings or {}
        special_tokens = {role: _token_text(settings.get(role) or default) for role, default in SPECIAL_TOKENS.items()}
        self._serialized = backend.to_str()
        self._settings = {**settings, **special_tokens}
        self._special_tokens = special_tokens
        self._backend = tokenizers.Tokenizer.from_str(self._serialized)
        self._backend.no_padding()
        self._backend.no_truncation()
        self._vocabulary: dict[str, int] = self._backend.get_vocab(with_added_tokens=True)
        for role in ("pad_token", "cls_token", "sep_token"):
            if special_tokens[role] not in self._vocabulary:
                raise InputError(
                    f"the tokenizer has no {role}: {special_tokens[role]!r} is not among its {len(self._vocabulary)} "
                    "tokens; a BERT vocabulary with [PAD], [UNK], [CLS], [SEP] and [MASK] is accepted"
                )
        self.pad_token_id: int = self._vocabulary[special_tokens["pad_token"]]

    @property
    def vocab_size(self) -> int:
        """Rows an embedding table needs: the highest id, plus one."""
        return max(self._vocabulary.values()) + 1

    def vocabulary(self) -> dict[str, int]:
        """Token to id, special tokens included."""
        return dict(self._vocabulary)

    def encode(self, texts: Sequence[str | tuple[str, str]], max_length: int = 128) -> TokenizedTexts:
        """Ids of `texts`, cut at `max_length` tokens (special tokens included), the longer text of a pair first.

        Raises:
            InputError: `max_length` leaves no room for text beside the special tokens.
        """
        rows = [text if isinstance(text, str) else tuple(text) for text in texts]
        has_pairs = any(isinstance(row, tuple) for row in rows)
        smallest = self._backend.num_special_tokens_to_add(has_pairs) + 1 + has_pairs
        if max_length < smallest:
            raise InputError(f"max_length={max_length} leaves no room for text; at least {smallest} is accepted")
        self._backend.enable_truncation(max_length, strategy="longest_first")
        chunks = [rows[start : start + ROWS_PER_CHUNK] for start in range(0, len(rows), ROWS_PER_CHUNK)] or [[]]
        parts = [_flatten(self._backend.encode_batch(chunk)) for chunk in chunks]
        input_ids, token_type_ids, lengths, is_truncated = (np.concatenate(part) for part in zip(*parts, strict=True))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return TokenizedTexts(input_ids, token_type_ids, offsets, int(is_truncated.sum()))

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the files that `load_tokenizer` and `transformers.AutoTokenizer.from_pretrained` read.

        `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and `vocab.txt` (a line is a token, its
        number the id).
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        config = {
            "tokenizer_class": "BertTokenizer",
            "model_max_length": DEFAULT_MODEL_MAX_LENGTH,
            **self._settings,
            **_normalizer_settings(self._backend),
        }
        token_of = {token_id: token for token, token_id in self._vocabulary.items()}
        # An id without a token (a vocabulary that names a token twice) keeps its line, or every later id would move.
        lines = [token_of.get(token_id, f"[unused-id-{token_id}]") for token_id in range(self.vocab_size)]
        contents = {
            "tokenizer.json": json.dumps(json.loads(self._serialized), ensure_ascii=False, indent=2),
            "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True),
            "special_tokens_map.json": json.dumps(self._special_tokens, ensure_ascii=False, indent=2),
            "vocab.txt": "\n".join(lines),
        }
        for name, content in contents.items():
            (directory / name).write_text(content + "\n", encoding="utf-8", newline="\n")


def load_tokenizer(path_or_hub_id: str | Path) -> Tokenizer:
    """The tokenizer of a Hugging Face directory or Hub repository: `tokenizer.json`, else `vocab.txt`.

    `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` of `tokenizer_config.json` win over what
    `tokenizer.json` says, as they do in transformers.

    Raises:
        InputError: no such directory, no tokenizer files in it, or files that cannot be read.
    """
    directory = resolve_directory(path_or_hub_id, allow_patterns=TOKENIZER_FILES)
    config_path, json_path, vocab_path = (
        directory / name for name in ("tokenizer_config.json", "tokenizer.json", "vocab.txt")
    )
    settings = _read_json_object(config_path) if config_path.is_file() else {}
    if json_path.is_file():
        try:
            backend = tokenizers.Tokenizer.from_file(str(json_path))
        except Exception as error:  # the library raises bare `Exception`
            raise InputError(f"{json_path}: not a tokenizer.json of the tokenizers library ({error})") from error
        if isinstance(backend.normalizer, normalizers.BertNormalizer):
            backend.normalizer = _normalizer({**_normalizer_settings(backend), **settings})
        return Tokenizer(backend, settings)
    if vocab_path.is_file():
        return Tokenizer(_wordpiece(_read_vocabulary(vocab_path), settings), settings)
    raise InputError(f"{directory}: no tokenizer here; tokenizer.json or vocab.txt is accepted")


def as_tokenizer(tokenizer: Any) -> Tokenizer:
    """Our `Tokenizer` for one of ours or a Hugging Face fast tokenizer.

    Raises:
        InputError: it is neither, for instance a slow tokenizer or a path.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(
            f"a {type(tokenizer).__name__} is not a tokenizer; tinybert_tf.load_tokenizer(...) or a fast tokenizer of "
            "transformers is accepted"
        )
    special_tokens = {role: getattr(tokenizer, role, None) for role in SPECIAL_TOKENS}
    return Tokenizer(
        backend,
        {
            "model_max_length": tokenizer.model_max_length,
            **{role: str(token) for role, token in special_tokens.items() if token is not None},
        },
    )


def train_wordpiece(texts: Iterable[str], vocab_size: int, lowercase: bool = True, min_frequency: int = 2) -> Tokenizer:
    """A BERT WordPiece tokenizer learned from `texts`: `[PAD]` = 0, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]`, then the rest.

    The same texts give the same vocabulary, of at most `vocab_size` tokens; a pair of pieces is joined when it occurs
    `min_frequency` times.

    Raises:
        InputError: `vocab_size` is too small for the special tokens and the characters of `texts`, or there is no text.
    """
    texts = list(texts)
    special_tokens = list(SPECIAL_TOKENS.values())
    backend = _wordpiece({}, {"do_lower_case": lowercase})
    words = {
        word
        for text in texts
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
    }
    if not words:
        raise InputError("a vocabulary cannot be learned from texts without a single word")
    # The trainer numbers the "##x" pieces in the order of a randomly seeded hash table; naming them first fixes it.
    continuations = sorted({f"##{character}" for word in words for character in word[1:]})
    smallest = len(special_tokens) + len(continuations) + len({character for word in words for character in word})
    if vocab_size < smallest:
        raise InputError(
            f"vocab_size={vocab_size} is too small for the characters of these texts; at least {smallest} is accepted"
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=special_tokens + continuations,
        show_progress=False,
    )
    learner = _wordpiece({}, {"do_lower_case": lowercase})
    learner.train_from_iterator(texts, trainer)
    return Tokenizer(_wordpiece(learner.get_vocab(), {"do_lower_case": lowercase}))


def _wordpiece(vocabulary: dict[str, int], settings: dict[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer of `google-research/bert` over `vocabulary`."""
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = _normalizer(settings)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    if vocabulary:
        backend.add_special_tokens([token for token in SPECIAL_TOKENS.values() if token in vocabulary])
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0",
            pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
            special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
        )
    return backend


def _normalizer(settings: dict[str, Any]) -> normalizers.BertNormalizer:
    given = {theirs: settings[ours] for ours, theirs in NORMALIZER_SETTINGS.items() if ours in settings}
    return normalizers.BertNormalizer(**given)


def _normalizer_settings(backend: tokenizers.Tokenizer) -> dict[str, Any]:
    if not isinstance(backend.normalizer, normalizers.BertNormalizer):
        return {}
    return {ours: getattr(backend.normalizer, theirs) for ours, theirs in NORMALIZER_SETTINGS.items()}


def _token_text(token: Any) -> str:
    """A special token as `tokenizer_config.json` writes it: the text, or an object with its `content`."""
    return token["content"] if isinstance(token, dict) else str(token)


def _read_json_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a JSON object is accepted, found a {type(content).__name__}")
    return content


def _read_vocabulary(path: Path) -> dict[str, int]:
    try:
        # Not splitlines(): multilingual vocabularies hold separators such as U+2028 as tokens.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as UTF-8 text ({error})") from error
    vocabulary = {line.rstrip("\r"): token_id for token_id, line in enumerate(lines)}
    missing = [token for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if token not in vocabulary]
    if missing:
        raise InputError(f"{path}: a BERT vocabulary has one token a line and holds {', '.join(missing)}; not found")
    return vocabulary


def _flatten(encodings: list[tokenizers.Encoding]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ids and token types of all rows one after the other; each row's length, and whether it was cut."""
    return (
        np.array([token_id for encoding in encodings for token_id in encoding.ids], np.int32),
        np.array([type_id for encoding in encodings for type_id in encoding.type_ids], np.int8),
        np.array([len(encoding) for encoding in encodings], np.int64),
        # `overflowing` is what was cut off: not empty means that the whole row is longer than max_length.
        np.array([bool(encoding.overflowing) for encoding in encodings], np.bool_),
    )
