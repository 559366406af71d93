"""Choosing the features of a teacher that a run computes once and keeps in the cache."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from tinybert_tf import features
from tinybert_tf.distillation.cache.fingerprint import teacher_fingerprint
from tinybert_tf.distillation.cache.folders import GIB, default_directory, longest_unused
from tinybert_tf.distillation.cache.padding import losses_of_padding
from tinybert_tf.distillation.cache.teacher_cache import TeacherCache
from tinybert_tf.distillation.cache.teacher_features import TeacherFeatures
from tinybert_tf.errors import InputError
from tinybert_tf.pipeline.parts.ask_teacher import AskedRows, say_not_kept
from tinybert_tf.pipeline.parts.distillation import Distillation
from tinybert_tf.pipeline.parts.splits import train_split

logger = logging.getLogger(__name__)

LOGITS = features.teacher_key(features.LOGITS)


@dataclass(frozen=True)
class _Use:
    """A stage that reads a data set `epochs` times and compares features of its rows."""

    stage: int
    split: str
    epochs: int

    def is_cheap(self, work: Distillation) -> bool:
        """Return whether the stage compares only logits."""
        return set(work.distillers[self.stage].teacher_shapes) == {LOGITS}


def cache_teacher(work: Distillation, is_asked_for: bool = False) -> dict[tuple[int, str], TeacherFeatures]:
    """Find or compute the features that the config's `teacher_cache` keeps; return them by stage number and data set.

    `auto` keeps features that are read more than once (with `is_asked_for` all of them) as long as `max_disk_gib` has
    room, logits first. Features of a teacher with another tokenizer than its student's are always computed beforehand.

    Raises:
        InputError: with `features`, there is no room or a loss compares padding; or the directory cannot be written.
    """
    config = work.config
    if config.teacher_cache == "off":
        return {}
    is_asked_for = is_asked_for or work.has_two_tokenizers
    cache = TeacherCache(config.cache_dir or default_directory(), config.max_disk_gib * GIB)
    uses = [use for use in _uses(work) if config.teacher_cache != "auto" or is_asked_for or use.epochs > 1]
    kept_stages = [stage for stage in sorted({use.stage for use in uses}) if _is_kept(work, stage)]
    uses = [use for use in uses if use.stage in kept_stages]
    if not uses:
        return {}
    kept = functools.partial(_cached, work, cache, teacher_fingerprint(work.distillers[0].teacher))
    found: dict[tuple[int, str], TeacherFeatures] = {}
    for split in dict.fromkeys(use.split for use in uses):
        chosen = [use for use in uses if use.split == split]
        found |= kept(chosen) or kept([use for use in chosen if use.is_cheap(work)])
    return found


def _uses(work: Distillation) -> list[_Use]:
    """List every stage's training data and the dev set, with the number of times that they are read."""
    uses = []
    for number, (stage, section) in enumerate(zip(work.stages, work.config.stages, strict=True)):
        split = train_split(section, stage, work.config.data)
        train = work.splits[split].training_batches(section.resolved(work.config.train))
        epochs = -(-stage.total_steps(len(train)) // len(train))
        uses += [_Use(number, split, epochs), _Use(number, "dev", epochs)]
    return uses


def _is_kept(work: Distillation, stage: int) -> bool:
    """Return whether the mode and the losses allow to keep a stage's features."""
    mode, distiller = work.config.teacher_cache, work.distillers[stage]
    if mode == "logits" and set(distiller.teacher_shapes) != {LOGITS}:
        return False
    names = losses_of_padding(distiller)
    if names and mode == "features":
        raise InputError(
            f"teacher_cache: 'features' of stage {work.stages[stage].name!r}: {names[0]} compares padding too, which a "
            f"cache does not have; expected a loss that heeds `mask` (reduction 'tokens'), or auto."
        )
    if names:
        say_not_kept(names)
    return not names


def _cached(
    work: Distillation, cache: TeacherCache, fingerprint: str, uses: Sequence[_Use]
) -> dict[tuple[int, str], TeacherFeatures]:
    """Return the features of one data set for these stages; none if there is no room for them."""
    if not uses:
        return {}
    name, split = uses[0].split, work.splits[uses[0].split]
    distillers = [work.distillers[use.stage] for use in uses]
    rows = split.for_teacher
    asked = AskedRows.of(cache, fingerprint, distillers, rows.tokens, rows.pad_token_id)
    missing = asked.missing_bytes()
    if missing and not cache.has_room(missing):
        left = f"max_disk_gib={work.config.max_disk_gib:g} and the disk of {cache.directory} have left"
        unused = longest_unused(cache.directory, missing, but=asked.folder)
        needed = f"{name}: the teacher's features need {missing / GIB:,.2f} GiB, more than {left}{unused}"
        if work.config.teacher_cache == "features" or work.has_two_tokenizers:
            raise InputError(f"teacher_cache: {needed}; expected auto or logits, or more room.")
        logger.info(f"teacher cache: {needed}")
        return {}
    asked.fill()
    return {(use.stage, name): asked.read(work.distillers[use.stage]) for use in uses}
