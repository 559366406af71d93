"""The variants of an ablation as distillations of their own: named changes, and what a config sets and takes out."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.checkpoints.hf_directory import CONFIG_FILE, config_path, read_config
from tinybert_tf.config.ablation import BASE, AblationConfig, Variant
from tinybert_tf.config.load import build_config, dump_config
from tinybert_tf.config.schema import DistillConfig, LossSection, StageSection, StudentSection
from tinybert_tf.config.strict_yaml import parse_yaml
from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.pipeline.parts.splits import train_split
from tinybert_tf.pipeline.parts.student import SIZES, resolved_init, student_config

Change = Callable[[DistillConfig], DistillConfig]


@dataclass(frozen=True)
class PlannedVariant:
    """A variant as a distillation; `change`: the one named change that it is, None where it is more than that."""

    name: str
    config: DistillConfig
    change: str | None = None


def plan_variants(config: AblationConfig) -> list[PlannedVariant]:
    """The base, the variants and the points of the grid.

    Raises:
        InputError: a change that is not known, or that has nothing to remove; a key that is not known or not accepted;
            a name twice. The variant is named.
    """
    base = config.distillation
    planned = [PlannedVariant(BASE, base, BASE)]
    for variant in [*config.variants, *_grid_variants(config.grid)]:
        if variant.name in {earlier.name for earlier in planned}:
            raise InputError(f"variant {variant.name!r}: another one has that name; give one of them another name.")
        alone = variant.changes if not (variant.set or variant.without) else ()
        planned.append(PlannedVariant(variant.name, _changed(base, variant), alone[0] if len(alone) == 1 else None))
    return planned


def without_the_base_again(variants: Sequence[PlannedVariant]) -> tuple[list[PlannedVariant], list[str]]:
    """The variants without those that are the same distillation as the first one, the base; and the names of these.

    `student.init: auto` is what it becomes with the config's teacher.
    """
    base, *others = variants
    same = [variant.name for variant in others if _resolved(variant.config) == _resolved(base.config)]
    return [variant for variant in variants if variant.name not in same], same


def _resolved(config: DistillConfig) -> DistillConfig:
    """The config with the student's `init` that `auto` stands for."""
    if config.student.dir is not None or config.student.init != "auto":
        return config
    directory = resolve_directory(config.teacher.dir, [CONFIG_FILE])
    teacher = EncoderConfig.from_dict(read_config(directory), source=str(config_path(directory)))
    init = resolved_init(config.student, student_config(config.student, teacher), teacher)
    return dataclasses.replace(config, student=dataclasses.replace(config.student, init=init))


def _changed(base: DistillConfig, variant: Variant) -> DistillConfig:
    """The base with what a variant sets, then without its losses, then with its changes."""
    said = f"variant {variant.name!r}: "
    given = [(key, value, said) for key, value in variant.set.items()]
    config = build_config(DistillConfig, parse_yaml(dump_config(base), said), said, given)
    try:
        if variant.without:
            config = without_losses(config, variant.without)
        for name in variant.changes:
            config = _find_change(name)(config)
    except InputError as error:
        raise InputError(f"{said}{error}") from error
    return config


def _find_change(name: str) -> Change:
    if name in CHANGES:
        return CHANGES[name]
    near = difflib.get_close_matches(name, CHANGES, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(
        f"no change is called {name!r}; {meant}{', '.join(CHANGES)} are; others are mappings of a name and set."
    )


def _grid_variants(grid: Mapping[str, Sequence[Any]]) -> Iterator[Variant]:
    """A variant for each combination of the grid's values, named after them."""
    last_parts = [key.rpartition(".")[2] for key in grid]
    shown = [last if last_parts.count(last) == 1 else key for key, last in zip(grid, last_parts, strict=True)]
    for values in itertools.product(*grid.values()) if grid else ():
        pairs = zip(shown, values, strict=True)
        name = ",".join(f"{key}={_in_a_name(value)}" for key, value in pairs)
        yield Variant(name, set=dict(zip(grid, values, strict=True)))


def _in_a_name(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value).strip('[]{}"')
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text)


