"""How soon one can begin: importing the library, the command's help, loading BERT-base, a first answer.

    python -m benchmarks.startup

Every turn of every row is a process of its own; they take turns, and the median of `--rounds` is shown. Loading begins
when Keras has made a first model, and reads a file that the system has in its cache; the read it is compared with is
that of the same file, whole, in the same process. Peak memory is what loading takes beyond what the process had before,
in units of the file. A first answer is a TinyBERT's (4 x 312, BERT's vocabulary), from the start of Python, from its
model directory by Keras and from its LiteRT export (int8, 128 tokens).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, train_wordpiece
from tinybert_tf.data.tokenizers.wordpiece import wordpiece_backend
from tinybert_tf.export.card import Card
from tinybert_tf.export.formats import FORMATS, Wish
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier

IMPORT = "import time; begin = time.perf_counter(); import {}; print(time.perf_counter() - begin)"
HELP = """
import subprocess, sys, time
begin = time.perf_counter()
subprocess.run([sys.executable, "-m", "tinybert_tf", "--help"], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - begin)
"""
ANSWER = """
import subprocess, sys, time
program = "import sys, tinybert_tf as tb; tb.Predictor(sys.argv[1])('a fine film')"
begin = time.perf_counter()
subprocess.run([sys.executable, "-c", program, sys.argv[1]], check=True)
print(time.perf_counter() - begin)
"""
LOAD = """
import sys, time
from pathlib import Path
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.encoder.encoder import TransformerEncoder

TransformerEncoder(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
file = Path(sys.argv[1], "model.safetensors")
file.read_bytes()

def memory(line):
    status = dict(row.split(":") for row in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status[line].split()[0])

def read():
    begin = time.perf_counter()
    file.read_bytes()
    return time.perf_counter() - begin

def load():
    begin = time.perf_counter()
    TransformerEncoder.from_pretrained(sys.argv[1])
    return time.perf_counter() - begin

first = read()
Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
before = memory("VmRSS")
seconds = load()
peak = memory("VmHWM") - before
print(seconds, (first + read()) / 2, peak / file.stat().st_size)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bert-base", metavar="PRESET")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each way (default 5)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        TransformerEncoder(EncoderConfig.from_preset(arguments.model)).save_pretrained(directory)
        model, exported = save_tinybert(Path(directory))
        size = Path(directory, "model.safetensors").stat().st_size / 2**20
        ways: dict[str, Callable[[], list[float]]] = {
            "import numpy": lambda: python(IMPORT.format("numpy")),
            "import tinybert_tf": lambda: python(IMPORT.format("tinybert_tf")),
            "tinybert --help": lambda: python(HELP),
            "load": lambda: python(LOAD, directory),
            "answer, Keras": lambda: python(ANSWER, str(model)),
            "answer, LiteRT": lambda: python(ANSWER, str(exported)),
        }
        found: dict[str, list[list[float]]] = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            for way, run in ways.items():
                found[way].append(run())
    numpy, imported, shown, (loaded, read, peak), keras, litert = (
        [statistics.median(column) for column in zip(*turns, strict=True)] for turns in found.values()
    )
    ratio = statistics.median(turn[0] / turn[1] for turn in found["load"])
    print(f"{arguments.model}, {size:,.0f} MiB, median of {arguments.rounds}\n")
    print("| what | seconds | beside | seconds | ratio |\n|---|---:|---|---:|---:|")
    print(f"| import tinybert_tf | {imported[0]:.3f} | import numpy | {numpy[0]:.3f} | {imported[0] / numpy[0]:.2f} |")
    print(f"| tinybert --help | {shown[0]:.3f} | | | |")
    print(f"| load {arguments.model} | {loaded:.3f} | read the file | {read:.3f} | {ratio:.1f} |")
    print(f"| first answer, Keras | {keras[0]:.3f} | | | |")
    print(f"| first answer, LiteRT | {litert[0]:.3f} | | | |")
    print(f"\nLoading takes {peak:.2f} times the file in memory at its peak.")


def save_tinybert(directory: Path) -> tuple[Path, Path]:
    """A classifier's directory, and that of its LiteRT export."""
    model, exported = directory / "tinybert", directory / "export"
    tokenizer = train_wordpiece(["a fine film", "a dull film"], vocab_size=100, min_frequency=1)
    words = {f"word{number}": number for number in range(tokenizer.vocab_size, 30522)}
    tokenizer = Tokenizer(wordpiece_backend({**tokenizer.vocabulary(), **words}, {}))
    config = EncoderConfig.from_preset("tinybert-4l-312d", vocab_size=tokenizer.vocab_size)
    classifier = SequenceClassifier(config, num_labels=2, dtype="float32")
    classifier.save_pretrained(model, tokenizer=tokenizer)
    exported.mkdir()
    FORMATS["litert"].write(classifier, exported / "model.tflite", Wish("dynamic_int8", (128,)))
    tokenizer.save_pretrained(exported)
    labels = classifier.label_names
    Card("litert", "model.tflite", "sequence_classification", labels, 128, [128], "dynamic_int8").write(exported)
    return model, exported


def python(program: str, *arguments: str) -> list[float]:
    """The numbers that a program prints."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return [float(number) for number in done.stdout.split()]


if __name__ == "__main__":
    main()
