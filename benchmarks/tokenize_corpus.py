"""How fast a corpus becomes arrays on disk, beside `tokenizers.Tokenizer.encode_batch` alone over the same lines.

    python benchmarks/tokenize_corpus.py --tokenizer MINILM --corpus wiki.txt books.txt

The ways take turns, so that what else the machine does falls on all of them. The library alone has the sentences in
memory and drops what it makes; `Corpus.tokenize` reads the files, checks them, tokenizes and writes. "Busy" is seconds
of processor time for each second that passed: 2.0 is two cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tokenizers

from tinybert_tf.data.corpus.corpus import Corpus
from tinybert_tf.data.corpus.reader import CorpusFiles
from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, metavar="DIR", help="directory with a tokenizer.json")
    parser.add_argument("--corpus", required=True, nargs="+", metavar="F", help="text files")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each way (default 5)")
    arguments = parser.parse_args()

    files = CorpusFiles.of(arguments.corpus)
    ways = ways_to_tokenize(files, arguments.tokenizer)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    busy: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(arguments.repeats):
        for way, run in ways.items():
            start, start_of_processors = time.perf_counter(), time.process_time()
            run()
            seconds[way].append(time.perf_counter() - start)
            busy[way].append((time.process_time() - start_of_processors) / seconds[way][-1])

    alone = statistics.median(seconds["encode_batch"])
    print(f"{files.num_bytes / 1e6:.1f} MB, median of {arguments.repeats} runs, tokenizers {tokenizers.__version__}\n")
    print("| way | seconds | MB/s | busy | speed, encode_batch = 1 |\n|---|---:|---:|---:|---:|")
    for way in ways:
        median = statistics.median(seconds[way])
        print(
            f"| {way} | {median:.2f} | {files.num_bytes / 1e6 / median:.2f} | {statistics.median(busy[way]):.2f} "
            f"| {alone / median:.2f} |"
        )


def ways_to_tokenize(files: CorpusFiles, tokenizer_dir: str) -> dict[str, Callable[[], object]]:
    sentences = list(files)
    library = tokenizers.Tokenizer.from_file(str(Path(tokenizer_dir) / "tokenizer.json"))
    library.no_padding()
    library.no_truncation()
    ours = load_tokenizer(tokenizer_dir)

    def corpus_tokenize() -> None:
        with tempfile.TemporaryDirectory(dir=".") as directory:
            Corpus.tokenize(files.paths, ours, directory)

    return {
        "encode_batch": lambda: library.encode_batch(sentences),
        "encode_batch_fast": lambda: library.encode_batch_fast(sentences),
        "Corpus.tokenize": corpus_tokenize,
    }


if __name__ == "__main__":
    main()
