"""`Distiller`: a Keras model that trains a student to give its teacher's features."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tinybert_tf import features
from tinybert_tf.checked_model import check_inputs_of
from tinybert_tf.distillation.agreement import agree_on_labels, agree_on_predictions
from tinybert_tf.distillation.compared import compared_shapes, distinct_names, projection_widths
from tinybert_tf.distillation.comparison import Comparison, call_arguments
from tinybert_tf.distillation.layer_map import LayerMap
from tinybert_tf.distillation.losses.base import DistillationLoss
from tinybert_tf.distillation.losses.declared import COUNTS
from tinybert_tf.distillation.projections import Projections
from tinybert_tf.errors import InputError
from tinybert_tf.trainable.box import Box
from tinybert_tf.trainable.loss_terms import LossTerm
from tinybert_tf.trainable.replicas import sum_across_replicas
from tinybert_tf.trainable.trainable_model import TrainableModel, without_gradient_warnings


class Distiller(TrainableModel):
    """Trains a student on the weighted sum of losses between its features and its teacher's.

    It is a `keras.Model` around the two: `compile(optimizer, metrics=...)` and `fit(train, validation_data=dev)` work
    as for any other. A step passes the batch once through the student and once through the teacher; gradients reach
    only the student and the projections. Each loss is logged under its own name, unweighted and summed over its layers;
    `loss` is the weighted sum. `metrics` see the student's logits. A batch of `tinybert_tf` weighs by its number of
    rows, tokens or pairs of tokens, whichever a loss is a mean over: so an epoch's losses are means over the data set,
    however its rows are grouped.

    If a batch's inputs have all compared features of the teacher, under `features.teacher_key`, these are used and the
    teacher is not run: see `TeacherCache`.

    Teacher and student are any two Keras models that take `input_ids`, `attention_mask` (and `token_type_ids`), have a
    `num_hidden_layers` (a teacher of which only predictions are compared needs none), and return the dict of
    `tinybert_tf.features`, or one with names of their own that a loss compares. Their `predicts` tells the kind of
    their logits.

    Args:
        teacher: the model to learn from; frozen, called with `training=False`.
        student: the model to train.
        layer_map: `uniform`, `top`, `bottom`, `emd`, `attention`, pairs, or a `LayerMap`.
        losses: the losses, each with its weight.
        projections: `shared` or `per_layer`, see `Projections`; made for losses that allow them, if widths differ.

    Raises:
        InputError: there are no losses; the student's labels, their order, or the kind of its logits differ from the
            teacher's; a loss's features or pairs do not exist or cannot be compared.

    Example:
        >>> from tinybert_tf.distillation.losses import AttentionLoss, HiddenStateLoss
        >>> from tinybert_tf.models.config import EncoderConfig
        >>> from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
        >>> from tinybert_tf.models.teaching.teacher import Teacher
        >>> teacher = Teacher(SequenceClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100)))
        >>> student = SequenceClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100, num_hidden_layers=1))
        >>> distiller = Distiller(teacher, student, losses=[AttentionLoss(), HiddenStateLoss()])
        >>> distiller.layer_map.pairs
        ((0, 0), (1, 2), (2, 3))
    """

    takes_row_weights = False

    def __init__(
        self,
        teacher: keras.Model,
        student: keras.Model,
        layer_map: LayerMap | str | Iterable[Iterable[int]] = "uniform",
        *,
        losses: Sequence[DistillationLoss],
        projections: str = "shared",
        **kwargs: Any,
    ) -> None:
        # The student's policy, so that Keras scales the loss under float16.
        super().__init__(**{"dtype": student.dtype_policy, **kwargs})
        if not losses:
            raise InputError("a Distiller needs at least one loss.")
        self.student = student
        # In a box, not as an attribute: the Distiller must not save, count or train the teacher.
        self._teacher_box = Box(teacher)
        teacher.trainable = False
        agree_on_labels(teacher, student)
        depths = student.num_hidden_layers, getattr(teacher, "num_hidden_layers", 0)
        self.layer_map = LayerMap.for_losses(layer_map, losses, *depths)
        names = distinct_names(losses)
        predicts = agree_on_predictions(teacher, student)
        self.comparisons = tuple(
            Comparison.bind(loss, name, self.layer_map, predicts) for loss, name in zip(losses, names, strict=True)
        )
        self.layer_weights = [each.weights for each in self.comparisons if each.weights is not None]
        self.student_arguments = call_arguments(self.comparisons, 0, depths[0])
        # The student always computes its logits: metrics need them, and a prediction costs next to nothing.
        self.student_arguments.pop("last_layer", None)
        self.teacher_arguments = call_arguments(self.comparisons, 1, depths[1])
        if "last_layer" not in inspect.signature(teacher.call).parameters:
            self.teacher_arguments.pop("last_layer", None)
        self._specs_box = Box(self._trace_feature_specs())
        student_spec, teacher_spec = self.feature_specs()
        self.teacher_shapes = compared_shapes(self.comparisons, teacher_spec)
        widths = projection_widths(self.comparisons, student_spec, teacher_spec)
        self.projections = Projections(widths, projections, dtype=student.dtype_policy, name="projections")
        for comparison in self.comparisons:
            comparison.check_shapes(student_spec, teacher_spec, self.projections)
        self._units = [comparison.mean_over(student_spec) for comparison in self.comparisons]
        # The mean numbers of rows, tokens, ... in a batch, in the order of `COUNTS`; 0 where it is not known.
        self._mean_counts = Box(
            keras.Variable(np.zeros(len(COUNTS)), dtype="float32", trainable=False, aggregation="mean")
        )
        self.track_losses()
        self.built = True

    @property
    def teacher(self) -> keras.Model:
        """The model to learn from."""
        return self._teacher_box.content

    def __dir__(self) -> list[str]:
        """Every name except `teacher`: Keras saves the weights of all models that it finds here."""
        return [name for name in super().__dir__() if name != "teacher"]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The student's output dict, with the features that the losses compare."""
        inputs = {name: value for name, value in inputs.items() if not name.startswith(features.TEACHER)}
        return self.student(inputs, training=training, **self.student_arguments)

    def check_inputs(self, inputs: Any) -> None:
        """Check inputs for the student, and for the teacher if it is run."""
        check_inputs_of([self.student, self.teacher], inputs, self.teacher_shapes)

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """`keras.Model.compile`, without `loss`.

        Raises:
            InputError: a `loss` is given, which belongs in the constructor; or `accumulation_steps` is above 1 and a
                loss or a learned layer map couples the rows of a batch.
        """
        if loss is not None:
            raise InputError("a Distiller's losses are given to its constructor, not to `compile`.")
        steps = kwargs.get("accumulation_steps", 1)
        coupled = [comparison.name for comparison in self.comparisons if comparison.couples_rows]
        if coupled and steps > 1:
            raise InputError(
                f"accumulation_steps={steps}: {', '.join(coupled)} compares the rows of a batch with each other, or "
                f"weighs layers by all of them, and is not a sum over its parts; expected 1."
            )
        super().compile(optimizer=optimizer, **kwargs)

    @property
    def num_classes(self) -> int | None:
        """The number of the student's classes if a loss reads labels, else None."""
        reads_labels = any(comparison.loss.needs_labels for comparison in self.comparisons)
        logits = self.feature_specs()[0].get(features.LOGITS) if reads_labels else None
        are_classes = getattr(self.student, "predicts", None) == features.CLASSES
        return None if logits is None or not are_classes else logits.shape[-1]

    def _check_rows(self, batch_size: int | None) -> None:
        """Refuse batches so small that a loss is constant, where their size is known."""
        if batch_size is None:
            return
        strategy = getattr(self, "distribute_strategy", None)
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        for comparison in self.comparisons:
            if batch_size < comparison.loss.min_rows * replicas:
                raise InputError(
                    f"{comparison.name}: found batches of {batch_size} rows on {replicas} devices, which make the loss "
                    f"constant; expected {comparison.loss.min_rows} rows or more on each device."
                )

    def tracked_losses(self) -> Mapping[str, int]:
        """The name of each loss, and its number of means."""
        return {comparison.name: comparison.num_means for comparison in self.comparisons}

    def loss_terms(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> list[LossTerm]:
        """The losses between the student's outputs and the teacher's.

        Raises:
            InputError: there are sample weights, which these losses cannot use.
        """
        if sample_weight is not None:
            raise InputError("a Distiller takes no sample weights; use the losses' own weights.")
        teacher = self._teacher_outputs(x)
        terms = []
        for comparison, tracker in zip(self.comparisons, self.loss_trackers, strict=True):
            mask, labels = comparison.mask_and_labels(x, y, y_pred)
            means = comparison(y_pred, teacher, mask, labels, self.projections, training)
            weight = comparison.loss.weight
            terms.append(LossTerm.of(tracker, means, weight(self.optimizer.iterations) if callable(weight) else weight))
        return terms

    def step_divisors(self, x: Any, counts: Sequence[Any], training: bool) -> Sequence[Any]:
        """The counts of the whole batch; in `fit`, of the mean batch, so that each row of an epoch weighs the same.

        With the authors' reduction (`paper`), each batch weighs the same.
        """
        if not training:
            return super().step_divisors(x, counts, training)
        lengths = ops.sum(ops.cast(x["attention_mask"], "float32"), axis=-1)
        held = ops.stack([count(lengths) for count in COUNTS.values()])
        *divisors, held = sum_across_replicas([*counts, held])
        means = self._mean_counts.content
        known = ops.where(means > 0, ops.divide_no_nan(means, held), 1.0)
        factors = dict(zip(COUNTS, ops.unstack(known, num=len(COUNTS)), strict=True))
        return [
            divisor if comparison.loss.reads_padding else divisor * factors[unit]
            for comparison, unit, divisor in zip(self.comparisons, self._units, divisors, strict=True)
        ]

    def _teacher_outputs(self, inputs: Any) -> Any:
        """The teacher's features that are compared: those in the batch, else from the teacher itself."""
        if all(key in inputs for key in self.teacher_shapes):
            outputs = features.from_teacher_keys(inputs, self.teacher_shapes)
        else:
            outputs = self.teacher(inputs, training=False, **self.teacher_arguments)
        return keras.tree.map_structure(ops.stop_gradient, outputs)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The metrics given to `compile`, on the student's logits."""
        return super().compute_metrics(x, y, y_pred.get(features.LOGITS), sample_weight)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """One update of the student and the projections."""
        with without_gradient_warnings():
            return super().train_step(*args, **kwargs)

    def predict_step(self, data: Any) -> Any:
        """Predict as the student does."""
        return self.student.predict_step(data)

    def get_config(self) -> dict[str, Any]:
        """Refuse: a Distiller cannot be made from a config, because it holds two models.

        Raises:
            InputError: always.
        """
        raise InputError("a Distiller is not saved whole; save its student, or its weights (save_weights_only=True).")

    def fit(self, x: Any = None, *args: Any, verbose: Any = "auto", **kwargs: Any) -> keras.callbacks.History:
        """`keras.Model.fit`; prints the layer map before the first step, unless `verbose=0`."""
        if verbose:
            print(self.layer_map, file=sys.stderr, flush=True)
        self.weigh_batches(x)
        self._check_rows(getattr(x, "batch_size", kwargs.get("batch_size")))
        return super().fit(x, *args, verbose=verbose, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch`: the batch weighs 1, whatever `fit` was given before."""
        self.weigh_batches(None)
        return super().train_on_batch(*args, **kwargs)

    def weigh_batches(self, batches: Any) -> None:
        """Read the mean number of rows, tokens and token pairs of the training batches, where they have `row_lengths`.

        A batch with more of them than the mean then weighs more.
        """
        means = np.zeros(len(COUNTS))
        lengths = getattr(batches, "row_lengths", None)
        if lengths is not None:
            exact = np.asarray(lengths, np.float64)
            means = np.array([float(count(exact)) for count in COUNTS.values()]) / len(batches)
        self._mean_counts.content.assign(means)
        if keras.backend.backend() != "tensorflow":  # others trace the variable as a constant
            self.train_function = None

    def traced_layers(self) -> list[keras.layers.Layer]:
        """The layers of the student, and of the teacher, which Keras does not see."""
        return [*super().traced_layers(), *self.teacher._flatten_layers()]

    def feature_specs(self) -> tuple[Any, Any]:
        """The outputs of student and teacher as symbolic tensors, None for batch and sequence length."""
        return self._specs_box.content

    def _trace_feature_specs(self) -> tuple[Any, Any]:
        ids = keras.KerasTensor((None, None), dtype="int32")
        inputs = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ids)
        student = self.student.compute_output_spec(inputs, training=False, **self.student_arguments)
        teacher = self.teacher.compute_output_spec(inputs, training=False, **self.teacher_arguments)
        return student, teacher
