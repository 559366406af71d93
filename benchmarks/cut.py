r"""What a student cut from its teacher knows before any training, by what it keeps and how it is fitted.

    python benchmarks/cut.py --teacher RUN --train train.tsv --test test.tsv --text sentence --label label \
        --corpus wiki.txt

For each student size, one line for each way to cut: the metric on the test file, the variance of the last layer's
output that the student misses, seconds. `no fit` is the selection alone, as pruning does it: the ridge is so large that
every kernel stays the teacher's own, seen through the basis; only biases and LayerNorms are fitted. `corpus texts` are
sentences of `--corpus` in place of the task's.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import Any

import keras

from tinybert_tf.config.models import CutSection
from tinybert_tf.data.corpus.reader import CorpusFiles
from tinybert_tf.data.text.dataset import TextDataset
from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer
from tinybert_tf.distillation.layer_map import LayerMap
from tinybert_tf.metrics import format_metric
from tinybert_tf.models.cut.student import cut_student
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
from tinybert_tf.pipeline.parts.splits import tokenize
from tinybert_tf.pipeline.runs.measure import measure
from tinybert_tf.pipeline.runs.table import format_table

NO_FIT = 1e9
WAYS: dict[str, dict[str, Any]] = {
    "channels, no fit": {"basis": "channels", "ridge": NO_FIT},
    "components, no fit": {"basis": "components", "ridge": NO_FIT},
    "channels": {"basis": "channels"},
    "components": {"basis": "components"},
    "components, ridge 1e-2": {"ridge": 1e-2},
    "components, ridge 1e-4": {"ridge": 1e-4},
    "components, 128 texts": {"num_texts": 128},
    "components, 2048 texts": {"num_texts": 2048},
    "components, corpus texts": {"source": "corpus"},
}


def main() -> None:
    """Cut every size in every way, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--teacher", "--train", "--test", "--text", "--label"):
        parser.add_argument(flag, required=True)
    parser.add_argument(
        "--sizes",
        nargs="*",
        default=["4x312x12x1200", "4x312x6x1200", "2x132x12x528", "2x132x6x528"],
        metavar="LAYERSxWIDTHxHEADSxUNITS",
        help="students to cut",
    )
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS), help="ways to cut (default all)")
    parser.add_argument("--corpus", required=True, help="text, a sentence a line")
    parser.add_argument("--metric", default="accuracy", help="accuracy (default), matthews_correlation, f1_macro, ...")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(1)
    teacher = SequenceClassifier.from_pretrained(arguments.teacher, dtype="float32")
    files = {"train": arguments.train, "test": arguments.test}
    datasets = {name: TextDataset.from_file(path, arguments.text, arguments.label) for name, path in files.items()}
    datasets["corpus"] = TextDataset.from_lists(list(CorpusFiles.of(arguments.corpus)))
    splits = tokenize(datasets, load_tokenizer(arguments.teacher), list(teacher.id2label.values()), 64)
    test = splits["test"]

    def measured(model: SequenceClassifier) -> str:
        return format_metric(arguments.metric, measure(model, test, "sequence_classification")[arguments.metric])

    rows: list[list[object]] = [["teacher", "", measured(teacher), "", ""]]
    for size in arguments.sizes:
        names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
        sizes: dict[str, Any] = dict(zip(names, map(int, size.split("x")), strict=True))
        pairs = LayerMap.uniform(sizes["num_hidden_layers"], teacher.num_hidden_layers).layer_pairs()
        for way in arguments.ways:
            given = {"num_texts": 512, "source": "train", **WAYS[way]}
            texts = splits[given.pop("source")].sample(given.pop("num_texts"), CutSection().max_tokens, seed=1)
            student = teacher.with_encoder(dataclasses.replace(teacher.config, **sizes), name="student")
            begin = time.monotonic()
            cut = cut_student(student, teacher, pairs, texts, **given)
            seconds = time.monotonic() - begin
            missed = cut.unexplained[sizes["num_hidden_layers"]]
            rows.append([size, way, measured(student), f"{missed:.1%}", f"{seconds:.0f} s"])
    print(format_table(["model", "cut by", f"test {arguments.metric}", "variance missed", "time"], rows))


if __name__ == "__main__":
    main()
