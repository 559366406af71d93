"""A task model as an ONNX graph, written operation by operation from its weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tinybert_tf import features
from tinybert_tf.errors import InputError
from tinybert_tf.models.encoder.attention import MASKED
from tinybert_tf.models.encoder.embeddings import Embeddings
from tinybert_tf.models.encoder.encoder_layer import EncoderLayer
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.quantization.state import refuse_quantized

# The first operator set with GELU; LayerNorm has been one since 17.
OPSET = 20


class OnnxGraph:
    """The nodes and weights of a task model's ONNX graph; `model_proto()` returns the file's content.

    It computes the same as `InferenceGraph`, in operations for which ONNX Runtime has kernels: tokens are rows of a
    matrix, LayerNorm and GELU are one node each, and the last layer of a classifier of texts computes only the first
    token.

    Raises:
        InputError: the encoder has layers of other classes than its own, or the model is quantized.
    """

    def __init__(self, model: TaskModel) -> None:
        import onnx

        self._onnx = onnx
        self._nodes: list[Any] = []
        self._weights: dict[str, Any] = {}
        self._model = model
        config = model.config
        refuse_quantized(model, "onnx")
        if not all(layer.is_plain for layer in model.encoder.encoder_layers):
            raise InputError("onnx: expected an encoder with its own layers only; use saved_model for one with others")
        self.input_names = ["input_ids", "attention_mask"] + ["token_type_ids"] * (config.type_vocab_size > 1)
        self.size, self.heads, self.head_size = config.hidden_size, config.num_attention_heads, config.head_size
        self.batch_and_length = self.node("Shape", "input_ids")
        self._write(model)

    def node(self, operation: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"{operation}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def weight(self, value: Any, name: str | None = None) -> str:
        """Add a constant and return its name."""
        array = np.asarray(value, order="C")
        if name is None:
            name = f"constant_{len(self._weights)}"
        self._weights[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def model_proto(self) -> Any:
        """Return the file's content."""
        helper, types = self._onnx.helper, self._onnx.TensorProto
        given = [helper.make_tensor_value_info(name, types.INT32, ["batch", "length"]) for name in self.input_names]
        shape = ["batch", None] if isinstance(self._model, SequenceClassifier) else ["batch", "length", None]
        answer = helper.make_tensor_value_info(features.LOGITS, types.FLOAT, shape)
        graph = helper.make_graph(self._nodes, "tinybert_tf", given, [answer], list(self._weights.values()))
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="tinybert_tf")
        made.ir_version = 10  # read by runtimes as old as the operator set
        self._onnx.checker.check_model(made)
        return made

    def _write(self, model: TaskModel) -> None:
        rows = self._embeddings(model.encoder.embeddings)
        one, masked = self.weight(np.float32(1)), self.weight(np.float32(MASKED))
        mask = self.node("Cast", "attention_mask", to=self._onnx.TensorProto.FLOAT)
        bias = self.node("Mul", self.node("Sub", one, mask), masked)
        bias = self.node("Unsqueeze", bias, self.weight(np.array([1, 2])))
        *below, last = model.encoder.encoder_layers
        for layer in below:
            rows = self._layer(layer, rows, bias, first_only=False)
        reads_first = isinstance(model, SequenceClassifier)
        rows = self._layer(last, rows, bias, first_only=reads_first)
        if isinstance(model, SequenceClassifier):
            dense, _ = model.pooling
            activation = "tanh" if model.dense is None else model.head_design(model.config).activation or "tanh"
            pooled = self.activated(self.dense(rows, dense), activation)
            pooled = self.node("Relu", pooled) if model.relu else pooled
            self.dense(pooled, model.classifier, output=features.LOGITS)
        else:
            answers = self.dense(rows, model.token_head)
            self.node("Reshape", answers, self._shape(model.token_head.units), output=features.LOGITS)

    def _shape(self, *last: int) -> str:
        return self.node("Concat", self.batch_and_length, self.weight(np.array(last, np.int64)), axis=0)

    def _embeddings(self, embeddings: Embeddings) -> str:
        tables = {name: self.weight(table.embeddings, name) for name, table in embeddings.tables.items()}
        total = self.node("Gather", tables["word_embeddings"], "input_ids")
        positions = tables["position_embeddings"]
        if embeddings.padding_idx is None:
            length = self.node("Shape", "input_ids", start=1, end=2)
            start, axis = self.weight(np.array([0])), self.weight(np.array([0]))
            total = self.node("Add", total, self.node("Slice", positions, start, length, axis))
        else:
            padding = self.weight(np.int32(embeddings.padding_idx))
            is_token = self.node("Not", self.node("Equal", "input_ids", padding))
            is_token = self.node("Cast", is_token, to=self._onnx.TensorProto.INT32)
            counted = self.node("CumSum", is_token, self.weight(np.int32(1)))
            numbers = self.node("Add", self.node("Mul", counted, is_token), padding)
            total = self.node("Add", total, self.node("Gather", positions, numbers))
        if "token_type_embeddings" in tables:
            types = tables["token_type_embeddings"]
            if "token_type_ids" in self.input_names:
                total = self.node("Add", total, self.node("Gather", types, "token_type_ids"))
            else:
                total = self.node("Add", total, self.node("Gather", types, self.weight(np.int64(0))))
        width = self.weight(np.array([-1, embeddings.embedding_size]))
        rows = self.layer_norm(self.node("Reshape", total, width), embeddings.layer_norm)
        return rows if embeddings.projection is None else self.dense(rows, embeddings.projection)

    def _layer(self, layer: EncoderLayer, rows: str, bias: str, first_only: bool) -> str:
        attention, head = layer.attention, self.head_size
        in_heads = self._shape(self.heads, head)
        asked, asked_in_heads = rows, in_heads
        if first_only:
            hidden = self.node("Reshape", rows, self._shape(self.size))
            asked = self.node("Gather", hidden, self.weight(np.int64(0)), axis=1)
            asked_in_heads = self.weight(np.array([-1, 1, self.heads, head]))
        scale = 1 / math.sqrt(head)  # part of the weights, where it costs nothing

        def split(rows: str, dense: Any, shape: str, order: tuple[int, ...], factor: float = 1.0) -> str:
            return self.node(
                "Transpose", self.node("Reshape", self.dense(rows, dense, factor=factor), shape), perm=order
            )

        queries = split(asked, attention.query, asked_in_heads, (0, 2, 1, 3), scale)
        keys = split(rows, attention.key, in_heads, (0, 2, 3, 1))
        values = split(rows, attention.value, in_heads, (0, 2, 1, 3))
        scores = self.node("Add", self.node("MatMul", queries, keys), bias)
        context = self.node("MatMul", self.node("Softmax", scores, axis=-1), values)
        context = self.node("Transpose", context, perm=(0, 2, 1, 3))
        context = self.node("Reshape", context, self.weight(np.array([-1, self.heads * head])))
        attended = self.node("Add", asked, self.dense(context, attention.output_projection))
        middle = self.layer_norm(attended, layer.attention_layer_norm)
        expanded = self.activated(self.dense(middle, layer.intermediate), layer.hidden_act)
        projected = self.node("Add", middle, self.dense(expanded, layer.output_projection))
        return self.layer_norm(projected, layer.output_layer_norm)

    def dense(self, rows: str, dense: Any, output: str | None = None, factor: float = 1.0) -> str:
        """Add a product with a layer's kernel, and its bias, both multiplied by `factor`."""
        path = dense.path
        kernel = self.weight(np.asarray(dense.kernel) * np.float32(factor), f"{path}/kernel")
        bias = self.weight(np.asarray(dense.bias) * np.float32(factor), f"{path}/bias")
        return self.node("Add", self.node("MatMul", rows, kernel), bias, output=output)

    def layer_norm(self, rows: str, norm: keras.layers.LayerNormalization) -> str:
        """Add the LayerNorm of rows."""
        gamma, beta = self.weight(norm.gamma, f"{norm.path}/gamma"), self.weight(norm.beta, f"{norm.path}/beta")
        return self.node("LayerNormalization", rows, gamma, beta, axis=-1, epsilon=norm.epsilon)

    def activated(self, rows: str, activation: str) -> str:
        """Add an activation, by its name in `EncoderConfig.hidden_act`."""
        return _ACTIVATIONS[activation](self, rows)


def _silu(graph: OnnxGraph, rows: str) -> str:
    return graph.node("Mul", rows, graph.node("Sigmoid", rows))


def _tanh_gelu(graph: OnnxGraph, rows: str) -> str:
    return graph.node("Gelu", rows, approximate="tanh")


_ACTIVATIONS: dict[str, Callable[[OnnxGraph, str], str]] = {
    "gelu": lambda graph, rows: graph.node("Gelu", rows),
    "gelu_new": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "relu": lambda graph, rows: graph.node("Relu", rows),
    "silu": _silu,
    "swish": _silu,
    "tanh": lambda graph, rows: graph.node("Tanh", rows),
}
