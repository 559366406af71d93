"""`DistillationLoss`: the base class of every loss, TinyBERT's and yours."""

from __future__ import annotations

import inspect
import re
from typing import Any, ClassVar, Self

from keras import ops, tree

from tinybert_tf import features
from tinybert_tf.distillation.losses.declared import COUNTS, LAYERS, check_declared, check_features
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError
from tinybert_tf.short_repr import short_repr
from tinybert_tf.trainable.loss_terms import ratio

Means = list[tuple[Any, Any]]  # (total, count) pairs of scalars; the loss is the sum of `total / count`


class DistillationLoss:
    """Compares one feature of the student with the same feature of the teacher.

    A subclass sets `feature` and implements `call`; it is checked when Python makes the class:

    - `feature`: a key of the models' output dict (`hidden_states`, `attention_scores`, `queries`, `keys`, `values`,
      `pooled_output`, `last_hidden_state`, `logits`), or a tuple of keys: `student` and `teacher` are dicts then.
    - `layers`: the layers that are compared, of a feature that exists layer by layer. `mapped` (default): one call for
      each pair of the layer map's layers 1..N; the losses are summed. `consecutive`: one call for each of these pairs
      and the next, with `(lower, upper)` tensors. `embedding`: one call, with the embedding outputs. `all`: one call,
      with `{layer: tensor}` of all layers.
    - `projected`: whether a learned projection may bring the student's last axis to the teacher's width. `any_width`:
      whether the last axes may differ without one. `compares`: the kinds of logits that the loss accepts
      (`tinybert_tf.features`); None accepts all.
    - `call(self, *, student, teacher, mask)` returns two scalars, `(total, count)`: a sum, and the number of its terms.
      The Distiller adds up both over the parts of a batch and over all devices, and divides once; `arithmetic.py` has
      functions that make them. A loss that is the sum of several means returns a list of `num_means` such pairs. A
      `call` may also return one scalar, the mean over `mean_over` (`tokens`, `token_pairs` or `rows`).
      The tensors are float32; `mask` is `(batch, seq_len)`, 1 on real tokens and 0 on padding. A `call` with a
      parameter `labels` gets them, and one with `predicts` gets the meaning of the logits (`tinybert_tf.features`; None
      where the models do not name it).
    - `couples_rows`: whether the loss compares rows of a batch with each other, so that parts of a batch do not add up
      to it. `min_rows`: a batch of fewer rows on a device makes the loss constant, and counts 0. `min_width`: a smaller
      last axis, or number of classes, makes the loss constant, and is refused.

    Calling the loss gives the unweighted float32 scalar; the Distiller applies `weight`.

    Args:
        weight: factor in the Distiller's sum: a number of at least 0, or a function of the optimizer's step that gives
            one, such as `WeightSchedule`.
        name: the name it is logged under; by default the class's, in snake case.

    Raises:
        InputError: when the class is made: an unknown `layers` or `mean_over`, features that do not go together, a
            `call` without `student`, `teacher` or `mask`. When a loss is made: no `feature`, no `call`, a negative
            weight. When called: tensors of different shapes, missing labels, a result that is neither a scalar nor such
            pairs.

    Example:
        >>> class CosineLoss(DistillationLoss):
        ...     feature = "pooled_output"
        ...     def call(self, *, student, teacher, mask):
        ...         similarity = ops.sum(ops.normalize(student) * ops.normalize(teacher), axis=-1)
        ...         return 1.0 - ops.mean(similarity)
        >>> CosineLoss().name
        'cosine_loss'
    """

    feature: ClassVar[str | tuple[str, ...]]
    layers: ClassVar[str] = "mapped"
    projected: ClassVar[bool] = False
    any_width: ClassVar[bool] = False
    compares: ClassVar[tuple[str, ...] | None] = None
    couples_rows: ClassVar[bool] = False
    min_rows: ClassVar[int] = 1
    min_width: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_declared(cls)

    def __init__(self, weight: Weight = 1.0, name: str | None = None) -> None:
        cls = type(self)
        if not getattr(cls, "feature", None):
            raise InputError(f"{cls.__name__} names no `feature`, the key of the output dict that it compares.")
        check_features(cls.__name__, self.feature, self.projected)
        if cls.call is DistillationLoss.call:
            raise InputError(f"{cls.__name__} implements no `call(self, *, student, teacher, mask)`.")
        if not callable(weight) and not weight >= 0:
            raise InputError(f"{cls.__name__}: weight={weight}; expected a number >= 0.")
        self.weight = weight if callable(weight) else float(weight)
        self.name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features as a tuple, also where there is one."""
        return (self.feature,) if isinstance(self.feature, str) else tuple(self.feature)

    @property
    def is_per_layer(self) -> bool:
        """Whether the feature exists layer by layer."""
        return all(features.is_per_layer(name) for name in self.feature_names)

    @property
    def part_of_map(self) -> str:
        """The part of a layer map that the loss reads: `prediction`, or a value of `LAYERS`."""
        return LAYERS[self.layers] if self.is_per_layer else "prediction"

    @property
    def mean_over(self) -> str:
        """The unit of the mean, a key of `COUNTS`: by default tokens, or rows for a feature that a row has once.

        Batches have different numbers of them. `Distiller.fit` multiplies a batch's gradient by its number, so that an
        epoch adds up to the data set's mean, whatever batches its rows are in.
        """
        return "tokens" if self.is_per_layer and not self.reads_padding else "rows"

    def mean_over_of(self, student: Any, predicts: str | None = None) -> str:
        """`mean_over` for a feature that a row has once; for logits of tokens, `tokens`."""
        return "tokens" if self.feature == features.LOGITS and len(student.shape) > 2 else self.mean_over

    @property
    def num_means(self) -> int:
        """The number of `(total, count)` pairs that `call` returns."""
        return 1

    @property
    def uses_labels(self) -> bool:
        """Whether `call` takes the labels."""
        return self._wants("labels")

    @property
    def needs_labels(self) -> bool:
        """Whether data without labels is refused; by default, where `call` takes them."""
        return self.uses_labels

    @property
    def reads_padding(self) -> bool:
        """Whether the loss reads the teacher's features of padding, which a cache does not have."""
        return False

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`; see the class."""
        raise NotImplementedError

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse tensors that cannot be compared; by default, those of different shapes.

        Raises:
            InputError: the shapes differ, other than in the last axis with `any_width`; a last axis that makes the loss
                constant.
        """
        end = -1 if self.any_width else None
        if _shape(student, end) != _shape(teacher, end):
            # A width that differs, and nothing else, is what a projection is for.
            widths = (
                _shape(student, -1) == _shape(teacher, -1)
                and self.feature == features.HIDDEN_STATES
                and not self.projected
            )
            advice = "; `projected = True` in the class learns a map between the widths" if widths else ""
            raise InputError(
                f"{self.name}: the student's {self.feature} has shape {_shape(student)}, the teacher's "
                f"{_shape(teacher)}; expected equal shapes{', but for the last axis' if self.any_width else advice}"
            )
        narrow = [
            leaf.shape[-1] for leaf in tree.flatten(student) if (leaf.shape[-1] or self.min_width) < self.min_width
        ]
        if narrow:
            raise InputError(
                f"{self.name}: found a last axis of {narrow[0]}, which makes the loss constant; expected "
                f"{self.min_width} or more."
            )

    def __call__(
        self, *, student: Any, teacher: Any, mask: Any = None, labels: Any = None, predicts: str | None = None
    ) -> Any:
        """The unweighted loss, a float32 scalar; see the class."""
        totals, counts = zip(*self.means(student, teacher, mask, labels, predicts), strict=True)
        return ratio(ops.stack(totals), ops.stack(counts))

    def means(self, student: Any, teacher: Any, mask: Any = None, labels: Any = None, predicts: Any = None) -> Means:
        """The loss by its totals and counts: `num_means` pairs of float32 scalars."""
        student, teacher = tree.map_structure(_float32, student), tree.map_structure(_float32, teacher)
        if mask is None and self.is_per_layer:
            raise InputError(f"{self.name} compares token by token: expected a `mask`, (batch, seq_len).")
        if self.layers != "all":
            self.check_shapes(student, teacher)
        mask = None if mask is None else _float32(mask)
        arguments = {"student": student, "teacher": teacher, "mask": mask}
        if self._wants("predicts"):
            arguments["predicts"] = predicts
        if self.uses_labels:
            arguments["labels"] = labels
            if labels is None and self.needs_labels:
                raise InputError(f"{self.name}: the data has no labels; this loss needs them.")
        result = self.call(**arguments)
        if isinstance(result, tuple | list):
            return self._pairs(result)
        unit = self.mean_over if self.is_per_layer else self.mean_over_of(student, predicts)
        count = COUNTS[unit](_lengths(mask, student))
        # A mean over nothing may be NaN, which 0 times it still is.
        return [(ops.where(count > 0, self._scalar(result), 0.0) * count, count)]

    def _pairs(self, result: Any) -> Means:
        """The result of `call`, `(total, count)` or a list of these."""
        pairs = result if isinstance(result, list) else [result]
        if len(pairs) != self.num_means or any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pairs):
            raise InputError(f"{type(self).__name__}.call returned {result!r}; expected {self._expected()}.")
        return [(self._scalar(total), self._scalar(count)) for total, count in pairs]

    def _expected(self) -> str:
        many = f"a list of {self.num_means} pairs (total, count)"
        return many if self.num_means > 1 else "a scalar tensor, or (total, count)"

    def _scalar(self, value: Any) -> Any:
        """A scalar that `call` returned, float32."""
        if isinstance(value, int | float):
            value = ops.convert_to_tensor(value, "float32")
        found = f"shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
        if found != "shape ()":
            raise InputError(f"{type(self).__name__}.call returned {found}; expected {self._expected()}.")
        return ops.cast(value, "float32")

    def _wants(self, argument: str) -> bool:
        return argument in inspect.signature(self.call).parameters

    def __repr__(self) -> str:
        return short_repr(self, **self.get_config())

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"weight": self.weight, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss from its `get_config`."""
        return cls(**config)


def global_mean(total: Any, count: Any) -> Any:
    """`total / count`, 0 where the count is 0; for losses that return a scalar."""
    return ratio(ops.cast(total, "float32"), ops.cast(count, "float32"))


def global_mean_of(values: Any) -> Any:
    """The mean of all elements of `values`; see `global_mean`."""
    return global_mean(ops.sum(values), ops.size(values))


def check_reduction(reduction: str, owner: object) -> str:
    """Refuse a `reduction` that is neither `tokens` nor `paper`."""
    if reduction not in ("tokens", "paper"):
        raise InputError(f"{type(owner).__name__}: reduction={reduction!r}; expected 'tokens' or 'paper'.")
    return reduction


def _float32(tensor: Any) -> Any:
    return ops.cast(tensor, "float32")


def _shape(tensor: Any, end: int | None = None) -> Any:
    return tree.map_structure(lambda leaf: tuple(leaf.shape[:end]), tensor)


def _lengths(mask: Any, student: Any) -> Any:
    """The real tokens of each row, `(rows,)`; without a mask 1."""
    if mask is not None:
        return ops.sum(mask, axis=-1)
    return ops.ones((ops.shape(tree.flatten(student)[0])[0],))
