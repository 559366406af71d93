"""`DistillationLoss`: the base class of every loss, TinyBERT's and yours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar, Self

from keras import ops, tree

from tinybert_tf import features
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError
from tinybert_tf.short_repr import short_repr
from tinybert_tf.trainable.loss_terms import ratio

LAYERS = ("mapped", "consecutive", "embedding", "all")
Means = list[tuple[Any, Any]]  # (total, count) pairs of scalars; the loss is the sum of `total / count`

# What a loss that returns a scalar is a mean over, counted from the real tokens of each row, `(rows,)`.
COUNTS: dict[str, Callable[[Any], Any]] = {
    "rows": lambda lengths: ops.sum(ops.ones_like(lengths)),
    "tokens": ops.sum,
    "token_pairs": lambda lengths: ops.sum(ops.square(lengths)),
}


class DistillationLoss:
    """Compares one feature of the student with the same feature of the teacher.

    A subclass names the `feature` and implements `call`:

    - `feature`: a key of the models' output dict (`hidden_states`, `attention_scores`, `queries`, `keys`, `values`,
      `pooled_output`, `last_hidden_state`, `logits`), or a tuple of keys: `student` and `teacher` are dicts then.
    - `layers`: for a feature that exists layer by layer, which layers are compared. `mapped` (default): once for each
      pair of the layer map's layers 1..N, summed. `consecutive`: once for each of these pairs and the next, with
      `(lower, upper)` tensors. `embedding`: once, for the embedding outputs. `all`: once, with `{layer: tensor}` of all
      layers.
    - `projected`: whether a learned projection may bring the student's last axis to the teacher's width. `any_width`:
      whether that axis may differ as it is. `compares`: what logits may be (`tinybert_tf.features`); None is anything.
    - `call(self, *, student, teacher, mask)` returns `(total, count)`, two scalars: what it sums, and over how many.
      Both are added up over the parts of a batch and over all devices, and divided once; `arithmetic.py` makes them.
      `num_means` of such pairs in a list are that many means, which are added. A `call` may also return a scalar: the
      mean over what `mean_over` names (`tokens`, `token_pairs` or `rows`).
      The tensors are float32; `mask` is `(batch, seq_len)`, 1 on real tokens and 0 on padding. A `call` that also names
      `labels` gets them, and one that names `predicts` what the logits of both models are (`tinybert_tf.features`; None
      where they do not say).
    - `couples_rows`: whether the loss compares rows of a batch with each other, so that it is no sum over parts of it.
      `min_rows`: the fewest rows of a batch, on one device, of which it is not constant; fewer count 0. `min_width`:
      the fewest numbers in the last axis, or classes, of which it is not constant; fewer are refused.

    Calling the loss gives the unweighted float32 scalar; `weight` is applied by the Distiller.

    Args:
        weight: factor in the Distiller's sum: a number of at least 0, or a function of the optimizer's step that gives
            one, such as `WeightSchedule`.
        name: the name it is logged under; by default the class's, in snake case.

    Raises:
        InputError: no `feature`, an unknown `mean_over`, a negative weight; when called, tensors of different shapes, a
            result that is neither a scalar nor such pairs, labels that are not there.

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

    def __init__(self, weight: Weight = 1.0, name: str | None = None) -> None:
        cls = type(self)
        if not getattr(cls, "feature", None):
            raise InputError(f"{cls.__name__} names no `feature`, the key of the output dict that it compares.")
        if cls.layers not in LAYERS:
            raise InputError(f"{cls.__name__}.layers is {cls.layers!r}; expected one of {', '.join(LAYERS)}.")
        if len({features.is_per_layer(name) for name in self.feature_names}) > 1:
            raise InputError(
                f"{cls.__name__} compares {cls.feature}: some exist layer by layer, some once; expected two losses."
            )
        if cls.projected and not isinstance(cls.feature, str):
            raise InputError(f"{cls.__name__} compares {cls.feature}; a projection is for a loss of one feature.")
        parameters = inspect.signature(self.call).parameters
        missing = [name for name in ("student", "teacher", "mask") if name not in parameters]
        if cls.call is DistillationLoss.call:
            raise InputError(f"{cls.__name__} implements no `call(self, *, student, teacher, mask)`.")
        if missing and all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
            raise InputError(
                f"{cls.__name__}.call takes no `{missing[0]}`; expected `call(self, *, student, teacher, mask)`."
            )
        if isinstance(cls.mean_over, str) and cls.mean_over not in COUNTS:  # not a property
            raise InputError(f"{cls.__name__}.mean_over is {cls.mean_over!r}; expected one of {', '.join(COUNTS)}.")
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
    def mean_over(self) -> str:
        """What a scalar is the mean over, a key of `COUNTS`: by default tokens, or rows for what a row has once.

        Batches have different numbers of them. `Distiller.fit` weighs a batch's gradient by its number, so that an
        epoch's sum is that of the data set's mean, however its rows are grouped.
        """
        return "tokens" if self.is_per_layer and not self.reads_padding else "rows"

    def mean_over_of(self, student: Any, predicts: str | None = None) -> str:
        """`mean_over` where a feature that a row has once is compared; of logits of tokens, `tokens`."""
        return "tokens" if self.feature == features.LOGITS and len(student.shape) > 2 else self.mean_over

    @property
    def num_means(self) -> int:
        """The number of `(total, count)` pairs that `call` returns."""
        return 1

    @property
    def uses_labels(self) -> bool:
        """Whether `call` wants the labels."""
        return self._wants("labels")

    @property
    def needs_labels(self) -> bool:
        """Whether data without labels is refused; by default, where `call` wants them."""
        return self.uses_labels

    @property
    def reads_padding(self) -> bool:
        """Whether the loss looks at the teacher's features of padding, which a cache of them does not have."""
        return False

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`; see the class."""
        raise NotImplementedError

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse tensors that cannot be compared; by default, those of different shapes.

        Raises:
            InputError: the shapes differ, elsewhere than in the last axis where that may be of `any_width`; a last axis
                that makes the loss constant.
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
                f"{self.name}: found a last axis of {narrow[0]}, of which this loss is constant; expected "
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
        """What `call` returned, `(total, count)` or a list of these."""
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
    """`total / count`, 0 where there is nothing to count; for losses that return a scalar."""
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
