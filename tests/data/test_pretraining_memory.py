"""Memory of tokenizing a corpus and of an epoch of its batches, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
import numpy as np
from tinybert_tf.data.corpus import reader as corpus_reader
from tinybert_tf.data.corpus import segments
from tinybert_tf.data.corpus.corpus import Corpus
from tinybert_tf.data.corpus.pretraining_batches import PretrainingBatches
from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer

# As small as the corpora are: what is bounded reaches its bound in the small one, and only what grows shows.
corpus_reader.BLOCK_BYTES = 1 << 14
segments.DOCUMENTS_ABREAST = 8

def peak(name):
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(fields[name].split()[0]) * 1024

tokenizer = load_tokenizer(sys.argv[1])
found = {}
for path in sys.argv[2:]:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again at what is resident now
    corpus = Corpus.tokenize(path, tokenizer, path + ".tokens")
    batches = PretrainingBatches(corpus, tokenizer, batch_size=8)
    for step in range(len(batches)):
        batches[step]
    found[path] = [peak("VmHWM"), corpus.num_tokens, batches.num_rows]
print(json.dumps(found))
"""


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc/self/clear_refs")
def test_ten_times_the_corpus_takes_no_more_memory(tmp_path, word_tokenizer):
    word_tokenizer.save_pretrained(tmp_path / "tokenizer")
    document = "\n".join(" ".join(f"w{7 * sentence + word}" for word in range(15)) for sentence in range(40))
    # The first one warms everything up that is made once.
    paths = []
    for name, num_documents in (("warm-up", 300), ("small", 300), ("large", 3000)):
        paths.append(tmp_path / f"{name}.txt")
        paths[-1].write_text("\n\n".join([document] * num_documents))
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "tokenizer", *paths], capture_output=True, text=True, check=True
    )
    (small, *_), (large, num_tokens, num_rows) = (json.loads(run.stdout)[str(path)] for path in paths[1:])
    assert num_tokens == 3000 * 600
    on_disk = num_tokens * 2 + 3000 * 40 * 8 + num_rows * 25  # tokens, sentence offsets, segments
    assert on_disk > 4_500_000
    assert large < small * 1.1
    assert large - small < on_disk / 3  # what would be held grows by nine tenths of that, and more as Python objects
