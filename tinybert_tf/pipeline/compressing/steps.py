"""The steps of a compression: ways to make a student smaller while it is distilled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tinybert_tf.checkpoints.replace_directory import replace_directory
from tinybert_tf.compression.clustering import KERNELS_AND_WORDS, cluster_weights
from tinybert_tf.compression.pruning import ENCODER_KERNELS, MagnitudePruning, prunable_weights, zero_fractions
from tinybert_tf.compression.quantization import quantize_aware
from tinybert_tf.compression.structured_pruning import SIZES, prune_structure, pruned_config
from tinybert_tf.config.compression import ClusteringSection, PruningSection, QuantizationSection, StructureSection
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.errors import InputError
from tinybert_tf.export.litert_quantization import require_litert
from tinybert_tf.models.quantization.state import refuse_quantized
from tinybert_tf.pipeline.parts.distillation import Distillation
from tinybert_tf.pipeline.parts.splits import train_split
from tinybert_tf.pipeline.parts.stages import build_distiller


class Step:
    """A way to make a student smaller while it is distilled through all stages of a config.

    A subclass checks its own section in its constructor, before anything is written. It changes the student in `start`,
    or during training with `callbacks`, which stay for the steps after it, so that these do not undo its work.
    `is_trained` tells whether the student is distilled in this step.
    """

    name: str
    is_trained = True

    def leaves(self, work: Distillation) -> Distillation:
        """Return the distillation on which later steps are checked beforehand: by default with the same student."""
        return work

    def start(self, work: Distillation) -> Distillation:
        """Begin the step and return the distillation to go on with: by default with the same student."""
        return work

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Return the callbacks of `fit` in this step and in those after it."""
        return []

    def counts(self) -> bool:
        """Return whether the student is completely compressed when an epoch ends, so that the epoch can be the best."""
        return True

    def facts(self) -> dict[str, Any]:
        """Return the student's entries in `metrics.json` besides those of every model."""
        return {}


class StructureStep(Step):
    """Removes attention heads and feed-forward units.

    Args:
        section: the config's section.
        work: the distillation with the student to be pruned.
        number: the number of this round of the section, from 1.
    """

    def __init__(self, section: StructureSection, work: Distillation, number: int) -> None:
        self.name = "structure" if section.rounds == 1 else f"structure-{number}"
        refuse_quantized(work.student, "structured pruning")
        config = work.student.config
        last = {name: getattr(section, name) for name in SIZES if getattr(section, name) is not None}
        pruned_config(config, **last)
        left = section.rounds - number
        self.sizes = {
            name: size + (getattr(config, name) - size) * left // section.rounds for name, size in last.items()
        }
        # Refuses a loss that compares heads and does not fit fewer of them now, not when its turn comes.
        self.with_fewer = work.student.with_encoder(pruned_config(config, **self.sizes), dtype="float32")
        self._distillers(work, self.with_fewer)

    def leaves(self, work: Distillation) -> Distillation:
        """Return the distillation with a student of the smaller sizes."""
        return dataclasses.replace(work, student=self.with_fewer)

    def start(self, work: Distillation) -> Distillation:
        """Remove the heads and units; return the distillation with the smaller student."""
        cut = work.config.student.cut
        batches = work.splits["train"].sample(cut.num_texts, cut.max_tokens, work.config.train.seed)
        with work.devices.scope():
            student = prune_structure(work.student, batches, ridge=cut.ridge, max_tokens=cut.max_tokens, **self.sizes)
            return dataclasses.replace(work, student=student, distillers=self._distillers(work, student))

    def _distillers(self, work: Distillation, student: Any) -> list[Distiller]:
        """Make Distillers with the existing projections: the student's hidden states are as wide as before."""
        distillers = [build_distiller(work.distillers[0].teacher, student, stage) for stage in work.stages]
        for ours, before in zip(distillers, work.distillers, strict=True):
            ours.projections.set_weights(before.projections.get_weights())
        return distillers


