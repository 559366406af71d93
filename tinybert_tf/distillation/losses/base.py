"""`DistillationLoss`: the base class of every loss, TinyBERT's and yours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar, Self

from keras import ops, tree

from tinybert_tf import features
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.distillation.replicas import num_replicas, sum_across_replicas
from tinybert_tf.errors import InputError

LAYERS = ("mapped", "consecutive", "embedding", "all")

# What losses are means over, counted from the real tokens of each row, `(rows,)`.
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
    - `call(self, *, student, teacher, mask)` returns a scalar. The tensors are float32; `mask` is `(batch, seq_len)`, 1
      on real tokens and 0 on padding. A `call` that also names `labels` gets them, and one that names `predicts` what
      the logits of both models are (`tinybert_tf.features`; None where they do not say).

    A mean in `call` is that of one replica, of which a small last batch can leave some without rows: `global_mean` is
    exact on several GPUs too.

    Calling the loss gives the unweighted float32 scalar; `weight` is applied by the Distiller.

    Args:
        weight: factor in the Distiller's sum: a number of at least 0, or a function of the optimizer's step that gives
            one, such as `WeightSchedule`.
        name: the name it is logged under; by default the class's, in snake case.

    Raises:
        InputError: no `feature`, a negative weight; when called, tensors of different shapes, a result that is not a
            scalar, labels that are not there.

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

    def __init__(self, weight: Weight = 1.0, name: str | None = None) -> None:
        cls = type(self)
        if not getattr(cls, "feature", None):
            raise InputError(f"{cls.__name__} names no `feature`, the key of the output dict that it compares.")
        if cls.layers not in LAYERS:
            raise InputError(f"{cls.__name__}.layers is {cls.layers!r}; one of {', '.join(LAYERS)} is wanted.")
        if len({features.is_per_layer(name) for name in self.feature_names}) > 1:
            raise InputError(
                f"{cls.__name__} compares {cls.feature}: some exist layer by layer, some once; two losses are wanted."
            )
        if cls.projected and not isinstance(cls.feature, str):
            raise InputError(f"{cls.__name__} compares {cls.feature}; a projection is for a loss of one feature.")
        parameters = inspect.signature(self.call).parameters
        missing = [name for name in ("student", "teacher", "mask") if name not in parameters]
        if cls.call is DistillationLoss.call:
            raise InputError(f"{cls.__name__} implements no `call(self, *, student, teacher, mask)`.")
        if missing and all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
            raise InputError(
                f"{cls.__name__}.call takes no `{missing[0]}`; `call(self, *, student, teacher, mask)` is wanted."
            )
        if not callable(weight) and not weight >= 0:
            raise InputError(f"{cls.__name__}: weight={weight}; a number of at least 0 is wanted.")
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
        """What the loss is a mean over, a key of `COUNTS`: by default tokens, or rows for what a row has once.

        Batches have different numbers of them. `Distiller.fit` weighs batches so that an epoch's sum is the data set's
        mean, however its rows are grouped.
        """
        return "tokens" if self.is_per_layer and not self.reads_padding else "rows"

    def mean_over_of(self, student: Any, predicts: str | None = None) -> str:
        """`mean_over` where a feature that a row has once is compared; of logits of tokens, `tokens`."""
        return "tokens" if self.feature == features.LOGITS and len(student.shape) > 2 else self.mean_over

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
        """The loss of one pair, a scalar."""
        raise NotImplementedError

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse tensors that cannot be compared; by default, those of different shapes.

        Raises:
            InputError: the shapes differ, elsewhere than in the last axis where that may be of `any_width`.
        """
        end = -1 if self.any_width else None
        if _shape(student, end) != _shape(teacher, end):
            raise InputError(
                f"{self.name}: the student's {self.feature} has shape {_shape(student)}, the teacher's "
                f"{_shape(teacher)}; they must be equal{', but for the last axis' if self.any_width else ''}."
            )

    def __call__(
        self, *, student: Any, teacher: Any, mask: Any = None, labels: Any = None, predicts: str | None = None
    ) -> Any:
        """The unweighted loss, a float32 scalar; see the class."""
        student, teacher = tree.map_structure(_float32, student), tree.map_structure(_float32, teacher)
        if mask is None and self.is_per_layer:
            raise InputError(f"{self.name} compares token by token: `mask`, (batch, seq_len), is wanted.")
        if self.layers != "all":
            self.check_shapes(student, teacher)
        arguments = {"student": student, "teacher": teacher, "mask": None if mask is None else _float32(mask)}
        if self._wants("predicts"):
            arguments["predicts"] = predicts
        if self.uses_labels:
            arguments["labels"] = labels
            if labels is None and self.needs_labels:
                raise InputError(f"{self.name}: labels are wanted, and the data has no labels.")
        return self._scalar(self.call(**arguments))

    def _scalar(self, value: Any) -> Any:
        """What `call` returned, float32."""
        if isinstance(value, int | float):
            value = ops.convert_to_tensor(value, "float32")
        found = f"shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
        if found != "shape ()":
            raise InputError(f"{type(self).__name__}.call returned {found}; a scalar tensor is wanted.")
        return ops.cast(value, "float32")

    def _wants(self, argument: str) -> bool:
        return argument in inspect.signature(self.call).parameters

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"weight": self.weight, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss from its `get_config`."""
        return cls(**config)


def global_mean(total: Any, count: Any) -> Any:
    """`total / count`, where both are summed over the batch of all replicas; 0 where there is nothing to count.

    Under `tf.distribute` every replica sees its part of the batch, with a number of real tokens of its own. Each
    divides its total by the whole batch's count, times the number of replicas: the strategy's mean over replicas is
    then exactly the mean over the batch, as on one device.
    """
    count = sum_across_replicas(ops.cast(count, "float32"))
    return total * float(num_replicas()) / ops.maximum(count, 1.0)


def global_mean_of(values: Any) -> Any:
    """The mean of all elements of `values`, over the batch of all replicas; see `global_mean`."""
    return global_mean(ops.sum(values), ops.size(values))


def check_reduction(reduction: str, owner: object) -> str:
    """Refuse a `reduction` that is neither `tokens` nor `paper`."""
    if reduction not in ("tokens", "paper"):
        raise InputError(f"{type(owner).__name__}: reduction={reduction!r}; 'tokens' or 'paper' is wanted.")
    return reduction


def _float32(tensor: Any) -> Any:
    return ops.cast(tensor, "float32")


def _shape(tensor: Any, end: int | None = None) -> Any:
    return tree.map_structure(lambda leaf: tuple(leaf.shape[:end]), tensor)
