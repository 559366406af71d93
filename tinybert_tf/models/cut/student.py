"""`cut_student`: a narrower, shallower student, every map of it fitted to its teacher's activations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.cut.activations import Texts, as_array, layer_activations
from tinybert_tf.models.cut.layers import Activations, Fit, assign_dense, cut_embeddings, cut_layer, kernel_of
from tinybert_tf.models.cut.least_squares import Affine, LeastSquares, Moments
from tinybert_tf.models.cut.residual_basis import BASES, expansion, residual_basis
from tinybert_tf.models.encoder.encoder import TransformerEncoder
from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.heads.token_heads import TokenModel
from tinybert_tf.models.pretrained import in_precision
from tinybert_tf.short_repr import short_repr
from tinybert_tf.slow_work import SlowWork

# The pooler and the classifier see one row a text, not one a token: they lean more on the teacher's own weights.
HEAD_RIDGE = 1e-2


# The number of tokens that a cut is fitted on by default.
MAX_TOKENS = 65_536
# Sizes of which a cut student has at most its teacher's.
CUT_SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
# Fields in which a cut student equals its teacher.
EQUAL_FIELDS = (
    "model_type",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "pad_token_id",
    "hidden_act",
    "embedding_size",
)


@dataclass(frozen=True)
class Cut:
    """The basis and the fit of a cut student, as `cut_student` returns them.

    `basis`, `(teacher_width, student_width)`: the student's hidden states are fitted to `teacher hidden @ basis`.
    `unexplained`: for each student layer (0 is the embedding output) the fraction, from 0 up, of the variance of these
    targets that the student misses before any training. `moments`: mean and covariance of the teacher's hidden states
    in each student layer's place.
    """

    basis: np.ndarray
    unexplained: Mapping[int, float]
    moments: Mapping[int, Moments]

    def __repr__(self) -> str:
        return short_repr(self, basis=self.basis.shape, unexplained=dict(self.unexplained))

    def __str__(self) -> str:
        rows = (f"{layer:>7}  {share:>10.1%}" for layer, share in self.unexplained.items())
        return "\n".join(("student  unexplained", *rows))

    def expansion(self, layers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel and bias of the map from the student's hidden states, in these layers, back to the teacher's.

        Kernel `(student_width, teacher_width)`, bias `(teacher_width,)`, by least squares on the texts of the cut. The
        projection of a hidden-state loss starts from it.
        """
        pooled = Moments()
        for layer in layers:
            pooled.merge(self.moments[layer])
        affine = expansion(pooled, self.basis)
        return affine.kernel, affine.bias


def cut_student(
    student: TransformerEncoder | TaskModel,
    teacher: TransformerEncoder | TaskModel,
    pairs: Iterable[tuple[int, int]],
    batches: Iterable[Mapping[str, Any] | tuple[Any, ...]],
    basis: str = "components",
    ridge: float = 1e-3,
    max_tokens: int | None = MAX_TOKENS,
) -> Cut:
    """Give a student the weights that make it compute what its teacher computes, as well as its size allows.

    No gradient is involved. The student's hidden states are to be the teacher's in a narrower basis. There is one basis
    for the whole network, because the residual connections add the hidden states up. Then each part, from the
    embeddings to the classifier, is fitted on the texts to the teacher's values in its place: by a ridge regression
    from the student's own activations, around the teacher's weights seen through the basis. Heads become narrower along
    the directions that keep their scores; the feed-forward units that contribute most stay.

    Args:
        student: the model to fill; it has at most the teacher's layers, width, heads and units.
        teacher: the model to cut it from, of the same class; it does not change. Both are computed in float32, whatever
            their precision.
        pairs: `(student_layer, teacher_layer)`, counted from 1, for every student layer, both ascending.
        batches: a few hundred texts, all of them in memory at once: dicts of `input_ids`, `attention_mask` and
            optionally `token_type_ids`, each `(batch, seq_len)`; or the batches of `TextDataset.batches`.
        basis: `components` takes the principal components of the hidden states, `channels` the teacher's channels that
            vary most.
        ridge: how much a fit leans on the teacher's own weights, in units of its inputs' mean variance.
        max_tokens: the first batches are taken up to so many tokens, at least one batch; None takes all. More texts
            take more time and memory, about 80 bytes for each token and channel of the teacher, and change little.

        Returns:
            The basis, and how well each layer was fitted.

    Raises:
        InputError: a size is above the teacher's, the embeddings differ, a student layer has no teacher layer, there
            are no texts, or `basis` is unknown.
    """
    layer_of = dict(pairs)
    texts = Texts(batches, max_tokens)
    _check(student, teacher, layer_of, texts, basis)
    exact = in_precision(student, "float32")
    cut = _cut(exact, in_precision(teacher, "float32"), layer_of, texts, basis, ridge)
    if exact is not student:
        for variable, value in zip(student.weights, exact.weights, strict=True):
            variable.assign(value)
    return cut


