"""Sentences augmented per second, beside one compiled masked-LM call per word.

    python benchmarks/augmentation.py --masked-lm MODEL --input train.tsv --text sentence

Both ways augment the same sentences with the same model in the same precision, take turns, and have been traced before
the clock starts. "One call per word" is what is written first: a `tf.function` of batch 1, texts padded to multiples of
8 so that it is traced a few times only, the logits of all places, the likeliest words of the masked one. All ways draw
the copies too. With `--fixed-length` there is a third one, which pads every text to `--max-length`. "Busy" is seconds
of processor time for each second that passed: 2.0 is two cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tinybert_tf.data.augmentation.augmentation import Augmentation, Augmenter, candidate_tokens
from tinybert_tf.data.text.readers import read_columns
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, load_tokenizer
from tinybert_tf.models.heads.masked_lm import MaskedLM
from tinybert_tf.pipeline.augment import PredictMasked, load_masked_lm
from tinybert_tf.training.devices import setup_devices

BATCHED, ONE_CALL, FIXED = "tinybert augment", "one call per word", "one call per word, fixed length"
LENGTH_STEP = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masked-lm", required=True, metavar="DIR", help="model with a masked-LM head")
    parser.add_argument("--input", required=True, metavar="F", help=".tsv, .csv or .jsonl")
    parser.add_argument("--text", required=True, metavar="COLUMN", help="column of the sentences")
    parser.add_argument("--rows", type=int, default=256, metavar="N", help="sentences (default 256)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each way (default 5)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="words at once (default 64)")
    parser.add_argument("--max-length", type=int, default=128, metavar="TOKENS", help="tokens of a text (default 128)")
    parser.add_argument("--fixed-length", action="store_true", help="also one call per word of --max-length tokens")
    parser.add_argument("--precision", default="auto", metavar="P", help="auto, float32, bfloat16 or float16")
    arguments = parser.parse_args()

    precision = setup_devices(arguments.precision).choice.precision
    tokenizer = load_tokenizer(arguments.masked_lm)
    model = load_masked_lm(arguments.masked_lm, tokenizer, settings(arguments, arguments.batch_size))
    texts = read_columns(arguments.input, [arguments.text])[arguments.text][: arguments.rows]
    words = CountedWords(PredictMasked(model, tokenizer, Augmentation.candidates))
    ways = {BATCHED: Augmenter(tokenizer, words, settings=settings(arguments, arguments.batch_size))}
    steps = {ONE_CALL: LENGTH_STEP, **({FIXED: arguments.max_length} if arguments.fixed_length else {})}
    for way, length_step in steps.items():
        predict = OneCallPerWord(model, tokenizer, Augmentation.candidates, length_step)
        ways[way] = Augmenter(tokenizer, predict, settings=settings(arguments, 1))
    copies = {way: augmenter.augment(texts) for way, augmenter in ways.items()}  # every shape is traced here
    same = np.mean([ours == theirs for ours, theirs in zip(copies[BATCHED], copies[ONE_CALL], strict=True)])
    print(
        f"{len(texts)} sentences, {words.number} masked words in batches of {arguments.batch_size}, {precision}; of "
        f"{same:.0%} of the sentences the first two ways' copies are the same; median of {arguments.rounds} rounds\n"
    )

    seconds: dict[str, list[float]] = {way: [] for way in ways}
    busy: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        for way, augmenter in ways.items():
            start, start_of_processors = time.perf_counter(), time.process_time()
            augmenter.augment(texts)
            seconds[way].append(time.perf_counter() - start)
            busy[way].append((time.process_time() - start_of_processors) / seconds[way][-1])
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    print(f"| way | seconds | busy | sentences/s | speed, {ONE_CALL} = 1 |\n|---|---:|---:|---:|---:|")
    for way, median in medians.items():
        speed = f"{len(texts) / median:.1f} | {medians[ONE_CALL] / median:.1f}"
        print(f"| {way} | {median:.2f} | {statistics.median(busy[way]):.2f} | {speed} |")
    ratios = [theirs / ours for ours, theirs in zip(seconds[BATCHED], seconds[ONE_CALL], strict=True)]
    print(f"\nin each round: {', '.join(f'{ratio:.1f}' for ratio in ratios)}; median {statistics.median(ratios):.1f}")


def settings(arguments: argparse.Namespace, batch_size: int) -> Augmentation:
    return Augmentation(max_length=arguments.max_length, batch_size=batch_size)


class CountedWords:
    """Another `PredictTokens`, and of how many words it was asked."""

    def __init__(self, predict: PredictMasked) -> None:
        self._predict = predict
        self.number = 0

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        self.number += len(inputs["input_ids"])
        return self._predict(inputs)


class OneCallPerWord:
    """The likeliest whole words at a masked place: the model as it is called everywhere else, one text at a time."""

    def __init__(self, model: MaskedLM, tokenizer: Tokenizer, count: int, length_step: int) -> None:
        self._model = model
        self._length_step = length_step
        self._count = count
        may_stand = np.zeros(model.config.vocab_size, bool)
        may_stand[: tokenizer.vocab_size] = candidate_tokens(tokenizer)
        self._penalty = np.where(may_stand, 0.0, -np.inf).astype(np.float32)
        self._compiled = tf.function(self._likeliest)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        given = {name: self._padded(values) for name, values in inputs.items() if name != "masked_positions"}
        position = tf.constant(inputs["masked_positions"][0, 0])
        return self._compiled(given, position).numpy()[None]

    def _padded(self, values: np.ndarray) -> tf.Tensor:
        # What stands where the attention mask is 0 does not matter.
        return tf.constant(np.pad(values, ((0, 0), (0, -values.shape[1] % self._length_step))))

    def _likeliest(self, inputs: Mapping[str, tf.Tensor], position: tf.Tensor) -> tf.Tensor:
        logits = self._model(inputs, training=False)["logits"][0, position]
        return tf.math.top_k(tf.cast(logits, tf.float32) + self._penalty, self._count).indices


if __name__ == "__main__":
    main()
