"""`Predictor`: texts in, answers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.data.batches.encoded import Prediction
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.export.card import CARD_FILE, Card
from tinybert_tf.export.formats import FORMATS, find_format
from tinybert_tf.export.rows import Runner, logits_of_rows
from tinybert_tf.json_file import LONE_SURROGATE
from tinybert_tf.short_repr import short_repr

Text = str | tuple[str, str]
# A text that is longer is no text that anybody wants a label for: a book has fewer characters.
MOST_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run, and what its logits mean."""

    runner: Runner
    task: str
    label_names: Sequence[str]
    tokenizer: Tokenizer
    max_length: int


class Predictor:
    """Answers texts, or pairs of texts, with a saved model.

    A LiteRT export is run by `ai-edge-litert` alone: neither TensorFlow nor Keras is imported.

    Args:
        model: a model directory, a run directory or a Hub id, with tokenizer files and a task's head; or what
            `tinybert export` made, its directory or the file in it.
        batch_size: texts computed together.
        max_length: tokens a text is cut at, special tokens included; the model's own limit by default.
        num_threads: of the CPU, where the format can be told; by default the runtime's choice.

    Raises:
        InputError: no such directory, no tokenizer, no head, no `labels.json` beside an exported file, a `batch_size`
            below 1, a `max_length` above the model's limit; when called, something that is neither a text nor a pair,
            or more than a million characters.

    Example:
        >>> predictor = Predictor("student/")  # doctest: +SKIP
        >>> predictor("a film that earns its tears")  # doctest: +SKIP
        {'label': 'positive', 'scores': {'negative': 0.02, 'positive': 0.98}}
        >>> Predictor("stsb-student/")([("a plane takes off", "an air plane takes off")])  # doctest: +SKIP
        [{'score': 4.7}]
    """

    def __init__(
        self,
        model: str | Path,
        batch_size: int = 32,
        max_length: int | None = None,
        num_threads: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size}: a positive number of texts is accepted.")
        loaded = load(model, max_length, num_threads)
        self.runner = loaded.runner
        self.task = find_task(loaded.task)
        self.label_names = list(loaded.label_names)
        self.tokenizer = loaded.tokenizer
        self.batch_size = batch_size
        self.max_length = loaded.max_length if max_length is None else max_length

    def __repr__(self) -> str:
        return short_repr(self, labels=self.label_names, max_length=self.max_length, batch_size=self.batch_size)

    def __call__(self, texts: str | Sequence[Text]) -> Any:
        """The answer to a text, or the list of them to a list of texts or pairs; what it is, the model's task says.

        - one of several labels: `{"label": ..., "scores": {label: fraction, ...}}`;
        - any number of labels: `{"labels": [...], "scores": {label: fraction, ...}}`;
        - regression: `{"score": ...}`;
        - tags: `{"tokens": [...], "tags": [...], "scores": [...], "entities": [{"type", "text", "start", "end"}]}`;
        - an answer, to a pair of a question and a text: `{"answer", "score", "start", "end", "n_best": [...]}`, empty,
          without a place, where there is none; `start` and `end` count characters.
        """
        if isinstance(texts, str | bytes):
            return self.answer([texts])[0]
        return self.answer(texts)

    def answer(self, texts: Sequence[Text]) -> list[Prediction]:
        """The answer to each text or pair."""
        check_texts(texts)
        dataset = self.task.of_texts(texts, self.tokenizer)
        if not texts:
            return []
        encoded = self.task.encode(dataset, self.tokenizer, self.label_names, self.max_length)
        logits = logits_of_rows(self.runner, encoded.tokens, encoded.pad_token_id, self.batch_size)
        return encoded.predictions(logits)


def check_texts(texts: Sequence[Any]) -> None:
    """Refuse what is too long for a text, or no UTF-8; that it is a text at all, the task's `of_texts` checks."""
    for number, text in enumerate(texts, start=1):
        for part in text if isinstance(text, list | tuple) else [text]:
            if isinstance(part, bytes | bytearray):
                raise InputError(f"text {number} is bytes; a str is wanted.")
            if not isinstance(part, str):
                continue
            if len(part) > MOST_CHARACTERS:
                raise InputError(
                    f"text {number} has {len(part):,} characters; at most {MOST_CHARACTERS:,} are accepted."
                )
            broken = LONE_SURROGATE.search(part)
            if broken is not None:
                raise InputError(
                    f"text {number} is not UTF-8 at character {broken.start() + 1}; UTF-8 text is accepted."
                )


def exported_directory(model: str | Path) -> Path | None:
    """The directory of an export that a path means, its own or its model's; None where it means something else.

    Raises:
        InputError: an exported model without its `labels.json`.
    """
    path = Path(model)
    if (path / CARD_FILE).is_file():
        return path
    files = {format.file for format in FORMATS.values()} - {"."}
    is_file = path.suffix in (".tflite", ".onnx") or (path / "saved_model.pb").is_file()
    if is_file and path.exists():
        Card.read(path.parent)  # says that it is missing
        return path.parent
    if path.is_dir() and not (path / "config.json").is_file() and any((path / name).exists() for name in files):
        Card.read(path)
    return None


def needs_tensorflow(model: str | Path) -> bool:
    """Whether a model is run by TensorFlow: everything but LiteRT and ONNX exports."""
    exported = exported_directory(model)
    return exported is None or Card.read(exported).format not in ("litert", "onnx")


def load(
    model: str | Path, max_length: int | None = None, num_threads: int | None = None, task: str | None = None
) -> Loaded:
    """A model directory, run directory, Hub id or export, ready to run, float32 where it is no export.

    `max_length`: tokens of the texts to come; `task`: the one to answer for, by default the model's.

    Raises:
        InputError: as `Predictor`; the model is for another task.
    """
    exported = exported_directory(model)
    loaded = _load_directory(model, max_length, task) if exported is None else _load_export(exported, num_threads)
    if task is not None and task != loaded.task:
        raise InputError(f"{model}: was exported for task {loaded.task}; expected that task, got {task}")
    if max_length is not None and max_length > loaded.max_length:
        raise InputError(f"max_length={max_length}: {model} takes at most {loaded.max_length} tokens.")
    return loaded


def _load_export(directory: Path, num_threads: int | None) -> Loaded:
    card = Card.read(directory)
    runner = find_format(card.format).open(directory / card.file, num_threads)
    return Loaded(runner, card.task, card.known_labels, load_tokenizer(directory), card.max_length)


def _load_directory(model: str | Path, max_length: int | None, task: str | None) -> Loaded:
    from tinybert_tf.export.keras_runner import KerasRunner
    from tinybert_tf.models.heads.tasks import load_teaching, task_of
    from tinybert_tf.models.limits import check_limits

    task = task_of(model) if task is None else task
    loaded = load_teaching(model, task)
    tokenizer = load_tokenizer(model)
    limit = loaded.config.max_tokens
    check_limits(loaded.config, tokenizer.vocab_size, limit if max_length is None else max_length, model)
    return Loaded(KerasRunner(loaded), task, loaded.labels, tokenizer, limit)
