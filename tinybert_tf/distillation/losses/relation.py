"""MiniLM's losses: divergences of attention probabilities, and of relations among queries, keys or values."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import row_divergence
from tinybert_tf.distillation.losses.attention import check_heads
from tinybert_tf.distillation.losses.base import DistillationLoss
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError


class AttentionKLLoss(DistillationLoss):
    """`KL(A_T || A_S)` of attention probabilities for each mapped pair (MiniLM, arXiv 2002.10957).

    Probabilities are the softmax over real tokens of `attention_scores`, `(batch, heads, seq_len, seq_len)`; the mean
    is over heads and real tokens. MiniLM compares the last layers alone: `layer_map: [[N, M]]`.

    Raises:
        InputError: when called, student and teacher have different numbers of heads.

    Example:
        >>> import numpy as np
        >>> student, teacher = np.zeros((1, 1, 2, 2)), np.array([[[[0.0, np.log(3.0)], [0.0, 0.0]]]])
        >>> loss = AttentionKLLoss()(student=student, teacher=teacher, mask=np.array([[1, 1]]))
        >>> round(float(loss), 4)  # rows: log 2 - H(1/4, 3/4), and 0
        0.0654
    """

    feature = "attention_scores"

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse different numbers of heads.

        Raises:
            InputError: the numbers differ.
        """
        check_heads(self.name, student, teacher, "use ValueRelationLoss with num_relation_heads")
        super().check_shapes(student, teacher)

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        return row_divergence(student, teacher, mask)


class RelationLoss(DistillationLoss):
    """The base of MiniLM's relations: `KL(R_T || R_S)`, `R = softmax(A A^T / sqrt(d))` in each relation head.

    A are queries, keys or values, `(batch, heads, seq_len, head_size)`; d is the size of a relation head. The mean is
    over relation heads and real tokens (MiniLM, arXiv 2002.10957; MiniLMv2, arXiv 2012.15828).

    Args:
        num_relation_heads: the number of relation heads: the attention heads are joined and split anew. It must divide
            both models' widths, and their numbers of heads may then differ. By default each attention head is a
            relation head.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: a `num_relation_heads` below 1; when called, one that does not divide a width, or without one,
            different numbers of heads.
    """

    def __init__(self, num_relation_heads: int | None = None, weight: Weight = 1.0, name: str | None = None) -> None:
        super().__init__(weight=weight, name=name)
        if num_relation_heads is not None and not (isinstance(num_relation_heads, int) and num_relation_heads >= 1):
            raise InputError(
                f"{type(self).__name__}: num_relation_heads={num_relation_heads!r}; expected an integer >= 1."
            )
        self.num_relation_heads = num_relation_heads

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse heads that cannot be compared.

        Raises:
            InputError: see the class.
        """
        if self.num_relation_heads is None:
            check_heads(self.name, student, teacher, "this loss num_relation_heads")
            return
        for who, tensor in (("student", student), ("teacher", teacher)):
            width = tensor.shape[1] * tensor.shape[3]
            if width % self.num_relation_heads:
                raise InputError(
                    f"{self.name}: num_relation_heads={self.num_relation_heads} must divide the {who}'s width, {width}."
                )

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        return row_divergence(self._relations(student), self._relations(teacher), mask)

    def _relations(self, vectors: Any) -> Any:
        """The relations before the softmax, `(batch, relation_heads, seq_len, seq_len)`."""
        heads, size = vectors.shape[1], vectors.shape[3]
        if self.num_relation_heads is not None:
            batch, seq_len = ops.shape(vectors)[0], ops.shape(vectors)[2]
            heads, size = self.num_relation_heads, heads * size // self.num_relation_heads
            tokens = ops.transpose(vectors, (0, 2, 1, 3))  # (batch, seq_len, heads, head_size)
            vectors = ops.transpose(ops.reshape(tokens, (batch, seq_len, heads, size)), (0, 2, 1, 3))
        return ops.matmul(vectors, ops.transpose(vectors, (0, 1, 3, 2))) / math.sqrt(size)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "num_relation_heads": self.num_relation_heads}


class QueryRelationLoss(RelationLoss):
    """Relations among queries: one of MiniLMv2's three; see `RelationLoss`."""

    feature = "queries"


class KeyRelationLoss(RelationLoss):
    """Relations among keys; see `RelationLoss`."""

    feature = "keys"


class ValueRelationLoss(RelationLoss):
    """Relations among values: MiniLM's second loss, and one of MiniLMv2's three; see `RelationLoss`.

    Example:
        >>> import numpy as np
        >>> student, teacher = np.ones((1, 2, 3, 4)), np.ones((1, 4, 3, 6))
        >>> float(ValueRelationLoss(num_relation_heads=8)(student=student, teacher=teacher, mask=np.array([[1, 1, 0]])))
        0.0
    """

    feature = "values"
