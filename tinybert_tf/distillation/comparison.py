"""One loss, bound to the layers of a layer map that it compares."""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tinybert_tf import features
from tinybert_tf.distillation.layer_map import LayerMap
from tinybert_tf.distillation.learned_map import LEARNED_MAPS, LayerWeights
from tinybert_tf.distillation.losses.base import DistillationLoss, Means
from tinybert_tf.distillation.paired_layers import FIXED, PairedLayers, Pairs, WholeFeature
from tinybert_tf.distillation.predictions import of_logits
from tinybert_tf.errors import InputError
from tinybert_tf.trainable.loss_terms import ratio

Project = Callable[..., Any]  # (tensor, name=, layer=) to tensor


@dataclass(frozen=True)
class Comparison:
    """A loss and the layers that it compares; `predicts` is the meaning of the logits, where the models name it."""

    loss: DistillationLoss
    name: str
    layers: PairedLayers
    predicts: str | None = None

    @classmethod
    def bind(cls, loss: DistillationLoss, name: str, layer_map: LayerMap, predicts: str | None = None) -> Comparison:
        """Find the loss's pairs in the map.

        Raises:
            InputError: the map has no pair for this loss, or the loss cannot compare this kind of logits.
        """
        if loss.compares is not None and predicts is not None and predicts not in loss.compares:
            raise InputError(
                f"{name} compares {' or '.join(loss.compares)}, and the models predict {predicts}; `prediction` and "
                f"`logits_mse` compare these."
            )
        return cls(loss, name, _paired(loss, name, layer_map), predicts)

    @property
    def pairs(self) -> Pairs | None:
        """The pairs of layers; None where nothing is paired (logits, or all layers at once)."""
        return self.layers.pairs

    @property
    def weights(self) -> LayerWeights | None:
        """The weights of the pairs, where the layer map is learned."""
        return self.layers if isinstance(self.layers, LayerWeights) else None

    def requested(self, side: int) -> features.LayerRequest:
        """The layers of the student (side 0) or the teacher (side 1) whose features the loss compares."""
        return True if self.pairs is None else tuple(sorted({pair[side] for pair in self.pairs}))

    def compared(self, student: Mapping[str, Any], teacher: Mapping[str, Any]) -> Iterator[tuple[int | None, Any, Any]]:
        """The features that are compared, pair by pair: the student's layer, its feature, the teacher's feature."""
        for ours, theirs in self.pairs if self.pairs is not None else [(None, None)]:
            yield ours, self._select(student, ours), self._select(teacher, theirs)

    def check_shapes(self, student: Mapping[str, Any], teacher: Mapping[str, Any], projections: Project) -> None:
        """Refuse outputs, or their specs, that the loss cannot compare; all layers at once may differ.

        Raises:
            InputError: as the loss.
        """
        for layer, ours, theirs in self.compared(student, teacher):
            if self.loss.layers != "all":
                self.loss.check_shapes(self.project(ours, layer, projections), theirs)

    def project(self, feature: Any, layer: int | None, projections: Project) -> Any:
        """The student's feature, projected if the loss allows it."""
        if layer is None or not self.loss.projected:
            return feature
        return projections(feature, name=self.loss.feature_names[0], layer=layer)

    def mean_over(self, student: Mapping[str, Any]) -> str:
        """The unit of the loss's mean for these outputs or their specs, a key of `COUNTS`."""
        return self.loss.mean_over if self.pairs else self.loss.mean_over_of(self._select(student, None), self.predicts)

    def mask_and_labels(self, inputs: Mapping[str, Any], labels: Any, student: Mapping[str, Any]) -> tuple[Any, Any]:
        """The mask and the labels of what the loss compares, from the student's inputs, the data's labels, its outputs.

        Raises:
            InputError: the labels do not belong to the logits.
        """
        if features.LOGITS not in self.loss.feature_names or features.LOGITS not in student:
            return inputs["attention_mask"], labels
        return of_logits(inputs, labels, student[features.LOGITS])

    @property
    def couples_rows(self) -> bool:
        """Whether the rows of a batch depend on each other, so that it cannot be split into parts."""
        return self.loss.couples_rows or self.layers.couples_rows

    @property
    def num_means(self) -> int:
        """The number of `(total, count)` pairs of all layers together."""
        return self.layers.num_comparisons * self.loss.num_means

    def __call__(
        self,
        student: Mapping[str, Any],
        teacher: Mapping[str, Any],
        mask: Any,
        labels: Any,
        projections: Project,
        training: bool = False,
    ) -> Means:
        """The unweighted loss of all its layers, by totals and counts."""

        def ours(layer: int | None) -> Any:
            return self.project(self._select(student, layer), layer, projections)

        def theirs(layer: int | None) -> Any:
            return self._select(teacher, layer)

        def compare(one: Any, other: Any) -> Means:
            return self.loss.means(one, other, mask, labels, self.predicts)

        return self.layers.means(ours, theirs, compare, training)

    def value(self, *arguments: Any) -> Any:
        """The unweighted loss of one batch, a scalar; `arguments` as in a call."""
        totals, counts = zip(*self(*arguments), strict=True)
        return ratio(ops.stack(totals), ops.stack(counts))

    def check_call(self, student: Mapping[str, Any], teacher: Mapping[str, Any], projections: Project) -> None:
        """Call the loss with symbolic tensors in the shapes of the models' outputs, so that it fails before training.

        Raises:
            InputError: as the loss; or the loss fails, and the message names the line.
        """
        mask = keras.KerasTensor((None, None), dtype="int32")
        labels = label_spec(student.get(features.LOGITS), self.predicts)
        if labels is None and self.loss.needs_labels:
            return
        failures: list[Exception] = []

        def compare(student: Any, teacher: Any, mask: Any, labels: Any) -> Any:
            try:
                return self(student, teacher, mask, labels, projections)
            except Exception as error:  # Keras would replace its message
                failures.append(error)
                raise

        try:
            _Called(compare).compute_output_spec(student, teacher, mask, labels)
        except Exception as error:
            found = failures[0] if failures else error
            if isinstance(found, InputError):
                raise found from None
            frames = traceback.extract_tb(found.__traceback__)
            file = inspect.unwrap(type(self.loss).call).__code__.co_filename
            place = ([frame for frame in frames if frame.filename == file] or frames)[-1]
            what = f"{place.filename}:{place.lineno}: {type(found).__name__}: {found}"
            raise InputError(f"{type(self.loss).__name__}.call fails, {what}") from found

    def _select(self, outputs: Mapping[str, Any], layer: int | None) -> Any:
        def pick(name: str) -> Any:
            if name not in outputs:
                raise InputError(f"{self.name}: expected a feature that the models give, {_choices(name, outputs)}")
            return outputs[name] if layer is None else outputs[name][layer]

        if isinstance(self.loss.feature, str):
            return pick(self.loss.feature)
        return {name: pick(name) for name in self.loss.feature}