def _cut(student: Any, teacher: Any, layer_of: Mapping[int, int], texts: Texts, basis: str, ridge: float) -> Cut:
    """Cut checked models, both in float32."""
    ours, theirs = _encoder(student), _encoder(teacher)
    # Every layer of the teacher is run twice, batch by batch; the student's are fitted beside the second time.
    texts.work = SlowWork("cut", 2 * max(layer_of.values()) * len(texts.batches))
    teacher_hidden = [
        as_array(theirs.embeddings(batch["input_ids"], batch.get("token_type_ids"))) for batch in texts.batches
    ]
    moments, between = _hidden_moments(theirs, teacher_hidden, texts, layer_of)
    fit = Fit(texts, residual_basis([*moments.values(), *between], student.config.hidden_size, basis), ridge)
    hidden = cut_embeddings(ours.embeddings, theirs.embeddings, teacher_hidden, fit)
    unexplained = {0: _unexplained(hidden, fit.narrow(teacher_hidden), texts)}
    done = 0
    for number, layer in enumerate(ours.encoder_layers, start=1):
        for skipped in theirs.encoder_layers[done : layer_of[number] - 1]:
            teacher_hidden = layer_activations(skipped, teacher_hidden, texts).output
        done = layer_of[number]
        hidden, teacher_hidden = cut_layer(layer, theirs.encoder_layers[done - 1], hidden, teacher_hidden, fit)
        unexplained[number] = _unexplained(hidden, fit.narrow(teacher_hidden), texts)
    _cut_head(student, teacher, hidden, teacher_hidden, fit)
    return Cut(fit.basis, unexplained, moments)


def _encoder(model: TransformerEncoder | TaskModel) -> TransformerEncoder:
    return model.encoder if isinstance(model, TaskModel) else model


def _pooling(model: TransformerEncoder | TaskModel) -> tuple[Any, Any]:
    """The dense layer on the first token, or None, and its activation."""
    if isinstance(model, SequenceClassifier):
        return model.pooling
    return _encoder(model).pooler, keras.activations.tanh


def _hidden_moments(
    teacher: TransformerEncoder, hidden: Activations, texts: Texts, layer_of: Mapping[int, int]
) -> tuple[dict[int, Moments], list[Moments]]:
    """The moments of the teacher's hidden states, by student layer; and those between attention and feed-forward."""
    student_layer = {theirs: ours for ours, theirs in layer_of.items()}
    moments, between = {0: Moments.of(*texts.tokens(hidden))}, []
    for number, layer in enumerate(teacher.encoder_layers[: max(student_layer)], start=1):
        activations = layer_activations(layer, hidden, texts)
        hidden = activations.output
        if number in student_layer:
            moments[student_layer[number]] = Moments.of(*texts.tokens(hidden))
            between.append(Moments.of(*texts.tokens(activations.normalised)))
    return moments, between


def _unexplained(values: Activations, targets: Activations, texts: Texts) -> float:
    errors = Moments.of(*texts.tokens([value - target for value, target in zip(values, targets, strict=True)]))
    return float(np.trace(errors.second_moment) / np.trace(Moments.of(*texts.tokens(targets)).covariance))


