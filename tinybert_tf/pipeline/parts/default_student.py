"""The default student: the smallest named size whose cut, before it is trained, answers almost as its teacher does."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from tinybert_tf.evaluation.config_cost import parameters_of, table_parameters
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.cut.student import Cut
from tinybert_tf.models.sizes import distinct_sizes
from tinybert_tf.pipeline.parts.distillation import Distillation
from tinybert_tf.pipeline.parts.missed import HeldBack
from tinybert_tf.pipeline.parts.stages import map_of_first_weights
from tinybert_tf.pipeline.parts.student import cut_from_teacher, cut_pairs

logger = logging.getLogger(__name__)

# The most of its teacher's answers that the cut of a default student misses on held-back texts, a fraction. Training
# brings most of it back: a cut that misses 11 % of SST-2's answers ends within noise of its teacher.
LARGEST_DISAGREEMENT = 0.25
# The most of its teacher's parameters, besides the embedding tables, that a size below the largest may have.
LARGEST_SHARE = 0.5
# The texts on which cuts are measured. With fewer rows left in the training file, they are texts of the dev set.
HELD_BACK_TEXTS, FEWEST_TEXTS = 512, 128


def describe_rule(names: list[str]) -> str:
    """Say in a line how the default student is chosen from these sizes."""
    if len(names) == 1:
        return f"{names[0]}, as no smaller size differs from it"
    most = f"{LARGEST_DISAGREEMENT:.1%} of the teacher's answers to held-back texts"
    return f"the smallest of {', '.join(names[:-1])} whose cut misses at most {most}, or else {names[-1]}"


def candidates(teacher: EncoderConfig) -> list[str]:
    """Return the names of the sizes to choose from, ascending; the last one is taken if no other is good enough.

    Every other one has at most half of the teacher's parameters besides the embedding tables.
    """
    sizes = distinct_sizes(teacher)
    *smaller, largest = sizes
    most = LARGEST_SHARE * parameters_besides_tables(teacher)
    return [*(name for name in smaller if parameters_besides_tables(sizes[name]) <= most), largest]


def parameters_besides_tables(config: EncoderConfig) -> int:
    """Return the number of an encoder's weights, without the tables of words, positions and token types."""
    return parameters_of(config, num_outputs=0, has_pooler=True) - table_parameters(config)


def choose_student(work: Distillation) -> tuple[Distillation, Cut]:
    """Cut the candidates, the smallest first, until one is good enough; return the distillation of it, and its cut.

    The choice becomes part of the run's config, so that a run that goes on does not choose anew.
    """
    section, seed, train = work.config.student.cut, work.config.train.seed, work.splits["train"]
    layer_map = map_of_first_weights(work.stages)
    texts = train.sample(section.num_texts, section.max_tokens, seed)
    *smaller, largest = candidates(work.teacher.config)
    held_back = _held_back(work, layer_map, num_texts(texts)) if smaller else None
    for name in (*smaller, largest):
        chosen = work.with_student(dataclasses.replace(work.config.student, size=name))
        cut = cut_from_teacher(chosen.student, work.teacher, layer_map, texts, section)
        if held_back is not None:
            missed = held_back.missed(chosen.student, cut)
            logger.info(f"student: {name}, {shape(chosen.student.config)}: {missed}")
            if missed.disagreement <= LARGEST_DISAGREEMENT:
                break
    logger.info(f"student: {name}, {shape(chosen.student.config)}: {describe_rule([*smaller, largest])}")
    return chosen.settled(), cut


def _held_back(work: Distillation, layer_map: Any, num_cut: int) -> HeldBack:
    """Draw texts of the training file that the cut does not use, or of the dev set."""
    section, seed = work.config.student.cut, work.config.train.seed
    texts = work.splits["train"].sample(HELD_BACK_TEXTS, section.max_tokens, seed, after=num_cut)
    if num_texts(texts) < FEWEST_TEXTS:
        texts = work.splits["dev"].sample(HELD_BACK_TEXTS, section.max_tokens, seed)
    pairs = cut_pairs(layer_map, work.student.num_hidden_layers, work.teacher.num_hidden_layers)
    return HeldBack(work.teacher, pairs[-1][1], texts)


def num_texts(batches: list[dict[str, Any]] | list[Mapping[str, Any]]) -> int:
    """Return the number of texts in batches."""
    return sum(len(batch["input_ids"]) for batch in batches)


def shape(config: EncoderConfig) -> str:
    """Write layers and width, as in `4 x 312`."""
    return f"{config.num_hidden_layers} x {config.hidden_size}"
