"""Peak memory of `pretrain`, in a process of its own: that of the model, however large the corpus is."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tinybert_tf import train_wordpiece

PROGRAM = """
import json, sys
from tinybert_tf.cli import main
from tinybert_tf.data.corpus import reader as corpus_reader
from tinybert_tf.data.corpus import segments
from tinybert_tf.pipeline import pretrain

# As small as the corpora are: what is bounded reaches its bound in the small one, and only what grows shows.
corpus_reader.BLOCK_BYTES = 1 << 14
segments.DOCUMENTS_ABREAST = 8
peaks = {}

def measured(name, function):
    def measure(*arguments):
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak starts again at what is resident now
        result = function(*arguments)
        fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
        peaks[name] = int(fields["VmHWM"].split()[0]) * 1024
        return result
    return measure

for name in ("_prepare", "_train"):
    setattr(pretrain, name, measured(name, getattr(pretrain, name)))
status = main(sys.argv[1:])
print(json.dumps(peaks))
sys.exit(status)
"""
SIZES = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16}


def peaks(tokenizer: Path, corpus: Path) -> dict[str, int]:
    """Bytes while the run is prepared, which tokenizes the corpus, and while it trains."""
    flags = ["--model", "bert-tiny", "--tokenizer", tokenizer, "--corpus", corpus, "--out", corpus.with_suffix("")]
    flags += ["--batch-size", "8", "--max-steps", "4", "--precision", "float32", "--set", "checkpoint_every=2"]
    flags += [part for name, size in SIZES.items() for part in ("--set", f"model.{name}={size}")]
    run = subprocess.run([sys.executable, "-c", PROGRAM, "pretrain", *flags], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc/self/clear_refs")
def test_ten_times_the_corpus_takes_no_more_memory(tmp_path: Path) -> None:
    draw = random.Random(1)
    words = [f"w{number}" for number in range(400)]
    documents = ["\n".join(" ".join(draw.choices(words, k=15)) for _ in range(40)) for _ in range(50)]
    train_wordpiece(documents, vocab_size=600).save_pretrained(tmp_path / "tokenizer")
    texts = {name: "\n\n".join(documents * copies) for name, copies in (("small", 20), ("large", 200))}
    found = {}
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text)
        found[name] = peaks(tmp_path / "tokenizer", tmp_path / f"{name}.txt")
    grown = len(texts["large"]) - len(texts["small"])
    assert grown > 20_000_000
    for phase, small in found["small"].items():
        large = found["large"][phase]
        assert large < small * 1.1, phase
        # Most of a peak is TensorFlow: what the corpus adds to it has a bound of its own.
        assert large - small < grown / 2, phase
