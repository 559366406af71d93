"""BERT's WordPiece, built with the `tokenizers` library, and its vocabulary, learned from texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from tinybert_tf.data.tokenizers.added_tokens import token_text
from tinybert_tf.errors import InputError

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
# The names of settings in tokenizer_config.json and in BertNormalizer.
NORMALIZER_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
CONTINUATION_PREFIX = "##"
# SentencePiece's default, arXiv 1808.06226: texts may have thousands of characters that hardly occur.
CHARACTER_COVERAGE = 0.9995


def wordpiece_backend(vocabulary: dict[str, int], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer of `google-research/bert` over `vocabulary`; `settings` as in `tokenizer_config.json`.

    If these do not decide whether texts are lowercased, the vocabulary does: see `is_cased`.
    """
    unknown = special_tokens(settings)["unk_token"]
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=100))
    backend.normalizer = bert_normalizer({"do_lower_case": not is_cased(vocabulary), **settings})
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=CONTINUATION_PREFIX)
    return backend


def special_tokens(settings: Mapping[str, Any]) -> dict[str, str]:
    """The token of each role that BERT has, by the name in `settings` or else BERT's."""
    return {role: token_text(settings.get(role) or default) for role, default in SPECIAL_TOKENS.items()}


def set_special_tokens(backend: tokenizers.Tokenizer, settings: Mapping[str, Any], path: Path | None = None) -> None:
    """Register the special tokens, and put them around texts: `[CLS] a [SEP]`, `[CLS] a [SEP] b [SEP]`.

    Raises:
        InputError: the vocabulary, read from `path`, lacks a token that BERT needs.
    """
    tokens, known = special_tokens(settings), backend.get_vocab(with_added_tokens=True)
    missing = [token for role, token in tokens.items() if token not in known and role != "mask_token"]
    if missing:
        raise InputError(f"{path}: a BERT vocabulary has one token a line and holds {', '.join(missing)}; not found")
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    backend.add_special_tokens([token for token in tokens.values() if token in known and token not in added])
    cls, sep = (f"{tokens[role]}:0" for role in ("cls_token", "sep_token"))
    backend.post_processor = processors.TemplateProcessing(
        single=[cls, "$A:0", sep],
        pair=[cls, "$A:0", sep, "$B:1", f"{sep.removesuffix(':0')}:1"],
        special_tokens=[(tokens[role], known[tokens[role]]) for role in ("cls_token", "sep_token")],
    )


def bert_normalizer(settings: dict[str, Any]) -> normalizers.BertNormalizer:
    """The normalizer that `settings` (of `tokenizer_config.json`) ask for; without settings BERT's default."""
    given = {theirs: settings[ours] for ours, theirs in NORMALIZER_SETTINGS.items() if ours in settings}
    return normalizers.BertNormalizer(**given)


def normalizer_settings(backend: tokenizers.Tokenizer) -> dict[str, Any]:
    """The settings of a backend's normalizer, as `tokenizer_config.json` names them; empty unless it is BERT's."""
    if not isinstance(backend.normalizer, normalizers.BertNormalizer):
        return {}
    return {ours: getattr(backend.normalizer, theirs) for ours, theirs in NORMALIZER_SETTINGS.items()}


def is_cased(vocabulary: Iterable[str]) -> bool:
    """Whether texts keep their case: more than one word in a hundred is not in lower case.

    A lowercase vocabulary may have a few such words: Google's Chinese one has `<S>` and `<T>`.
    """
    words = [token for token in vocabulary if not (token.startswith("[") and token.endswith("]"))]
    return 100 * sum(word != word.lower() for word in words) > len(words)


def read_vocabulary(path: Path) -> dict[str, int]:
    """The id of each token in a `vocab.txt`.

    Raises:
        InputError: the file cannot be read as UTF-8 text.
    """
    try:
        # Not splitlines(): multilingual vocabularies hold separators such as U+2028 as tokens.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as UTF-8 text ({error})") from error
    return {line.rstrip("\r"): token_id for token_id, line in enumerate(lines)}


def vocabulary_lines(vocabulary: Mapping[str, int]) -> str:
    """The contents of a `vocab.txt`: the tokens in the order of their ids, one a line."""
    token_of = {token_id: token for token, token_id in vocabulary.items()}
    # An id without a token (the vocabulary named a token twice) keeps its line, or every later id would move.
    return "\n".join(token_of.get(token_id, f"[unused-id-{token_id}]") for token_id in range(max(token_of) + 1))


def learn_vocabulary(
    texts: Iterable[str],
    vocab_size: int,
    lowercase: bool = True,
    min_frequency: int = 2,
    character_coverage: float = CHARACTER_COVERAGE,
) -> dict[str, int]:
    """The id of each token, learned from `texts`: `[PAD]` = 0, `[UNK]`, `[CLS]`, `[SEP]`, `[MASK]`, then the rest.

    `texts` are iterated twice and never held in memory together; memory grows with the number of distinct words. The
    vocabulary has the most frequent characters (Chinese ones as words of their own) that make up `character_coverage`
    of the texts, and those as frequent as the last of them; words with any other character are `[UNK]`.

    Raises:
        InputError: `vocab_size` is too small for the special tokens and these characters, or there is no text.
    """
    if not 0 < character_coverage <= 1:
        raise InputError(f"character_coverage: expected a number > 0 and <= 1, got {character_coverage}")
    if iter(texts) is texts:  # a generator cannot be read twice
        texts = list(texts)
    special_tokens = list(SPECIAL_TOKENS.values())
    learner = wordpiece_backend({}, {"do_lower_case": lowercase})
    words: Counter[str] = Counter()
    for text in texts:
        pieces = learner.pre_tokenizer.pre_tokenize_str(learner.normalizer.normalize_str(text))
        words.update(word for word, _ in pieces)
    if not words:
        raise InputError("a vocabulary cannot be learned from texts without a single word")
    alphabet = _alphabet(words, character_coverage)
    # The trainer numbers the "##x" pieces in the order of a randomly seeded hash table; naming them first fixes it.
    rest = {character for word in words for character in word[1:]}
    continuations = sorted(f"{CONTINUATION_PREFIX}{character}" for character in rest & alphabet)
    smallest = len(special_tokens) + len(continuations) + len(alphabet)
    if vocab_size < smallest:
        raise InputError(
            f"vocab_size={vocab_size} is too small for the characters of these texts; expected at least {smallest}, "
            f"or a character_coverage below {character_coverage:g}"
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        limit_alphabet=len(alphabet),
        special_tokens=special_tokens + continuations,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    vocabulary: dict[str, int] = learner.get_vocab()
    return vocabulary


def _alphabet(words: Counter[str], coverage: float) -> set[str]:
    """The most frequent characters that make up `coverage` of all, and those as frequent as the last of them."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    ordered = counts.most_common()
    covered = np.cumsum([count for _, count in ordered])
    last = min(int(np.searchsorted(covered, coverage * covered[-1])), len(ordered) - 1)
    return {character for character, count in ordered if count >= ordered[last][1]}
