"""The configuration of a compression: a distillation, and the steps that make the student smaller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from tinybert_tf.config.rules import CheckedSection, Count, Fraction, Rule, SettingError, integer, is_number, one_of
from tinybert_tf.config.schema import DistillConfig, LossSection, StageSection
from tinybert_tf.errors import InputError


def _is_place(value: Any) -> bool:
    return is_number(value) and (0 <= value <= 1 or (value > 1 and float(value).is_integer()))


Place = Annotated[float, Rule("a fraction of the steps from 0 to 1, or an integer number of steps", _is_place)]

Bits = Annotated[int, Rule("8", lambda value: value == 8)]


@dataclass(frozen=True)
class PruningSection(CheckedSection):
    """Weights that become zero, as in `tinybert_tf.MagnitudePruning`.

    `sparsity`: fraction of each kernel's weights, in [0, 1). `pattern`: `unstructured`, a block such as `1x4` (inputs x
    outputs), or `2:4`. `schedule`: `polynomial` or `constant`. `begin`, `end`: fractions of the steps of all stages, in
    [0, 1], or whole steps above 1. `frequency`: the number of steps between two choices of the zeros. `kernels`: a
    regular expression for the names of pruned weights; by default the kernels of the encoder's layers.
    """

    sparsity: Fraction = 0.5
    pattern: str = "unstructured"
    schedule: Annotated[str, one_of("polynomial", "constant")] = "polynomial"
    begin: Place = 0.0
    end: Place = 0.6
    frequency: Count | None = None
    kernels: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.begin <= 1) == (self.end <= 1) and self.begin >= self.end:
            raise SettingError("end", f"expected a place after begin={self.begin:g}, got {self.end:g}")

    def steps(self, total_steps: int) -> tuple[int, int]:
        """`begin` and `end` as optimizer steps, of `total_steps`.

        Raises:
            InputError: `end` is above `total_steps`.
        """
        begin, end = (int(place * total_steps) if place <= 1 else int(place) for place in (self.begin, self.end))
        if end > total_steps:
            raise InputError(f"end: expected a step up to {total_steps}, the last of the stages, got {self.end:g}")
        return begin, end


@dataclass(frozen=True)
class StructureSection(CheckedSection):
    """Attention heads and feed-forward units that are removed, as in `tinybert_tf.prune_structure`.

    `num_attention_heads`, `intermediate_size`: the numbers that stay in each layer. `rounds`: the number of equal steps
    to get there, each followed by all stages of distillation.
    """

    num_attention_heads: Count | None = None
    intermediate_size: Count | None = None
    rounds: Count = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_attention_heads is None and self.intermediate_size is None:
            raise SettingError("num_attention_heads", "expected this or intermediate_size, got neither")


@dataclass(frozen=True)
class ClusteringSection(CheckedSection):
    """Few distinct values in each matrix, as in `tinybert_tf.cluster_weights`.

    `kernels`: as in pruning, but by default the word embeddings too.
    """

    num_clusters: Annotated[int, integer(2)] = 16
    kernels: str | None = None


@dataclass(frozen=True)
class QuantizationSection(CheckedSection):
    """Numbers of few bits, as in `tinybert_tf.quantize_aware`; the run ends with a LiteRT file of them.

    `bits`: the bits of a weight; activations have 8. `calibration_texts`: the number of texts of the training file on
    which the ranges of activations are measured.
    """

    bits: Bits = 8
    calibration_texts: Count = 256


@dataclass(frozen=True)
class ExportSection(CheckedSection):
    """The file under `export/` that the run ends with; its keys are the flags of `tinybert export`.

    It is verified on the dev file; `full_int8` is calibrated on texts of the training file.
    """

    format: str = "litert"
    quantize: str | None = None
    lengths: tuple[int, ...] | None = None
    min_agreement: float = 0.95


def _compression_stage() -> tuple[StageSection, ...]:
    """The stage of a compression: predictions only, since the student has learned its teacher's inside before."""
    return (StageSection("compress", (LossSection("prediction"),)),)


# The steps, in the order in which they are taken.
STEP_SECTIONS = ("structure", "pruning", "quantization", "clustering")


@dataclass(frozen=True, kw_only=True)
class CompressConfig(DistillConfig):
    """A compression: a distillation of a student that has been distilled, through steps that make it smaller.

    `student.dir`: the student; without it one is made as in `distill`. `stages`: the stages of distillation in every
    step, by default the teacher's predictions alone. The sections that are given are the steps, in this order:
    `structure`, `pruning`, `quantization`, `clustering`. The last one is not followed by training, and is for float
    students. `export`: a file of the student, which is verified; a quantized student has a LiteRT file in any case.
    """

    stages: tuple[StageSection, ...] = field(default_factory=_compression_stage)
    structure: StructureSection | None = None
    pruning: PruningSection | None = None
    quantization: QuantizationSection | None = None
    clustering: ClusteringSection | None = None
    export: ExportSection | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if all(getattr(self, name) is None for name in STEP_SECTIONS):
            raise SettingError(STEP_SECTIONS[0], f"expected at least one section of {', '.join(STEP_SECTIONS)}")
        if self.quantization is not None and self.clustering is not None:
            raise SettingError(
                "clustering",
                "expected this or `quantization`, not both: clustering is for floats, and quantization leaves none",
            )
        if self.quantization is not None and self.export is not None:
            if self.export.format != "litert":
                raise SettingError(
                    "export.format", f"expected litert, the format of a quantized student, got {self.export.format!r}"
                )
            if self.export.quantize is not None:
                raise SettingError(
                    "export.quantize", f"expected none beside the section `quantization`, got {self.export.quantize!r}"
                )
        if self.baseline:
            raise SettingError(
                "baseline", "expected false: a compression is compared with the student that it starts from, got true"
            )
        if self.pruning is not None:
            self._refuse_early_ends()

    def _refuse_early_ends(self) -> None:
        """Refuse settings that end training early or skip steps: pruning needs every step of its schedule."""
        if self.train.steps_per_execution > 1:
            found = f"expected 1, since pruning keeps its zeros after every step, got {self.train.steps_per_execution}"
            raise SettingError("train.steps_per_execution", found)
        places = {"train": self.train} | {f"stages.{number}": stage for number, stage in enumerate(self.stages)}
        for place, section in places.items():
            if section.patience is not None:
                raise SettingError(
                    f"{place}.patience", f"expected none, since pruning runs to its last step, got {section.patience}"
                )
