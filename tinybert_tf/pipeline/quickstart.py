"""`tinybert quickstart`: makes data, a teacher and a distilled student, offline and from nothing."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import keras

from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    FinetuneConfig,
    ModelSection,
    StudentSection,
    TeacherSection,
    Train,
)
from tinybert_tf.data.demo import make_reviews
from tinybert_tf.data.tokenizers.tokenizer import train_wordpiece
from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.pipeline.distill import run_distill
from tinybert_tf.pipeline.finetune import run_finetune
from tinybert_tf.pipeline.runs.directory import RunDirectory
from tinybert_tf.pipeline.runs.results import end_of_run
from tinybert_tf.pipeline.runs.run import Run, RunState

ROWS = {"train": 10_000, "dev": 1_000, "test": 1_000}
VOCAB_SIZE = 1_000
MAX_LENGTH = 64
TEACHER = EncoderConfig(
    hidden_size=128,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=512,
    max_position_embeddings=MAX_LENGTH,
)
STUDENT = StudentSection(num_hidden_layers=2, hidden_size=64, num_attention_heads=4, intermediate_size=256)
# float32, as bfloat16's casts cost more than its products save in models this small.
TEACHER_TRAINING = Train(epochs=4, learning_rate=5e-4, precision="float32")
STUDENT_TRAINING = Train(epochs=1, learning_rate=1e-3, precision="float32")


def run_quickstart(out: str | Path, seed: int = 1) -> str:
    """Write reviews, train a vocabulary and a teacher on them, distil a student, and train the same student alone.

    The reviews come from a grammar, and training starts from random weights. `out` then holds `data/`, `untrained/`,
    and the run directories `teacher/` and `distilled/`, as `finetune` and `distill` make them.

    Returns:
        The table of the three models, and an explanation of their numbers.

    Raises:
        InputError: `out` holds something else.
    """
    directory = Path(out)
    data = data_files(directory / "data")
    finetune = FinetuneConfig(
        model=ModelSection(str(directory / "untrained")),
        data=data,
        train=dataclasses.replace(TEACHER_TRAINING, seed=seed),
        out=str(directory / "teacher"),
    )
    distill = DistillConfig(
        teacher=TeacherSection(str(directory / "teacher")),
        student=STUDENT,
        data=data,
        train=dataclasses.replace(STUDENT_TRAINING, seed=seed),
        cache_dir=str(directory / "teacher-cache"),
        out=str(directory / "distilled"),
        baseline=True,
    )
    for config in (finetune, distill):
        Run(config)  # refuses other content of the directory before anything is written
    if directory.exists() and not (directory / "data" / "train.tsv").exists() and any(directory.iterdir()):
        raise InputError(f"out: {directory} is not empty and holds no quickstart; give a new or an empty directory.")
    is_new = Run(finetune).state is RunState.NEW
    if is_new:
        write_reviews(data, seed)
    _say(f"1/3  {ROWS['train']:,} reviews from a grammar, in {directory / 'data'}")
    if is_new:
        make_untrained_model(directory / "untrained", data.train, seed)
    _say(f"2/3  a vocabulary and an untrained teacher, in {directory / 'untrained'}; training it")
    run_finetune(finetune)
    _say("3/3  distilling the student in TinyBERT's two stages; then the same student without its teacher")
    results = run_distill(distill)
    _say(f"done; try: tinybert predict {directory / 'distilled'} 'not a dull film'")
    return end_of_run(results, RunDirectory(distill.out), "accuracy", reference="teacher")


def data_files(directory: Path) -> Data:
    """Return the section of a config for the files of `write_reviews`."""
    train, dev, test = (str(directory / f"{name}.tsv") for name in ROWS)
    return Data(train=train, dev=dev, test=test, text=("text",), label="label", augment=0, max_length=MAX_LENGTH)


def write_reviews(data: Data, seed: int) -> None:
    """Write train, dev and test files; no review is in two of them."""
    texts, labels = make_reviews(sum(ROWS.values()), seed)
    lines = [f"{text}\t{label}" for text, label in zip(texts, labels, strict=True)]
    start = 0
    for path, rows in zip((data.train, data.dev, data.test), ROWS.values(), strict=True):
        Path(str(path)).parent.mkdir(parents=True, exist_ok=True)
        Path(str(path)).write_text("\n".join(["text\tlabel", *lines[start : start + rows]]) + "\n", encoding="utf-8")
        start += rows


def make_untrained_model(directory: Path, train_file: str, seed: int) -> None:
    """Train a WordPiece vocabulary on the training texts and save an encoder with random weights beside it."""
    lines = Path(train_file).read_text(encoding="utf-8").splitlines()[1:]
    tokenizer = train_wordpiece((line.split("\t")[0] for line in lines), VOCAB_SIZE)
    keras.utils.set_random_seed(seed)
    config = dataclasses.replace(TEACHER, vocab_size=tokenizer.vocab_size)
    TransformerEncoder(config, name="untrained").save_pretrained(directory, tokenizer=tokenizer)


def _say(text: str) -> None:
    print(f"[quickstart] {text}", file=sys.stderr, flush=True)