# === Changes ===


def without_losses(config: DistillConfig, names: Sequence[str]) -> DistillConfig:
    """Take losses out of every stage, and stages that have none left.

    Raises:
        InputError: no stage has such a loss, or none has any other.
    """
    there = list(dict.fromkeys(loss.name for stage in config.stages for loss in stage.losses))
    for name in names:
        if name not in there:
            raise InputError(f"no stage has a loss {name!r} that could be removed; there are {', '.join(there)}.")
    kept = [
        dataclasses.replace(stage, losses=tuple(loss for loss in stage.losses if loss.name not in names))
        for stage in config.stages
        if any(loss.name not in names for loss in stage.losses)
    ]
    if not kept:
        raise InputError(f"no loss is left without {', '.join(names)}; `baseline: true` trains on the labels alone.")
    return dataclasses.replace(config, stages=tuple(kept))


def labels_for_predictions(config: DistillConfig) -> DistillConfig:
    """The labels in place of the teacher's predictions, and of the training file, not of a stage's own.

    So the paper has it: "w/o Pred" is cross-entropy against the labels of the original training set.

    Raises:
        InputError: no stage learns from the teacher's predictions.
    """

    def changed(loss: LossSection) -> LossSection:
        return dataclasses.replace(loss, options={**loss.options, "hard_label_weight": 1.0})

    def learns_it(loss: LossSection) -> bool:
        return loss.name == "prediction" and loss.options.get("hard_label_weight") != 1.0

    def stage_of(stage: StageSection) -> StageSection:
        losses = tuple(changed(loss) if learns_it(loss) else loss for loss in stage.losses)
        return stage if losses == stage.losses else dataclasses.replace(stage, losses=losses, train=None)

    stages = tuple(map(stage_of, config.stages))
    if stages == config.stages:
        raise InputError("no stage has the loss 'prediction' with anything of the teacher's in it to remove.")
    return dataclasses.replace(config, stages=stages)


def without_general_distillation(config: DistillConfig) -> DistillConfig:
    """Random weights in place of those of the student's directory.

    Raises:
        InputError: the student does not start from a directory.
    """
    if config.student.dir is None:
        raise InputError("there is no student.dir, whose general distillation could be removed.")
    return started("random")(config)


def without_augmentation(config: DistillConfig) -> DistillConfig:
    """The training file in place of the stages' own.

    Raises:
        InputError: no stage has one of its own.
    """
    if all(train_split(stage, config.data) == "train" for stage in config.stages):
        raise InputError("no stage has a train file of its own, an augmented one, that could be removed.")
    return dataclasses.replace(config, stages=tuple(dataclasses.replace(stage, train=None) for stage in config.stages))


def started(init: str) -> Change:
    """A student of the same sizes that starts in another way."""

    def change(config: DistillConfig) -> DistillConfig:
        section = config.student
        if section.dir is None:
            return dataclasses.replace(config, student=dataclasses.replace(section, init=init))
        there = student_config(section, EncoderConfig())  # a directory's sizes are its own, whatever the teacher's
        sizes = {name: getattr(there, name) for name in SIZES}
        return dataclasses.replace(config, student=StudentSection(init=init, cut=section.cut, **sizes))

    return change


def mapped(layer_map: str) -> Change:
    """Another layer map in every stage."""

    def change(config: DistillConfig) -> DistillConfig:
        stages = tuple(dataclasses.replace(stage, layer_map=layer_map) for stage in config.stages)
        return dataclasses.replace(config, stages=stages)

    return change


def _without(name: str) -> Change:
    return lambda config: without_losses(config, [name])


CHANGES: dict[str, Change] = {
    "no_embedding": _without("embedding"),
    "no_attention": _without("attention"),
    "no_hidden_state": _without("hidden_state"),
    "no_prediction": labels_for_predictions,
    "no_general": without_general_distillation,
    "no_augmentation": without_augmentation,
    "uniform": mapped("uniform"),
    "top": mapped("top"),
    "bottom": mapped("bottom"),
    "random": started("random"),
    "cut": started("cut"),
}
