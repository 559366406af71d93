"""Mean squared error of hidden states, layer by layer."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import masked_sum, sum_of_rows
from tinybert_tf.distillation.losses.base import DistillationLoss, check_reduction
from tinybert_tf.distillation.losses.weights import Weight


class HiddenStateLoss(DistillationLoss):
    """`MSE(H_S W, H_T)` for each mapped pair of layers 1..N (arXiv 1909.10351, equation 8).

    Student and teacher are `(batch, seq_len, hidden_size)`; the Distiller projects the student's to the teacher's
    width where they differ.

    Args:
        reduction: `tokens`: the mean over the width, averaged over the real tokens of the batch. `paper`: the authors'
            code (task_distill.py, `MSELoss`): the mean over everything, padding included.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Example:
        >>> import numpy as np
        >>> student, teacher = np.zeros((1, 2, 4)), np.ones((1, 2, 4))
        >>> float(HiddenStateLoss()(student=student, teacher=teacher, mask=np.array([[1, 0]])))
        1.0
    """

    feature = "hidden_states"
    projected = True

    def __init__(self, reduction: str = "tokens", weight: Weight = 1.0, name: str | None = None) -> None:
        super().__init__(weight=weight, name=name)
        self.reduction = check_reduction(reduction, self)

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        squared = ops.mean(ops.square(student - teacher), axis=-1)  # (batch, seq_len)
        if self.reduction == "paper":
            return sum_of_rows(squared)
        return masked_sum(squared, mask)

    @property
    def reads_padding(self) -> bool:
        """The authors' mean is over padding too."""
        return self.reduction == "paper"

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "reduction": self.reduction}
