"""Chance-corrected agreement on one attribute: Cohen's kappa between pairs of people, Krippendorff's alpha over all.

Both are computed from sums over photos, so that leaving a photo out costs nothing; tests hold them against scikit-learn
and the library krippendorff, which a release must not depend on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from figureground.annotate.agreement.intervals import Estimate, Floats, coefficient_estimate

Votes = Mapping[str, bool]
"""Annotator to what he or she said of one attribute of one photo; those who did not answer are left out."""

_LEAST: Final = 1e-12


def kappa(photos: Sequence[Votes]) -> Estimate:
    """Cohen's kappa (Educational and Psychological Measurement 20, 1960), pooled over the pairs of annotators.

    Observed and expected agreement are averaged over pairs by the photos that each shares, then kappa is taken
    (DeVries, Elliott, Kanouse and Teleki, "Using pooled kappa to summarize interrater agreement across many items",
    Field Methods 20, 2008). With two annotators it is Cohen's own. Undefined where every pair says the same of all its
    photos, or nobody shares one.

    Args:
        photos: What people said of the attribute, photo by photo.
    """
    shared = [votes for votes in photos if len(votes) > 1]
    tables = _PairTables(shared)
    left_out = [tables.kappa(without=votes) for votes in shared]
    return coefficient_estimate(tables.kappa(), left_out, photos=len(shared))


class _PairTables:
    """For each pair of annotators, in how many photos both, only one or neither said yes."""

    def __init__(self, photos: Sequence[Votes]) -> None:
        numbers: dict[tuple[str, str], int] = defaultdict(lambda: len(numbers))
        cells: list[tuple[int, int]] = [cell for votes in photos for cell in _cells(votes, numbers)]
        self._numbers = dict(numbers)
        self._tables = np.zeros((len(numbers), 4))
        for pair, cell in cells:
            self._tables[pair, cell] += 1
        self._sums = sum((_agreement(table) for table in self._tables), np.zeros(3))

    def kappa(self, *, without: Votes | None = None) -> float | None:
        """Pooled kappa, of all photos or without one of them; None where it is not defined."""
        sums = self._sums.copy()
        for pair, cell in _cells(without or {}, self._numbers):
            table = self._tables[pair].copy()
            table[cell] -= 1
            sums += _agreement(table) - _agreement(self._tables[pair])
        total, observed, expected = sums
        return float((observed - expected) / (total - expected)) if total - expected > _LEAST else None


def _cells(votes: Votes, numbers: Mapping[tuple[str, str], int]) -> list[tuple[int, int]]:
    """(pair, cell of its table) of every two people who answered; the cell is 0 for no and no, 3 for yes and yes."""
    pairs = combinations(sorted(votes), 2)
    return [(numbers[one, other], 2 * votes[one] + votes[other]) for one, other in pairs]


def _agreement(table: Floats) -> Floats:
    """Photos, photos in which both said the same, and the number of those that is expected by chance."""
    total = float(table.sum())
    if total <= 0:
        return np.zeros(3)
    first, second = float(table[2] + table[3]), float(table[1] + table[3])
    expected = (first * second + (total - first) * (total - second)) / total
    return np.array([total, table[0] + table[3], expected])


def alpha(photos: Sequence[Votes]) -> Estimate:
    """Krippendorff's alpha, nominal, over all annotators (Content Analysis, 2004, chapter 11).

    Undefined where all answers are the same: that leaves nothing to agree about.

    Args:
        photos: What people said of the attribute, photo by photo; photos that one person answered do not count.
    """
    shared = [votes for votes in photos if len(votes) > 1]
    # Of each photo: times yes, times no, and its ordered pairs of like answers over the number of the others.
    rows = np.zeros((len(shared), 3))
    for row, votes in zip(rows, shared, strict=True):
        yes, no = sum(votes.values()), len(votes) - sum(votes.values())
        row[:] = yes, no, (yes * (yes - 1) + no * (no - 1)) / (yes + no - 1)
    total = rows.sum(axis=0)
    left_out = [_alpha(total - row) for row in rows]
    return coefficient_estimate(_alpha(total), left_out, photos=len(shared))


def _alpha(sums: Floats) -> float | None:
    yes, no, alike = (float(value) for value in sums)
    if min(yes, no) <= _LEAST:
        return None
    answers = yes + no
    return 1 - (answers - 1) * (answers - alike) / (2 * yes * no)
