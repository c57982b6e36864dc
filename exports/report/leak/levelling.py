"""From which dilation on the corrected accuracy stays the same, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from figureground.exports.evaluation.intervals import MIN_DECIDABLE, Z, paired_difference
from figureground.exports.evaluation.values import Floats, Ints
from figureground.exports.report.leak.curve import Bounded, HoleAnswers, bounded, simultaneous_quantile

MARGIN: Final = 0.05
"""Difference of two accuracies that counts as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levelling:
    """Where a curve over J dilations levels off: at the smallest after which no larger one changes it by the margin."""

    margin: float
    """In (0, 1)."""
    last_px: int
    """The largest dilation: nothing is known of what would follow it."""
    radius_px: int | None
    """By the values as they are; None where the curve still changes at the last dilation but one."""
    lowest_px: int | None
    """Smallest dilation that is not ruled out with 95 %; None where all but the last are."""
    highest_px: int | None
    """Smallest dilation that is sure to be level with 95 %; None where the images are too few to tell."""
    undecidable: bool
    """Whether the images are fewer than what anything is decided by."""

    def __str__(self) -> str:
        """One line."""
        if self.undecidable:
            return f"levels off: undecidable below {MIN_DECIDABLE} images"
        radius = f"at {self.radius_px} px" if self.radius_px is not None else f"not before {self.last_px} px"
        lowest = f"from {self.lowest_px} px" if self.lowest_px is not None else f"from {self.last_px} px"
        highest = f"to {self.highest_px} px" if self.highest_px is not None else "without an upper end"
        return f"levels off {radius}; 95 % interval {lowest} {highest} (margin {100 * self.margin:g} points)"


def find_levelling(answers: HoleAnswers, margin: float = MARGIN) -> Levelling:
    """Where the corrected accuracy levels off.

    Every two dilations are compared, over the same images, with intervals that hold together (``band95``). A dilation
    is level with all larger ones where these intervals lie within the margin: equivalence by inclusion (Schuirmann,
    Journal of Pharmacokinetics and Biopharmaceutics 15, 1987). It is ruled out where one of them lies beyond it. As
    the intervals hold together with 95 %, so does the range from the first that is not ruled out to the first that is
    level. The price is images: a difference is known to within the margin only where they are many.
    """
    count, pairs = len(answers.grow_px), _compare(answers.corrected, answers.label)
    later = [[pairs[first, second] for second in range(first + 1, count)] for first in range(count - 1)]

    def first_where(holds: list[bool]) -> int | None:
        return next((answers.grow_px[index] for index, own in enumerate(holds) if own), None)

    few = len(answers.label) < MIN_DECIDABLE
    bands = [[own.band95 or (-2.0, 2.0) for own in row] for row in later]
    return Levelling(
        margin=margin,
        last_px=answers.grow_px[-1],
        radius_px=first_where([all(abs(own.value) <= margin for own in row) for row in later]),
        lowest_px=first_where([all(low <= margin and high >= -margin for low, high in row) for row in bands]),
        highest_px=first_where([all(-margin <= low and high <= margin for low, high in row) for row in bands]),
        undecidable=few,
    )


def _compare(values: Floats, strata: Ints) -> dict[tuple[int, int], Bounded]:
    """Difference of every two of J columns ``(I, J)`` in [-1, 1], the first less the second, in [-2, 2]."""
    pairs = list(combinations(range(values.shape[1]), 2))
    differences = np.stack([values[:, first] - values[:, second] for first, second in pairs], axis=1)
    factor = simultaneous_quantile(differences, strata) / Z
    compared = {}
    for pair, own in zip(pairs, differences.T, strict=True):
        scale = max(1.0, float(np.abs(own).max()))  # the score interval is of differences in [-1, 1]
        estimate = paired_difference(own / scale, np.zeros_like(own), strata)
        ends = [scale * end for end in estimate.ci95 or [-1.0, 1.0]]
        compared[pair] = bounded(scale * estimate.value, ends, factor, (-2.0, 2.0))
    return compared
