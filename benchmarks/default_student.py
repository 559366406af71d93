r"""What the cuts of the named sizes miss of a teacher before any training: the numbers that choose the default student.

    python benchmarks/default_student.py --teacher RUN --train train.tsv --text sentence --label label --max-length 64

A line for each of tiny, small, medium: layers and width, parameters besides the embedding tables (and their share of
the teacher's), share of the teacher's arithmetic for a text of 64 tokens; the variance of the teacher's last layer and
of its logits and the answers that the cut misses, on texts of the training file that it did not see; seconds. `tinybert
distill` takes the first line whose missed answers are at most `LARGEST_DISAGREEMENT`.
"""

from __future__ import annotations

import argparse
import time

import keras

from tinybert_tf.config.models import CutSection
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer
from tinybert_tf.evaluation.config_cost import arithmetic_of
from tinybert_tf.models.heads.tasks import load_teaching
from tinybert_tf.models.sizes import distinct_sizes
from tinybert_tf.pipeline.parts.default_student import (
    HELD_BACK_TEXTS,
    LARGEST_DISAGREEMENT,
    num_texts,
    parameters_besides_tables,
    shape,
)
from tinybert_tf.pipeline.parts.labels import labels_for
from tinybert_tf.pipeline.parts.missed import HeldBack
from tinybert_tf.pipeline.parts.student import cut_from_teacher, cut_pairs
from tinybert_tf.pipeline.runs.table import format_table

SEQ_LEN = 64


def main() -> None:
    """Cut every size, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True, help="fine-tuned teacher")
    parser.add_argument("--train", required=True, help="the texts")
    parser.add_argument("--text", help="column of the text, or the two columns of a pair")
    parser.add_argument("--label", help="column of the label")
    parser.add_argument("--task", default="sequence_classification")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1, help="seed of the texts")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    section, task = CutSection(), find_task(arguments.task)
    teacher = load_teaching(arguments.teacher, arguments.task)
    columns = None if arguments.text is None else tuple(arguments.text.split(","))
    dataset = task.read(arguments.train, columns, arguments.label, None, True)
    labels = labels_for(teacher.labels, [dataset], arguments.task)
    encoded = task.encode(dataset, load_tokenizer(arguments.teacher), labels, arguments.max_length)
    texts = encoded.sample(section.num_texts, section.max_tokens, arguments.seed)
    rest = encoded.sample(HELD_BACK_TEXTS, section.max_tokens, arguments.seed, after=num_texts(texts))
    rows: list[list[object]] = []
    for name, config in distinct_sizes(teacher.config).items():
        begin = time.monotonic()
        pairs = cut_pairs("uniform", config.num_hidden_layers, teacher.config.num_hidden_layers)
        student = teacher.with_encoder(config, name="student")
        cut = cut_from_teacher(student, teacher, "uniform", texts, section)
        missed = HeldBack(teacher, pairs[-1][1], rest).missed(student, cut)
        parameters, of = (parameters_besides_tables(each) for each in (config, teacher.config))
        rows.append(
            [
                name,
                shape(config),
                f"{parameters / 1e6:.2f} M ({parameters / of:.0%})",
                f"{arithmetic_of(config, SEQ_LEN) / arithmetic_of(teacher.config, SEQ_LEN):.1%}",
                f"{missed.unexplained:.1%}",
                f"{missed.logits:.1%}",
                f"{missed.disagreement:.1%}",
                f"{time.monotonic() - begin:.0f} s",
            ]
        )
    header = ["size", "layers x width", "parameters besides tables", "arithmetic", "last layer missed"]
    header += ["logits missed", "answers missed"]
    print(f"{arguments.teacher}: {num_texts(texts)} texts cut on, {num_texts(rest)} held back\n")
    print(format_table([*header, "time"], rows))
    print(f"\nat most {LARGEST_DISAGREEMENT:.1%} of the answers missed is good enough")


if __name__ == "__main__":
    main()
