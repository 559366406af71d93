"""Making the configs of an ablation's variants: named changes, set keys, and removed losses."""

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
from tinybert_tf.pipeline.parts.student import SIZES, resolved_init, student_config

Change = Callable[[DistillConfig], DistillConfig]


@dataclass(frozen=True)
class PlannedVariant:
    """A variant as a distillation; `change` names its only change, None if it is not one named change."""

    name: str
    config: DistillConfig
    change: str | None = None


def plan_variants(config: AblationConfig) -> list[PlannedVariant]:
    """Return the base, the variants and the points of the grid.

    Raises:
        InputError: a change is unknown or has nothing to remove, a key is unknown or refused, or a name occurs twice.
            The message names the variant.
    """
    base = config.distillation
    planned = [PlannedVariant(BASE, base, BASE)]
    for variant in [*config.variants, *_grid_variants(config.grid)]:
        if variant.name in {earlier.name for earlier in planned}:
            raise InputError(f"variant {variant.name!r}: two variants have this name; give one of them another.")
        alone = variant.changes if not (variant.set or variant.without) else ()
        planned.append(PlannedVariant(variant.name, _changed(base, variant), alone[0] if len(alone) == 1 else None))
    return planned


def without_the_base_again(variants: Sequence[PlannedVariant]) -> tuple[list[PlannedVariant], list[str]]:
    """Remove variants that equal the first one, the base; return the others, and the names of the removed ones.

    `student.init: auto` is compared as the value that it gets with the config's teacher.
    """
    base, *others = variants
    same = [variant.name for variant in others if _resolved(variant.config) == _resolved(base.config)]
    return [variant for variant in variants if variant.name not in same], same


def _resolved(config: DistillConfig) -> DistillConfig:
    """Return the config with the student's `init` in place of `auto`."""
    if config.student.dir is not None or config.student.init != "auto":
        return config
    directory = resolve_directory(config.teacher.dir, [CONFIG_FILE])
    teacher = EncoderConfig.from_dict(read_config(directory), source=str(config_path(directory)))
    init = resolved_init(config.student, student_config(config.student, teacher), teacher)
    return dataclasses.replace(config, student=dataclasses.replace(config.student, init=init))


def _changed(base: DistillConfig, variant: Variant) -> DistillConfig:
    """Apply a variant to the base: the keys that it sets, then the losses that it removes, then its changes."""
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
        f"no change is called {name!r}; {meant}expected one of {', '.join(CHANGES)}, or a mapping of a name and set."
    )


def _grid_variants(grid: Mapping[str, Sequence[Any]]) -> Iterator[Variant]:
    """Yield a variant for each combination of the grid's values, named after them."""
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
    """Remove losses from every stage, and stages without any other loss.

    Raises:
        InputError: no stage has such a loss, or no stage has another one.
    """
    there = list(dict.fromkeys(loss.name for stage in config.stages for loss in stage.losses))
    for name in names:
        if name not in there:
            raise InputError(f"no stage has a loss {name!r} to remove; expected one of {', '.join(there)}.")
    kept = [
        dataclasses.replace(stage, losses=tuple(loss for loss in stage.losses if loss.name not in names))
        for stage in config.stages
        if any(loss.name not in names for loss in stage.losses)
    ]
    if not kept:
        raise InputError(f"no loss is left without {', '.join(names)}; `baseline: true` trains on the labels alone.")
    return dataclasses.replace(config, stages=tuple(kept))


def labels_for_predictions(config: DistillConfig) -> DistillConfig:
    """Let stages learn from the labels of the training file in place of the teacher's predictions.

    A stage's own file is not used. In the paper, "w/o Pred" is cross-entropy against the labels of the original
    training set too.

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
        raise InputError("no stage has a loss 'prediction' that learns from the teacher, to remove.")
    return dataclasses.replace(config, stages=stages)


def without_general_distillation(config: DistillConfig) -> DistillConfig:
    """Let the student start from random weights in place of those of its directory.

    Raises:
        InputError: the student does not start from a directory.
    """
    if config.student.dir is None:
        raise InputError("the config has no student.dir, whose general distillation could be removed.")
    return started("random")(config)


def without_augmentation(config: DistillConfig) -> DistillConfig:
    """Let all stages train on the training file in place of their own files.

    Raises:
        InputError: no stage has a file of its own.
    """
    if all(stage.train in (None, config.data.train) for stage in config.stages):
        raise InputError("no stage has a train file of its own (an augmented one) to remove.")
    return dataclasses.replace(config, stages=tuple(dataclasses.replace(stage, train=None) for stage in config.stages))


def started(init: str) -> Change:
    """Make the change to a student of the same sizes with another `init`."""

    def change(config: DistillConfig) -> DistillConfig:
        section = config.student
        if section.dir is None:
            return dataclasses.replace(config, student=dataclasses.replace(section, init=init))
        there = student_config(section, EncoderConfig())  # a directory has its own sizes, whatever the teacher's
        sizes = {name: getattr(there, name) for name in SIZES}
        return dataclasses.replace(config, student=StudentSection(init=init, cut=section.cut, **sizes))

    return change


def mapped(layer_map: str) -> Change:
    """Make the change to another layer map in every stage."""

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
