"""Converting a Keras model to the bytes of a LiteRT file (`.tflite`)."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tinybert_tf.errors import InputError
from tinybert_tf.export.inference_graph import InferenceGraph, save_functions
from tinybert_tf.export.litert_runner import SIGNATURE
from tinybert_tf.export.quiet import quiet
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.quantization.state import frozen

# The shortest text: [CLS], a piece and [SEP].
SHORTEST = 3


def convert(model: TaskModel, lengths: Sequence[int]) -> bytes:
    """Convert a task model to a float32 LiteRT file with a signature `length_<n>` for each length, for any batch.

    Products of a quantized model (`quantize_aware`) and their weights become int8; tables stay float32, with rounded
    rows.

    The file holds the weights once, and uses only LiteRT's own operations (no Flex).

    Args:
        model: the task model.
        lengths: the numbers of tokens to which texts are padded.

    Raises:
        InputError: a length is above the model's limit, or `ai-edge-litert` is not installed.
    """
    check_lengths(lengths, model.config.max_tokens)
    _flatbuffers()  # refuses if it is not installed
    is_quantized = model.is_quantized
    graph = InferenceGraph(frozen(model) if is_quantized else model)
    signatures = {SIGNATURE.format(length): graph.function(length) for length in sorted(set(lengths))}
    with tempfile.TemporaryDirectory() as directory, quiet():
        save_functions(signatures, directory)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if is_quantized:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return with_lookups(bytes(converter.convert()))


def check_lengths(lengths: Sequence[int], max_tokens: int) -> None:
    """Refuse lengths that do not fit a model of `max_tokens` tokens."""
    for length in lengths:
        if not SHORTEST <= length <= max_tokens:
            raise InputError(f"lengths: expected {SHORTEST} to {max_tokens} tokens, the model's limit, got {length}")
    if not lengths:
        raise InputError("lengths: expected at least one number of tokens, got none")


def with_lookups(content: bytes) -> bytes:
    """Replace GATHER by EMBEDDING_LOOKUP in a LiteRT file: its tables may then have rows of small integers."""
    tools, schema = _flatbuffers()
    model = tools.read_model_from_bytearray(bytearray(content))
    builtin, codes = schema.BuiltinOperator, model.operatorCodes
    lookup = schema.OperatorCodeT()
    lookup.builtinCode = lookup.deprecatedBuiltinCode = builtin.EMBEDDING_LOOKUP
    lookup.version = 3  # the first version that reads int8 and int4
    for graph in model.subgraphs:
        for operator in graph.operators:
            table, ids = (graph.tensors[number] for number in [*operator.inputs, -1, -1][:2])
            is_table = len(table.shape) == 2 and model.buffers[table.buffer].data is not None
            if codes[operator.opcodeIndex].builtinCode == builtin.GATHER and is_table and len(ids.shape) == 1:
                if lookup not in codes:
                    codes.append(lookup)
                operator.opcodeIndex = codes.index(lookup)
                operator.inputs = operator.inputs[::-1]
                operator.builtinOptions, operator.builtinOptionsType = None, 0
    return bytes(tools.convert_object_to_bytearray(model))


def operations(content: bytes) -> dict[str, int]:
    """Count each operation of a LiteRT file, by name; custom operations, such as Flex, under their own names."""
    tools, schema = _flatbuffers()
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = tools.read_model_from_bytearray(bytearray(content))

    def name(operator: Any) -> str:
        code = model.operatorCodes[operator.opcodeIndex]
        return code.customCode.decode() if code.customCode else names[code.builtinCode]

    found = Counter(name(operator) for graph in model.subgraphs for operator in graph.operators)
    return dict(sorted(found.items()))


def custom_operations(content: bytes) -> list[str]:
    """Return the names of operations that are not LiteRT's own: a plain interpreter refuses a file with one."""
    _, schema = _flatbuffers()
    return [name for name in operations(content) if not hasattr(schema.BuiltinOperator, name)]


def _flatbuffers() -> tuple[Any, Any]:
    try:
        from ai_edge_litert import schema_py_generated
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError as error:
        raise InputError(f"LiteRT is not installed ({error}); pip install 'tinybert_tf[litert]'") from None
    return flatbuffer_utils, schema_py_generated
