"""Named sizes of a student: shares of its teacher's layers and width."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from tinybert_tf.errors import InputError
from tinybert_tf.models.config import EncoderConfig

# A head is not made narrower than this.
SMALLEST_HEAD = 8
# The number of feed-forward units is a multiple of this.
UNITS = 8


@dataclass(frozen=True)
class Shares:
    """The shares of a teacher's layers and width that a student gets, each above 0 and at most 1."""

    layers: float
    width: float


# Ascending. In 6 layers of width 384: 3 x 168 (a tenth of the encoder's arithmetic), 3 x 264 (a quarter), 3 x 384
# (half). All three have the same layers, so that they learn from the same layers of their teacher.
NAMED_SIZES: dict[str, Shares] = {
    "tiny": Shares(layers=1 / 2, width=7 / 16),
    "small": Shares(layers=1 / 2, width=2 / 3),
    "medium": Shares(layers=1 / 2, width=1),
}


def named_size(name: str, teacher: EncoderConfig) -> dict[str, int]:
    """Return the sizes of a student under their names in `EncoderConfig`; what is left out is the teacher's.

    The layers are rounded down, but there is one at least. A narrower student has the teacher's heads, as losses
    compare them one by one: its width is a multiple of twice their number, so that heads have an even size. It has the
    teacher's feed-forward units for each channel, rounded to a multiple of 8. Where heads would have fewer than 8
    channels, they have 8; the student of a teacher whose heads have no more keeps its width.

    Raises:
        InputError: no size has this name.

    Example:
        >>> teacher = EncoderConfig(num_hidden_layers=6, hidden_size=384, intermediate_size=1536)
        >>> named_size("tiny", teacher)
        {'num_hidden_layers': 3, 'hidden_size': 168, 'num_attention_heads': 12, 'intermediate_size': 672}
        >>> named_size("medium", teacher)
        {'num_hidden_layers': 3}
    """
    if name not in NAMED_SIZES:
        raise InputError(f"size {name!r}: expected one of {', '.join(NAMED_SIZES)}.")
    shares, heads = NAMED_SIZES[name], teacher.num_attention_heads
    layers = {"num_hidden_layers": max(1, int(shares.layers * teacher.num_hidden_layers))}
    width = heads * max(SMALLEST_HEAD, _multiple(shares.width * teacher.hidden_size / heads, 2))
    if width == teacher.embedding_size:  # a student of this width has no projection behind its embeddings
        width += 2 * heads
    if width >= teacher.hidden_size:
        return layers
    units = max(UNITS, _multiple(teacher.intermediate_size * width / teacher.hidden_size, UNITS))
    units = min(units, teacher.intermediate_size)
    return {**layers, "hidden_size": width, "num_attention_heads": heads, "intermediate_size": units}


def sized(name: str, teacher: EncoderConfig) -> EncoderConfig:
    """Return a student's config: that of its teacher, in a named size.

    Raises:
        InputError: as `named_size`.

    Example:
        >>> sized("small", EncoderConfig.from_preset("bert-base")).hidden_size
        504
    """
    sizes: dict[str, Any] = named_size(name, teacher)
    return dataclasses.replace(teacher, **sizes, head_dim=None if "hidden_size" in sizes else teacher.head_dim)


def distinct_sizes(teacher: EncoderConfig) -> dict[str, EncoderConfig]:
    """Return the students by the names of their sizes, ascending, without names whose student is the next one's.

    Example:
        >>> list(distinct_sizes(EncoderConfig.from_preset("bert-base")))
        ['tiny', 'small', 'medium']
        >>> list(distinct_sizes(EncoderConfig(hidden_size=16, num_attention_heads=2)))
        ['medium']
    """
    by_config = {sized(name, teacher): name for name in NAMED_SIZES}  # the last name of equal ones
    return {name: config for config, name in by_config.items()}


def _multiple(value: float, of: int) -> int:
    """Round to the nearest multiple."""
    return of * round(value / of)
