"""`Predictor`: answers texts with a saved or exported model."""

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
# The most characters of a text: a book has fewer.
MOST_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run, with the meaning of its logits."""

    runner: Runner
    task: str
    label_names: Sequence[str]
    tokenizer: Tokenizer
    max_length: int


class Predictor:
    """Answers texts, or pairs of texts, with a saved or exported model.

    A LiteRT export runs with `ai-edge-litert` alone, without importing TensorFlow or Keras.

    Args:
        model: a model directory, a run directory or a Hub id, with tokenizer files and a task's head; or the directory
            of a `tinybert export`, or the file in it.
        batch_size: number of texts computed together.
        max_length: number of tokens at which a text is cut, special tokens included; by default the model's limit.
        num_threads: number of CPU threads, for formats that take one; by default the runtime's choice.

    Raises:
        InputError: the directory, its tokenizer, its head, or the `labels.json` beside an exported file is missing;
            `batch_size` is below 1, or `max_length` above the model's limit; when called, a text is neither a str nor a
            pair of them, or has more than a million characters.

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
            raise InputError(f"batch_size: expected an integer >= 1, got {batch_size}.")
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
        """Answer one text, or a list of texts or pairs by a list of answers; the model's task decides on their form.

        - one of several labels: `{"label": ..., "scores": {label: fraction, ...}}`;
        - any number of labels: `{"labels": [...], "scores": {label: fraction, ...}}`;
        - regression: `{"score": ...}`;
        - tags: `{"tokens": [...], "tags": [...], "scores": [...], "entities": [{"type", "text", "start", "end"}]}`;
        - an answer to a pair of a question and a text: `{"answer", "score", "start", "end", "n_best": [...]}`; `start`
          and `end` count characters. If the text has no answer, `answer` is empty, and `start` and `end` are None.
        """
        if isinstance(texts, str | bytes):
            return self.answer([texts])[0]
        return self.answer(texts)

    def answer(self, texts: Sequence[Text]) -> list[Prediction]:
        """Return the answer to each text or pair."""
        check_texts(texts)
        dataset = self.task.of_texts(texts, self.tokenizer)
        if not texts:
            return []
        encoded = self.task.encode(dataset, self.tokenizer, self.label_names, self.max_length)
        logits = logits_of_rows(self.runner, encoded.tokens, encoded.pad_token_id, self.batch_size)
        return encoded.predictions(logits)


def check_texts(texts: Sequence[Any]) -> None:
    """Refuse texts that are bytes, too long, or not UTF-8; the task's `of_texts` checks their types."""
    for number, text in enumerate(texts, start=1):
        for part in text if isinstance(text, list | tuple) else [text]:
            if isinstance(part, bytes | bytearray):
                raise InputError(f"text {number} is bytes; expected a str.")
            if not isinstance(part, str):
                continue
            if len(part) > MOST_CHARACTERS:
                raise InputError(f"text {number} has {len(part):,} characters; expected at most {MOST_CHARACTERS:,}.")
            broken = LONE_SURROGATE.search(part)
            if broken is not None:
                raise InputError(f"text {number} is not UTF-8 at character {broken.start() + 1}; expected UTF-8 text.")


def exported_directory(model: str | Path) -> Path | None:
    """Return the directory of an export, given its path or its model's; None if the path is no export.

    Raises:
        InputError: an exported model has no `labels.json`.
    """
    path = Path(model)
    if (path / CARD_FILE).is_file():
        return path
    files = {format.file for format in FORMATS.values()} - {"."}
    is_file = path.suffix in (".tflite", ".onnx") or (path / "saved_model.pb").is_file()
    if is_file and path.exists():
        Card.read(path.parent)  # raises, as it is missing
        return path.parent
    if path.is_dir() and not (path / "config.json").is_file() and any((path / name).exists() for name in files):
        Card.read(path)
    return None


def needs_tensorflow(model: str | Path) -> bool:
    """Return whether a model needs TensorFlow: all but LiteRT and ONNX exports do."""
    exported = exported_directory(model)
    return exported is None or Card.read(exported).format not in ("litert", "onnx")


def load(
    model: str | Path, max_length: int | None = None, num_threads: int | None = None, task: str | None = None
) -> Loaded:
    """Load a model directory, run directory, Hub id or export; a model that is no export runs in float32.

    `max_length`: the most tokens of the texts to come. `task`: the task to answer for, by default the model's.

    Raises:
        InputError: as `Predictor`, or the model is for another task.
    """
    exported = exported_directory(model)
    loaded = _load_directory(model, max_length, task) if exported is None else _load_export(exported, num_threads)
    if task is not None and task != loaded.task:
        raise InputError(f"{model}: expected task {loaded.task}, for which it was exported, got {task}")
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
