"""A quantization-aware model and the int8 file made of it give the same numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError, quantize_aware
from tinybert_tf.export.formats import FORMATS, Wish
from tinybert_tf.export.litert import custom_operations
from tinybert_tf.export.litert_runner import LiteRTRunner, interpreter_class
from tinybert_tf.models.heads.task_model import TaskModel

Inputs = Callable[..., dict[str, np.ndarray]]
LENGTH = 12
ONE_LAYER: dict[str, Any] = {"num_hidden_layers": 1}


def write(model: TaskModel, path: Path) -> Path:
    FORMATS["litert"].write(model, path, Wish(lengths=(LENGTH,)))
    return path


@pytest.mark.parametrize(
    ("family", "task", "fields"),
    [
        ("bert", "sequence_classification", {}),
        ("bert", "token_classification", {**ONE_LAYER, "hidden_act": "gelu_new"}),
        ("bert", "question_answering", {**ONE_LAYER, "hidden_act": "relu"}),
        ("bert", "sequence_classification", {**ONE_LAYER, "hidden_act": "silu"}),
        ("roberta", "sequence_classification", ONE_LAYER),
        ("distilbert", "sequence_classification", ONE_LAYER),
        ("electra", "sequence_classification", ONE_LAYER),
    ],
)
def test_the_same_logits(
    family: str, task: str, fields: dict[str, Any], make_model: Callable[..., TaskModel], make_inputs: Inputs,
    keras_logits: Callable[..., np.ndarray], tmp_path: Path,
) -> None:  # fmt: skip
    """But for a number that is rounded the other way, once in thousands."""
    model = make_model(family, task, **fields)
    inputs = make_inputs([LENGTH, 3, 5, 9] * 16, LENGTH, model.config.pad_token_id)
    inputs["token_type_ids"] *= model.config.type_vocab_size > 1
    exact = keras_logits(model, inputs)
    quantize_aware(model, [inputs])
    expected = keras_logits(model, inputs)
    found = LiteRTRunner(write(model, tmp_path / "model.tflite"))(inputs)
    real = inputs["attention_mask"].astype(bool) if expected.ndim == 3 else slice(None)
    difference = np.abs(found - expected)[real]
    assert difference.mean() < 0.1 * np.abs(expected - exact)[real].mean()
    assert np.mean(found[real].argmax(-1) == expected[real].argmax(-1)) >= 0.995


def test_products_and_tables_are_int8(
    make_model: Callable[..., TaskModel], make_inputs: Inputs, tmp_path: Path
) -> None:
    model = make_model(vocab_size=3000, hidden_size=64, intermediate_size=128, **ONE_LAYER)
    floats = write(model, tmp_path / "floats.tflite")
    quantize_aware(model, [make_inputs([LENGTH, 3, 5], LENGTH)])
    path = write(model, tmp_path / "model.tflite")
    assert custom_operations(path.read_bytes()) == []
    assert path.stat().st_size < 0.4 * floats.stat().st_size  # of so small a model, much is no weights

    interpreter = interpreter_class()(model_path=str(path))
    tensors = {each["index"]: each for each in interpreter.get_tensor_details()}
    products: Counter[tuple[str, bool]] = Counter()
    for operation in interpreter._get_ops_details():
        if operation["op_name"] == "FULLY_CONNECTED":
            used = [tensors[number] for number in (*operation["inputs"][:2], *operation["outputs"])]
            kinds = "/".join(sorted({each["dtype"].__name__ for each in used}))
            products[kinds, len(used[1]["quantization_parameters"]["scales"]) > 1] += 1
        if operation["op_name"] == "EMBEDDING_LOOKUP":
            assert tensors[operation["inputs"][1]]["dtype"] == np.int8
    # Six in the layer, the pooler; and the classifier, which is not rounded.
    assert products == {("int8", True): 7, ("float32", False): 1}
    names = {"input_ids", "attention_mask", "token_type_ids"}
    signature = interpreter.get_signature_runner(f"length_{LENGTH}")
    assert {name: each["dtype"] for name, each in signature.get_input_details().items()} == dict.fromkeys(
        names, np.int32
    )
    assert signature.get_output_details()["logits"]["dtype"] == np.float32


@pytest.mark.parametrize("format", ["onnx", "saved_model"])
def test_formats_of_floats_refuse_it(
    format: str, make_model: Callable[..., TaskModel], make_inputs: Inputs, tmp_path: Path
) -> None:
    model = quantize_aware(make_model(), [make_inputs([LENGTH, 3, 5], LENGTH)])
    with pytest.raises(InputError, match=f"{format} is for floats; the model has been quantized"):
        FORMATS[format].write(model, tmp_path / "model", Wish())