class PruningStep(Step):
    """Sets weights to zero.

    Args:
        section: the config's section.
        work: the distillation with the student to be pruned.
    """

    name = "pruning"

    def __init__(self, section: PruningSection, work: Distillation) -> None:
        begin, end = section.steps(_total_steps(work))
        self.pruning = MagnitudePruning(
            section.sparsity,
            begin_step=begin,
            end_step=end,
            frequency=section.frequency,
            schedule=section.schedule,
            pattern=section.pattern,
            kernels=ENCODER_KERNELS if section.kernels is None else section.kernels,
        )
        self.pruning.check(work.student)

    def start(self, work: Distillation) -> Distillation:
        """Begin to prune; return the distillation with the same student."""
        self._student = work.student
        return work

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """The pruning."""
        return [self.pruning]

    def counts(self) -> bool:
        """Return whether the pruning is complete."""
        return self.pruning.is_complete

    def facts(self) -> dict[str, Any]:
        """Return the fraction of zeros in each pruned kernel."""
        return {"sparsity": zero_fractions(self.pruning.check(self._student))}


class QuantizationStep(Step):
    """Rounds weights and activations to integers of few bits.

    Args:
        section: the config's section.

    Raises:
        InputError: the libraries that write LiteRT files are not installed.
    """

    name = "quantization"

    def __init__(self, section: QuantizationSection) -> None:
        require_litert()
        self.section = section

    def start(self, work: Distillation) -> Distillation:
        """Calibrate the student; it rounds its numbers from now on."""
        texts = self.section.calibration_texts
        max_tokens = texts * work.config.data.max_length  # all texts: they are grouped by length
        batches = work.splits["train"].sample(texts, max_tokens, work.config.train.seed)
        quantize_aware(work.student, batches, bits=self.section.bits, num_texts=texts)
        return work

    def facts(self) -> dict[str, Any]:
        """Return the bits of weights."""
        return {"weight_bits": self.section.bits}


class ClusteringStep(Step):
    """Gives matrices few different values.

    Args:
        section: the config's section.
        work: the distillation with the student.
    """

    name = "clustering"
    is_trained = False

    def __init__(self, section: ClusteringSection, work: Distillation) -> None:
        refuse_quantized(work.student, "clustering")
        self.num_clusters = section.num_clusters
        self.kernels = KERNELS_AND_WORDS if section.kernels is None else section.kernels
        prunable_weights(work.student, self.kernels)

    def start(self, work: Distillation) -> Distillation:
        """Cluster the student's weights and save it again."""
        cluster_weights(work.student, self.num_clusters, self.kernels)
        replace_directory(
            work.run.path / "student", lambda path: work.student.save_pretrained(path, tokenizer=work.tokenizer)
        )
        return work


def _structure_steps(section: StructureSection, work: Distillation) -> list[Step]:
    return [StructureStep(section, work, number) for number in range(1, section.rounds + 1)]


def _pruning_steps(section: PruningSection, work: Distillation) -> list[Step]:
    return [PruningStep(section, work)]


def _quantization_steps(section: QuantizationSection, work: Distillation) -> list[Step]:
    return [QuantizationStep(section)]


def _clustering_steps(section: ClusteringSection, work: Distillation) -> list[Step]:
    return [ClusteringStep(section, work)]


# The function that makes the steps of each section; `STEP_SECTIONS` has their order.
STEPS: Mapping[str, Callable[[Any, Distillation], list[Step]]] = {
    "structure": _structure_steps,
    "pruning": _pruning_steps,
    "quantization": _quantization_steps,
    "clustering": _clustering_steps,
}


def steps_of(name: str, section: Any, work: Distillation) -> list[Step]:
    """Return the steps of a section; none if the config does not have it.

    Raises:
        InputError: a step refuses its section; the message begins with the section's name.
    """
    try:
        return [] if section is None else STEPS[name](section, work)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _total_steps(work: Distillation) -> int:
    """Return the number of optimizer steps of all stages."""
    total = 0
    for stage, section in zip(work.stages, work.config.stages, strict=True):
        split = work.splits[train_split(section, stage, work.config.data)]
        total += stage.total_steps(len(split.training_batches(section.resolved(work.config.train))))
    return total
