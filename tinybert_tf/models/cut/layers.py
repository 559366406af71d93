"""Fits the parts of a student one after the other, each to the values that the teacher has in its place.

Every map is a ridge regression from the student's own activations so far to the teacher's, around the teacher's own
weights seen through the basis. So each part makes up for the errors of earlier parts and for the layers left out in
between, as far as a linear map can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tinybert_tf.models.cut.activations import (
    LayerActivations,
    Texts,
    as_array,
    attention_context,
    embedding_sums,
    layer_activations,
)
from tinybert_tf.models.cut.heads import NarrowHead, most_important_heads, narrow_head
from tinybert_tf.models.cut.least_squares import Affine, LeastSquares, Moments
from tinybert_tf.models.cut.residual_basis import expansion
from tinybert_tf.models.encoder.embeddings import Embeddings
from tinybert_tf.models.encoder.encoder_layer import EncoderLayer

Activations = list[np.ndarray]
"""Values of each batch, `(batch, seq_len, ...)`."""


@dataclass(frozen=True)
class Fit:
    """The settings that all parts share: the texts, the basis `(teacher_width, student_width)`, the ridge."""

    texts: Texts
    basis: np.ndarray
    ridge: float

    def narrow(self, values: Sequence[np.ndarray]) -> Activations:
        """Teacher hidden states in the student's basis."""
        return [value @ self.basis.astype(np.float32) for value in values]

    def moments(self, values: Sequence[np.ndarray]) -> Moments:
        """Mean and covariance over the tokens of `values`."""
        return Moments.of(*self.texts.tokens(values))

    def standard_deviation(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """Standard deviation of each column over the tokens of `values`, `(width,)`."""
        mean = sum(rows.sum(axis=0, dtype=np.float64) for rows in self.texts.tokens(values)) / self.texts.num_tokens
        squares = sum(((rows - mean) ** 2).sum(axis=0) for rows in self.texts.tokens(values))
        return np.sqrt(squares / self.texts.num_tokens)

    def dense(
        self, dense: keras.layers.Dense, prior: np.ndarray, inputs: Sequence[np.ndarray], targets: Sequence[np.ndarray]
    ) -> None:
        """Give a dense layer the map from `inputs` to `targets`."""
        fitted = LeastSquares(prior, self.ridge)
        for rows, expected in zip(self.texts.tokens(inputs), self.texts.tokens(targets), strict=True):
            fitted.add(rows, expected)
        assign_dense(dense, fitted.solve())

    def layer_norm(
        self, layer_norm: keras.layers.LayerNormalization, inputs: Sequence[np.ndarray], targets: Sequence[np.ndarray]
    ) -> Activations:
        """Give a LayerNorm the scale and offset of each channel that fit best; returns its outputs."""
        size = inputs[0].shape[-1]
        layer_norm.gamma.assign(np.ones(size, np.float32))
        layer_norm.beta.assign(np.zeros(size, np.float32))
        normalised = Moments()
        wanted = Moments()
        product: np.ndarray | float = 0.0
        outputs = [as_array(layer_norm(values)) for values in inputs]
        for rows, target in zip(self.texts.tokens(outputs), self.texts.tokens(targets), strict=True):
            product = product + (rows.astype(np.float64) * target).sum(axis=0)
            normalised.add(rows)
            wanted.add(target)
        variance = np.maximum(np.diag(normalised.covariance), np.finfo(np.float32).tiny)
        gamma = (np.asarray(product) / normalised.count - normalised.mean * wanted.mean) / variance
        layer_norm.gamma.assign(gamma.astype(np.float32))
        layer_norm.beta.assign((wanted.mean - gamma * normalised.mean).astype(np.float32))
        return [as_array(layer_norm(values)) for values in inputs]


def kernel_of(dense: keras.layers.Dense) -> np.ndarray:
    """A dense layer's kernel, `(inputs, outputs)` float64."""
    return as_array(dense.kernel).astype(np.float64)


def assign_dense(dense: keras.layers.Dense, affine: Affine) -> None:
    """Assign a map to a dense layer's kernel and bias."""
    dense.kernel.assign(affine.kernel.astype(np.float32))
    dense.bias.assign(affine.bias.astype(np.float32))


def cut_embeddings(student: Embeddings, teacher: Embeddings, output: Sequence[np.ndarray], fit: Fit) -> Activations:
    """Give the student its embedding tables, in its basis; return its embedding output.

    If the tables have an `embedding_size` of their own, the student takes them unchanged, and the projection behind
    them is cut to the basis: nothing is lost. `output` is the teacher's embedding output.
    """
    if teacher.projection is not None:
        for ours, theirs in zip(student.weights, teacher.weights, strict=True):
            if tuple(ours.shape) == tuple(theirs.shape):
                ours.assign(theirs)
        kernel, bias = kernel_of(teacher.projection), as_array(teacher.projection.bias)
        assign_dense(student.projection, Affine(kernel @ fit.basis, bias @ fit.basis))
        return fit.narrow(output)
    for name, table in teacher.tables.items():
        student.tables[name].embeddings.assign((as_array(table.embeddings) @ fit.basis).astype(np.float32))
    return fit.layer_norm(student.layer_norm, embedding_sums(student, fit.texts), fit.narrow(output))


def cut_layer(
    student: EncoderLayer, teacher: EncoderLayer, inputs: Activations, teacher_inputs: Activations, fit: Fit
) -> tuple[Activations, Activations]:
    """Fit one layer; return the student's output and the teacher's.

    Args:
        student: the layer that gets its weights.
        teacher: the layer it is cut from.
        inputs: the inputs of the student's layer, `(batch, seq_len, student_width)` for each batch.
        teacher_inputs: the inputs of the teacher's layer.
        fit: the texts and the basis.
    """
    activations = layer_activations(teacher, teacher_inputs, fit.texts)
    attended = _cut_attention(student, teacher, inputs, teacher_inputs, activations, fit)
    hidden = fit.layer_norm(student.attention_layer_norm, attended, fit.narrow(activations.normalised))
    summed = _cut_feed_forward(student, teacher, hidden, activations, fit)
    output = fit.layer_norm(student.output_layer_norm, summed, fit.narrow(activations.output))
    return output, activations.output


def _cut_attention(
    student: EncoderLayer,
    teacher: EncoderLayer,
    inputs: Activations,
    teacher_inputs: Activations,
    activations: LayerActivations,
    fit: Fit,
) -> Activations:
    """Fit the four projections; returns the student's residual sum."""
    ours, theirs = student.attention, teacher.attention
    heads = _narrow_heads(ours, theirs, activations, fit)
    expand = expansion(fit.moments(teacher_inputs), fit.basis)
    for name in ("queries", "keys", "values"):
        dense = {"queries": "query", "keys": "key", "values": "value"}[name]
        kernel = kernel_of(getattr(theirs, dense)).reshape(-1, theirs.num_attention_heads, theirs.head_size)
        maps = [(head.number, getattr(head, name)) for head in heads]
        prior = np.concatenate([expand.kernel @ kernel[:, number] @ narrow for number, narrow in maps], axis=1)
        targets = [
            np.concatenate([value[:, :, number] @ narrow.astype(np.float32) for number, narrow in maps], axis=-1)
            for value in getattr(activations, name)
        ]
        fit.dense(getattr(ours, dense), prior, inputs, targets)
    context = [
        attention_context(ours, hidden, mask_bias)["context"]
        for hidden, mask_bias in zip(inputs, fit.texts.mask_biases, strict=True)
    ]
    output_kernel = kernel_of(theirs.output_projection).reshape(theirs.num_attention_heads, theirs.head_size, -1)
    prior = np.concatenate([head.output @ output_kernel[head.number] for head in heads]) @ fit.basis
    targets = _differences(fit.narrow(activations.attended), inputs)
    fit.dense(ours.output_projection, prior, context, targets)
    return _residual(inputs, ours.output_projection, context)


def _narrow_heads(ours: Any, theirs: Any, activations: LayerActivations, fit: Fit) -> list[NarrowHead]:
    queries, keys, context = (
        np.concatenate(list(fit.texts.tokens(values)))
        for values in (activations.queries, activations.keys, activations.context)
    )
    context = context.reshape(len(context), theirs.num_attention_heads, theirs.head_size)
    output_kernel = kernel_of(theirs.output_projection).reshape(theirs.num_attention_heads, theirs.head_size, -1)
    kept = most_important_heads(context, output_kernel, ours.num_attention_heads)
    return [
        narrow_head(head, queries[:, head], keys[:, head], context[:, head], output_kernel[head], ours.head_size)
        for head in kept
    ]


def _cut_feed_forward(
    student: EncoderLayer, teacher: EncoderLayer, hidden: Activations, activations: LayerActivations, fit: Fit
) -> Activations:
    """Fit the two maps around the units that matter most; returns the student's residual sum.

    A unit's importance is the standard deviation of its activation times the norm of its row in the output map.
    """
    output_kernel = kernel_of(teacher.output_projection) @ fit.basis
    activated = [as_array(teacher.activation(values)) for values in activations.expanded]
    importance = fit.standard_deviation(activated) * np.linalg.norm(output_kernel, axis=1)
    units = np.sort(np.argsort(-importance, kind="stable")[: student.intermediate_size])
    expand = expansion(fit.moments(activations.normalised), fit.basis)
    prior = expand.kernel @ kernel_of(teacher.intermediate)[:, units]
    fit.dense(student.intermediate, prior, hidden, [values[..., units] for values in activations.expanded])
    activated = [as_array(student.activation(student.intermediate(values))) for values in hidden]
    targets = _differences(fit.narrow(activations.summed), hidden)
    fit.dense(student.output_projection, output_kernel[units], activated, targets)
    return _residual(hidden, student.output_projection, activated)


def _differences(values: Activations, others: Activations) -> Activations:
    return [value - other for value, other in zip(values, others, strict=True)]


def _residual(hidden: Activations, dense: Callable[[Any], Any], values: Activations) -> Activations:
    return [inputs + as_array(dense(rows)) for inputs, rows in zip(hidden, values, strict=True)]
