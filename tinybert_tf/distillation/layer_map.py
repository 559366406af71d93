"""`LayerMap`: the pairs of student and teacher layers that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tinybert_tf.distillation.losses.base import DistillationLoss
from tinybert_tf.errors import InputError
from tinybert_tf.short_repr import short_repr


@dataclass(frozen=True)
class LayerMap:
    """Pairs `(student_layer, teacher_layer)`: 0 is the embedding output, 1..N the layers, N+1 the prediction.

    The map of TinyBERT is `uniform`: student layer m learns from teacher layer g(m) = m * M / N, 0 from 0 and the
    prediction from the prediction (arXiv 1909.10351, section 3.1), rounded to the nearest layer where N does not divide
    M. `top` takes the teacher's last layers, `bottom` its first (section 4.6).

    `emd` and `attention` pair every layer with every layer, and the Distiller learns the weight of each pair
    (`learned`): see `tinybert_tf.distillation.learned_map`.

    Raises:
        InputError: there are no pairs, a layer is negative, or a pair is repeated; for the named maps, the student is
            deeper than its teacher.

    Example:
        >>> print(LayerMap.uniform(2, 6))
        student  teacher
              0        0  embedding output
              1        3
              2        6
              3        7  prediction
    """

    pairs: tuple[tuple[int, int], ...]
    num_student_layers: int | None = None
    num_teacher_layers: int | None = None
    learned: str | None = None

    def __post_init__(self) -> None:
        if not self.pairs:
            raise InputError("a layer map needs at least one pair (student_layer, teacher_layer).")
        if len(set(self.pairs)) != len(self.pairs):
            twice = next(pair for pair in self.pairs if self.pairs.count(pair) > 1)
            raise InputError(f"layer map: pair {twice} is given twice; expected it once.")
        if self.num_student_layers is not None and self.num_teacher_layers is not None:
            top = (self.num_student_layers + 1, self.num_teacher_layers + 1)
            for student, teacher in self.pairs:
                self._check_pair(student, teacher, top)

    @staticmethod
    def _check_pair(student: int, teacher: int, top: tuple[int, int]) -> None:
        for who, layer, last in (("student", student, top[0]), ("teacher", teacher, top[1])):
            if not 0 <= layer <= last:
                raise InputError(
                    f"layer map: pair ({student}, {teacher}) names {who} layer {layer}; the {who} has layers 0 to "
                    f"{last} (0 is the embedding output, {last} the prediction)."
                )
        if (student == top[0]) != (teacher == top[1]):
            raise InputError(
                f"layer map: pair ({student}, {teacher}) maps a prediction to a layer; predictions go together: {top}."
            )

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[Iterable[int]],
        num_student_layers: int | None = None,
        num_teacher_layers: int | None = None,
    ) -> LayerMap:
        """The given pairs; the prediction's `(N+1, M+1)` may be left out.

        Without the depths, the Distiller checks the pairs against its models, and adds the prediction's.
        """
        given = tuple(_as_pair(pair) for pair in pairs)
        if num_student_layers is None or num_teacher_layers is None:
            return cls(given)
        prediction = (num_student_layers + 1, num_teacher_layers + 1)
        return cls(given if prediction in given else (*given, prediction), num_student_layers, num_teacher_layers)

    @classmethod
    def uniform(cls, num_student_layers: int, num_teacher_layers: int) -> LayerMap:
        """Pair layers spread evenly over the teacher, the last layer with the last."""
        n, m = num_student_layers, num_teacher_layers
        return cls._named("uniform", n, m, lambda layer: (2 * layer * m + n) // (2 * n))

    @classmethod
    def top(cls, num_student_layers: int, num_teacher_layers: int) -> LayerMap:
        """Pair the student's layers with the teacher's last ones."""
        n, m = num_student_layers, num_teacher_layers
        return cls._named("top", n, m, lambda layer: m - n + layer)

    @classmethod
    def bottom(cls, num_student_layers: int, num_teacher_layers: int) -> LayerMap:
        """Pair the student's layers with the teacher's first ones."""
        return cls._named("bottom", num_student_layers, num_teacher_layers, lambda layer: layer)

    @classmethod
    def _every(cls, learned: str, n: int, m: int) -> LayerMap:
        layers = [(ours, theirs) for ours in range(1, n + 1) for theirs in range(1, m + 1)]
        return cls(((0, 0), *layers, (n + 1, m + 1)), n, m, learned)

    @classmethod
    def _named(cls, name: str, n: int, m: int, teacher_layer: Callable[[int], int]) -> LayerMap:
        if n > m:
            raise InputError(
                f"layer map {name!r}: the student has num_hidden_layers={n}, the teacher {m}; expected at most as many "
                f"as the teacher has, or a layer map of pairs."
            )
        layers = [(layer, teacher_layer(layer)) for layer in range(1, n + 1)]
        return cls(((0, 0), *layers, (n + 1, m + 1)), n, m)

    @classmethod
    def resolve(
        cls, layer_map: LayerMap | str | Iterable[Iterable[int]], num_student_layers: int, num_teacher_layers: int
    ) -> LayerMap:
        """Make a map for these depths from a map, the name of one, or pairs.

        Raises:
            InputError: an unknown name, or a map made for other depths.
        """
        if isinstance(layer_map, str):
            if layer_map in LEARNED:
                return cls._every(layer_map, num_student_layers, num_teacher_layers)
            if layer_map not in NAMED_MAPS:
                known = ", ".join([*NAMED_MAPS, *LEARNED])
                raise InputError(f"layer map {layer_map!r} is not known; expected one of {known}, or pairs.")
            return NAMED_MAPS[layer_map](num_student_layers, num_teacher_layers)
        if not isinstance(layer_map, LayerMap):
            return cls.from_pairs(layer_map, num_student_layers, num_teacher_layers)
        made_for = (layer_map.num_student_layers, layer_map.num_teacher_layers)
        if made_for == (None, None):
            return cls.from_pairs(layer_map.pairs, num_student_layers, num_teacher_layers)
        if made_for != (num_student_layers, num_teacher_layers):
            raise InputError(
                f"the layer map was made for {made_for[0]} student and {made_for[1]} teacher layers; the models have "
                f"{num_student_layers} and {num_teacher_layers}."
            )
        return layer_map

    @classmethod
    def for_losses(
        cls,
        layer_map: LayerMap | str | Iterable[Iterable[int]],
        losses: Iterable[DistillationLoss],
        num_student_layers: int,
        num_teacher_layers: int,
    ) -> LayerMap:
        """Resolve as `resolve`; if all losses compare predictions, the teacher may be shallower or have no layers."""
        is_named = isinstance(layer_map, str) and layer_map in NAMED_MAPS
        is_for_predictions = is_named and not any(loss.is_per_layer for loss in losses)
        return cls.resolve(() if is_for_predictions else layer_map, num_student_layers, num_teacher_layers)

    def layer_pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs of student layers 1..N."""
        return tuple(pair for pair in self.pairs if pair[0] > 0 and pair[0] != self._prediction)

    def one_to_one(self) -> tuple[tuple[int, int], ...]:
        """The pairs of student layers 1..N along which weights can be copied; for a learned map those of `uniform`."""
        if self.learned is None or self.num_student_layers is None or self.num_teacher_layers is None:
            return self.layer_pairs()
        return LayerMap.uniform(self.num_student_layers, self.num_teacher_layers).layer_pairs()

    def embedding_pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs of the student's embedding output."""
        return tuple(pair for pair in self.pairs if pair[0] == 0)

    @property
    def _prediction(self) -> int | None:
        return None if self.num_student_layers is None else self.num_student_layers + 1

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.pairs)

    def __repr__(self) -> str:
        return short_repr(self, pairs=self.pairs, learned=self.learned)

    def __str__(self) -> str:
        return self._table(self.pairs)

    def table(self, losses: Iterable[DistillationLoss]) -> str:
        """The map as a table, without the pairs that none of these losses reads."""
        read = {loss.part_of_map for loss in losses}
        return self._table([pair for pair in self.pairs if read & {"every layer", self._kind(pair)}])

    def _kind(self, pair: tuple[int, int]) -> str:
        return {0: "embedding output", self._prediction: "prediction"}.get(pair[0], "layers")

    def _table(self, read: Iterable[tuple[int, int]]) -> str:
        pairs: dict[tuple[int, object], str] = {}
        for pair in read:
            kind = self._kind(pair)
            if kind == "layers" and self.learned is not None:
                pairs[pair[0], f"1 to {self.num_teacher_layers}"] = f"  learned: {self.learned}"
            else:
                pairs[pair] = "" if kind == "layers" else f"  {kind}"
        rows = [f"{student:>7}  {teacher:>7}{note}" for (student, teacher), note in pairs.items()]
        return "\n".join(["student  teacher", *rows])


NAMED_MAPS: dict[str, Callable[[int, int], LayerMap]] = {
    "uniform": LayerMap.uniform,
    "top": LayerMap.top,
    "bottom": LayerMap.bottom,
}

# Maps whose weights the Distiller learns.
LEARNED = ("emd", "attention")


def _as_pair(pair: Iterable[int]) -> tuple[int, int]:
    numbers = tuple(pair)
    if len(numbers) != 2 or not all(isinstance(number, int) for number in numbers):
        raise InputError(f"layer map: expected pairs (student_layer, teacher_layer) of integers, got {numbers}.")
    return numbers[0], numbers[1]