def _cut_head(student: Any, teacher: Any, hidden: Activations, teacher_hidden: Activations, fit: Fit) -> None:
    """Fit the dense layer on the first token, if both have one, and the classifier; or the head on all tokens."""
    if isinstance(teacher, TokenModel):
        kernel = kernel_of(teacher.token_head)
        logits = [values @ kernel + as_array(teacher.token_head.bias) for values in teacher_hidden]
        prior = expansion(fit.moments(teacher_hidden), fit.basis).kernel @ kernel
        fit.dense(student.token_head, prior, hidden, logits)
        return
    (ours, activation), (theirs, teacher_activation) = _pooling(student), _pooling(teacher)
    if ours is None or theirs is None:
        return
    first, teacher_first = (np.concatenate([values[:, 0] for values in each]) for each in (hidden, teacher_hidden))
    kernel = kernel_of(theirs)
    before_activation = teacher_first @ kernel + as_array(theirs.bias)
    pooled = _activated(teacher_activation, before_activation)
    classifier = kernel_of(teacher.classifier) if isinstance(teacher, SequenceClassifier) else np.eye(kernel.shape[1])
    importance = pooled.std(axis=0) * np.linalg.norm(classifier, axis=1)
    units = np.sort(np.argsort(-importance, kind="stable")[: kernel_of(ours).shape[1]])
    prior = expansion(Moments.of(teacher_first), fit.basis).kernel @ kernel[:, units]
    assign_dense(ours, _fit_rows(prior, first, before_activation[:, units], fit))
    if isinstance(teacher, SequenceClassifier):
        logits = pooled @ classifier + as_array(teacher.classifier.bias)
        narrow = _activated(activation, first @ kernel_of(ours) + as_array(ours.bias))
        assign_dense(student.classifier, _fit_rows(classifier[units], narrow, logits, fit))


def _activated(activation: Any, values: np.ndarray) -> np.ndarray:
    return as_array(activation(values.astype(np.float32))).astype(np.float64)


def _fit_rows(prior: np.ndarray, rows: np.ndarray, targets: np.ndarray, fit: Fit) -> Affine:
    fitted = LeastSquares(prior, max(fit.ridge, HEAD_RIDGE))
    fitted.add(rows, targets)
    return fitted.solve()


def _check(student: Any, teacher: Any, layer_of: Mapping[int, int], texts: Texts, basis: str) -> None:
    if type(student) is not type(teacher):
        kinds = type(student).__name__, type(teacher).__name__
        raise InputError(f"student: expected the teacher's class, {kinds[1]}, got {kinds[0]}.")
    if basis not in BASES:
        raise InputError(f"basis: got {basis!r}; expected one of {', '.join(BASES)}.")
    if not texts.batches:
        raise InputError("batches: expected at least one batch of texts to cut the student on, got none.")
    check_cut(student.config, teacher.config)
    layers = [*range(1, student.num_hidden_layers + 1)]
    chosen = [layer_of.get(layer, 0) for layer in layers]
    if sorted(layer_of) != layers or chosen != sorted(set(chosen)) or chosen[-1] > teacher.num_hidden_layers:
        raise InputError(
            f"pairs {sorted(layer_of.items())}: expected a teacher layer for each of the student's layers 1 to "
            f"{student.num_hidden_layers}, each above the one before it and at most {teacher.num_hidden_layers}."
        )


def check_cut(student: EncoderConfig, teacher: EncoderConfig) -> None:
    """Refuse a student that is larger than its teacher, or built in another way.

    Raises:
        InputError: names the first size that does not fit.
    """
    for name in CUT_SIZES:
        ours, theirs = getattr(student, name), getattr(teacher, name)
        if ours > theirs:
            raise InputError(f"{name}={ours}: a student cut from its teacher has at most the teacher's {theirs}.")
    if student.embedding_size is None and student.hidden_size == teacher.embedding_size:
        raise InputError(
            f"hidden_size={student.hidden_size}: expected another width than the teacher's embedding_size, at which a "
            f"student has no projection behind its embeddings, as the teacher has."
        )
    for name in EQUAL_FIELDS:
        ours, theirs = getattr(student, name), getattr(teacher, name)
        if ours != theirs:
            raise InputError(f"{name}={ours}: a student cut from its teacher has the teacher's, {theirs}.")
