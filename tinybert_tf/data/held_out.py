"""A fraction of a data set's rows, held out to choose the best epoch by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tinybert_tf.errors import InputError


def held_out(
    units: Sequence[Hashable], strata: Sequence[Hashable], fraction: float, seed: int, source: str
) -> np.ndarray:
    """Which rows are held out, `(rows,)` bool; the same for the same arguments.

    Units are drawn, not rows: all rows of a unit, such as a document, go to one side. Every stratum, such as a label,
    gives its share, and keeps at least one unit.

    Args:
        units: the unit of each row.
        strata: the stratum of each row; a unit has the stratum of its first row.
        fraction: the fraction of the units to hold out, above 0 and below 1.
        seed: the seed of the draw.
        source: the name of the data set in messages.

    Raises:
        InputError: there is only one unit.
    """
    first: dict[Hashable, int] = {}
    number_of_row = [first.setdefault(unit, len(first)) for unit in units]
    if len(first) < 2:
        raise InputError(f"{source}: nothing can be held out of one text or document; expected --dev with a file")
    of_unit = dict(zip(reversed(number_of_row), reversed(strata), strict=True))
    numbers: dict[Hashable, int] = {}
    stratum = np.array([numbers.setdefault(of_unit[number], len(numbers)) for number in range(len(first))])
    return _drawn(stratum, fraction, np.random.default_rng(seed))[number_of_row]


def _drawn(stratum: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Every `1 / fraction`-th unit, after the units of each stratum were put together in random order."""
    order = np.lexsort((generator.random(len(stratum)), stratum))
    counted = np.floor((np.arange(len(stratum) + 1) + generator.random()) * fraction)
    drawn = np.zeros(len(stratum), bool)
    drawn[order] = np.diff(counted) > 0
    for number in range(stratum.max() + 1):
        inside = np.flatnonzero(stratum == number)
        drawn[inside[:1]] &= not drawn[inside].all()
    if not drawn.any():  # one unit of the largest stratum, so that there is something to measure on
        drawn[np.flatnonzero(stratum == np.bincount(stratum).argmax())[-1]] = True
    return drawn
