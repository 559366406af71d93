"""What threads share answers each of them as if it were alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import Predictor
from tinybert_tf.export.card import Card
from tinybert_tf.export.formats import FORMATS, Wish
from tinybert_tf.export.quiet import quiet

pytestmark = pytest.mark.usefixtures("threads_change_often")
InThreads = Callable[..., list[list[Any]]]
TEXTS = ["good", "the film is bad", "this story", "i found that the whole picture seemed awful in the end"] * 6


def exported(format: str, predictor: Predictor, directory: Path) -> Path:
    """The predictor's model in another format, for texts of 8 or 16 tokens where it takes fixed lengths."""
    written = FORMATS[format]
    written.write(predictor.runner.model, directory / written.file, Wish(lengths=(8, 16)))
    predictor.tokenizer.save_pretrained(directory)
    lengths = [8, 16] if written.has_lengths else None
    Card(format, written.file, "sequence_classification", predictor.label_names, 16, lengths).write(directory)
    return directory


@pytest.fixture(scope="module")
def keras_predictor(teacher_run: Path) -> Predictor:
    return Predictor(teacher_run)


@pytest.mark.parametrize("format", ["litert", "onnx", "saved_model", "hf"])
def test_a_predictor(format: str, keras_predictor: Predictor, in_threads: InThreads, tmp_path: Path) -> None:
    predictor = keras_predictor if format == "hf" else Predictor(exported(format, keras_predictor, tmp_path))
    alone = [predictor(text)["scores"]["positive"] for text in TEXTS]
    assert len({round(score, 4) for score in alone}) == 4
    for found in in_threads(lambda text: predictor(text)["scores"]["positive"], TEXTS):
        np.testing.assert_allclose(found, alone, atol=1e-5)


def test_a_tokenizer_cuts_at_each_threads_own_length(keras_predictor: Predictor, in_threads: InThreads) -> None:
    lengths = [*range(4, 24)] * 4
    found = in_threads(lambda length: keras_predictor.tokenizer.encode(["good " * 100], length).lengths[0], lengths)
    assert found == [lengths] * 8


def test_output_is_the_processs_own_again(capfd: pytest.CaptureFixture[str]) -> None:
    """A second thread keeps output back while the first one does; afterwards there is output again."""
    second_began, first_ended = threading.Event(), threading.Event()

    def second() -> None:
        with quiet():
            second_began.set()
            first_ended.wait(10)

    thread = threading.Thread(target=second)
    with quiet():
        thread.start()
        second_began.wait(0.2)  # it should not
    first_ended.set()
    thread.join()
    print("there again")
    os.write(1, b"and here")
    assert capfd.readouterr().out == "there again\nand here"