def _paired(loss: DistillationLoss, name: str, layer_map: LayerMap) -> PairedLayers:
    """The layers of the map that a loss compares.

    Raises:
        InputError: the map has too few pairs for it, or is learned and not for this loss.
    """
    if loss.part_of_map in ("prediction", "every layer"):
        return WholeFeature()
    of_embedding = loss.layers == "embedding"
    pairs = layer_map.embedding_pairs() if of_embedding else layer_map.layer_pairs()
    if not pairs:
        expected = "(0, ...), the embedding output" if of_embedding else "for a layer from 1 to N"
        raise InputError(f"{name} finds no pair {expected} in the layer map {layer_map.pairs}.")
    if layer_map.learned is not None and not of_embedding:
        students, teachers = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
        return LEARNED_MAPS[layer_map.learned](loss, name, students, teachers)
    if loss.layers == "consecutive" and len(pairs) < 2:
        raise InputError(f"{name} compares each pair of layers with the next; the layer map has {pairs} alone.")
    return FIXED[loss.layers](pairs)


def _choices(name: str, outputs: Iterable[str]) -> str:
    """For a message: all features that a loss may ask for, the one that it asks for, and the most similar one."""
    known = list(dict.fromkeys([*features.REQUESTED_BY, *outputs]))
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"one of {', '.join(known)}, got {name!r}{guess}"


class _Called(keras.layers.Layer):
    """A function as a layer, so that Keras infers the shape of its result."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(dtype="float32")
        self.function = function

    def call(self, *arguments: Any) -> Any:
        """The function's result."""
        return self.function(*arguments)


def label_spec(logits: Any, predicts: str | None) -> Any:
    """The shape and type of the labels for these logits; None without logits."""
    if logits is None:
        return None
    batch, *rest = logits.shape
    if predicts == features.SCORES:
        return keras.KerasTensor((batch,), dtype="float32")
    if predicts == features.LABELS:
        return keras.KerasTensor((batch, *rest), dtype="float32")
    return keras.KerasTensor((batch, *(rest[-1:] if predicts == features.POSITIONS else rest[:-1])), dtype="int32")


def call_arguments(comparisons: Iterable[Comparison], side: int, num_hidden_layers: int) -> dict[str, Any]:
    """The `output_*` arguments that make a model return all features compared; side 0 is the student, 1 the teacher.

    `last_layer` is among them if nothing above that layer is compared.
    """
    layers: dict[str, set[int]] = {}
    whole_model = False
    for comparison in comparisons:
        if not comparison.loss.is_per_layer:
            whole_model = True
            continue
        request = comparison.requested(side)
        for name in comparison.loss.feature_names:
            first = 0 if name == features.HIDDEN_STATES else 1
            asked = features.requested_layers(request, first, num_hidden_layers, features.REQUESTED_BY[name])
            layers.setdefault(features.REQUESTED_BY[name], set()).update(asked)
    arguments: dict[str, Any] = {name: tuple(sorted(numbers)) for name, numbers in layers.items()}
    if not whole_model:
        arguments["last_layer"] = max(number for numbers in layers.values() for number in numbers)
    return arguments
