"""Differences of a figure between models over the same images, with p-values for all of a table at once.

Whether two models differ is tested by flipping signs: if they are alike, swapping their answers to an image changes
nothing in distribution, so that the difference of its contributions is as likely as its negative. An image's sign is
flipped in all comparisons at once, which keeps how these hang together, and the largest statistic of the table is what
every statistic is held against (max-T: Westfall and Young, Resampling-Based Multiple Testing, 1993; Romano and Wolf,
Econometrica 73(4), 2005).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.exports.comparison.contributions import Contributions
from figureground.exports.evaluation.intervals import ALPHA, MIN_DECIDABLE, mean_estimate, paired_difference
from figureground.exports.evaluation.shares import mean_of_class_means
from figureground.exports.evaluation.values import Floats, Ints

TIE: Final = 1e-9
"""Statistics that differ by less are one: flips that only swap two images give the same sum in another order."""
_CELLS: Final = 1 << 22
"""Signs held at once: 32 MB of float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelContrast:
    """A figure of one model minus that of another."""

    figure: str
    first: str
    second: str
    n: int
    """Images that both answered."""
    first_value: float
    second_value: float
    difference: float
    ci95_low: float | None
    """Lower end of the 95 % interval of this difference by itself; None where the images are too few."""
    ci95_high: float | None
    p: float
    """Of no difference, by itself, in (0, 1]."""
    p_adjusted: float
    """The chance that any comparison of the table looks like this where no two models differ, in (0, 1]."""
    undecidable: bool
    """Whether the images are fewer than what anything is decided by."""

    @property
    def ci95(self) -> list[float] | None:
        """The 95 % interval."""
        return None if self.ci95_low is None or self.ci95_high is None else [self.ci95_low, self.ci95_high]

    @property
    def holds(self) -> bool:
        """Whether the models differ, after correction for all comparisons."""
        return self.p_adjusted < ALPHA and not self.undecidable


@dataclass(frozen=True, kw_only=True)
class FigureTable:
    """One figure of M models on the I images that all of them answered."""

    figure: str
    models: tuple[str, ...]
    image_id: NDArray[np.str_]
    stratum: Ints
    values: Floats
    """``(I, M)`` contributions."""
    members: tuple[Contributions, ...]

    @cached_property
    def figures(self) -> Floats:
        """The figure of every model, ``(M,)``."""
        return mean_of_class_means(self.values, self.stratum)

    @cached_property
    def weighted(self) -> Floats:
        """Contributions times what an image weighs in the mean over strata, ``(I, M)``: they add up to the figure."""
        _, own, sizes = np.unique(self.stratum, return_inverse=True, return_counts=True)
        return np.asarray(self.values / (len(sizes) * sizes[own])[:, None])

    @cached_property
    def scale(self) -> Floats:
        """Root of the sum of squares of every pair's weighted differences, ``(M, M)``: no sign changes it."""
        products = self.weighted.T @ self.weighted
        squares = np.diag(products)
        spread = np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0.0)
        return np.asarray(
            np.where(spread > 1e-15 * (squares[:, None] + squares[None, :] + 1e-30), np.sqrt(spread), np.inf)
        )

    @cached_property
    def statistics(self) -> Floats:
        """How large every pair's difference is for its images, ``(M, M)``; 0 where two models answered alike."""
        sums = self.weighted.sum(axis=0)
        return np.asarray(np.abs(sums[:, None] - sums[None, :]) / self.scale)

    def cut(self, model: str) -> Contributions:
        """Contributions of one model to the images of the table."""
        member = self.members[self.models.index(model)]
        return member.cut(np.searchsorted(member.image_id, self.image_id))

    def flipped(self, signs: Floats) -> Floats:
        """The statistics ``(B, M, M)`` under signs ``(B, I)``."""
        sums = signs @ self.weighted
        return np.asarray(np.abs(sums[:, :, None] - sums[:, None, :]) / self.scale)


def figure_tables(figures: Mapping[str, Mapping[str, Contributions]]) -> list[FigureTable]:
    """Every figure that at least two models have, over the images that all of these answered.

    Args:
        figures: Model to figure to contributions.

    Raises:
        DataError: if two models saw an image under other labels, or share no image.
    """
    names = dict.fromkeys(name for own in figures.values() for name in own)
    tables = []
    for name in names:
        members = {model: own[name] for model, own in figures.items() if name in own}
        if len(members) > 1:
            tables.append(_table(name, members))
    return tables


def _table(name: str, members: Mapping[str, Contributions]) -> FigureTable:
    first, *others = members.values()
    ids = first.image_id
    for other in others:
        ids = np.intersect1d(ids, other.image_id, assume_unique=True)
    rows = [np.searchsorted(member.image_id, ids) for member in members.values()]
    strata = np.stack([member.stratum[own] for member, own in zip(members.values(), rows, strict=True)])
    alike = bool((strata == strata[:1]).all())
    if not len(ids) or not alike:
        got = "images under other labels" if len(ids) else "no image in common"
        where = ", ".join(members)
        raise DataError.single(where, name, expected="answers to the same images", got=got, remedy="score them alike")
    values = np.stack([member.value[own] for member, own in zip(members.values(), rows, strict=True)], axis=1)
    return FigureTable(
        figure=name,
        models=tuple(members),
        image_id=ids,
        stratum=strata[0],
        values=values,
        members=tuple(members.values()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedTables:
    """What B rounds of flipped signs make of tables of figures."""

    exceeded: tuple[Floats, ...]
    """Of every table, ``(M, M)``: share of rounds whose own statistic is as large."""
    exceeded_by_any: tuple[Floats, ...]
    """Likewise, share of rounds in which any statistic of any table is as large."""
    critical: tuple[float, ...]
    """Of every table, what the largest of its statistics stays under in 95 % of rounds."""


def flip_signs(tables: Sequence[FigureTable], *, count: int, seed: int) -> FlippedTables:
    """Hold statistics against those under flipped signs; the true signs count as one round more.

    Args:
        tables: Tables of figures; an image of several is flipped in all at once.
        count: Rounds.
        seed: Of PCG64.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    ids = np.unique(np.concatenate([table.image_id for table in tables]))
    rows = [np.searchsorted(ids, table.image_id) for table in tables]
    own = [np.ones_like(table.scale) for table in tables]
    by_any = [np.ones_like(table.scale) for table in tables]
    largest: list[list[Floats]] = [[] for _ in tables]
    widest = max(len(ids), *(len(table.models) ** 2 for table in tables))
    step = max(1, _CELLS // widest)
    for start in range(0, count, step):
        signs = np.where(generator.integers(0, 2, (min(step, count - start), len(ids)), np.int8), 1.0, -1.0)
        highest = []
        for index, table in enumerate(tables):
            drawn = table.flipped(signs[:, rows[index]])
            own[index] += (drawn >= table.statistics - TIE).sum(axis=0)
            highest.append(drawn.max(axis=(1, 2)))
            largest[index].append(highest[-1])
        top = np.max(highest, axis=0)
        for index, table in enumerate(tables):
            by_any[index] += (top[:, None, None] >= table.statistics - TIE).sum(axis=0)
    return FlippedTables(
        exceeded=tuple(counts / (count + 1) for counts in own),
        exceeded_by_any=tuple(counts / (count + 1) for counts in by_any),
        critical=tuple(float(np.quantile(np.concatenate(values), 0.95, method="higher")) for values in largest),
    )


def contrast_models(tables: Sequence[FigureTable], flipped: FlippedTables) -> list[ModelContrast]:
    """Every pair of models in every figure, in the order of the tables."""
    contrasts = []
    for table, own, by_any in zip(tables, flipped.exceeded, flipped.exceeded_by_any, strict=True):
        for one, two in combinations(range(len(table.models)), 2):
            low, high = _interval(table, one, two)
            contrasts.append(
                ModelContrast(
                    figure=table.figure,
                    first=table.models[one],
                    second=table.models[two],
                    n=len(table.image_id),
                    first_value=float(table.figures[one]),
                    second_value=float(table.figures[two]),
                    difference=float(table.figures[one] - table.figures[two]),
                    ci95_low=low,
                    ci95_high=high,
                    p=float(own[one, two]),
                    p_adjusted=float(by_any[one, two]),
                    undecidable=len(table.image_id) < MIN_DECIDABLE,
                )
            )
    return contrasts


def _interval(table: FigureTable, one: int, two: int) -> tuple[float, float] | tuple[None, None]:
    """Tango's interval for shares of right answers, Student's t for other figures."""
    first, second = table.values[:, one], table.values[:, two]
    if table.members[one].share:
        estimate = paired_difference(first, second, table.stratum)
    else:
        low, high = table.members[one].bounds
        estimate = mean_estimate(first - second, table.stratum, (low - high, high - low))
    return (None, None) if estimate.ci95 is None else (estimate.ci95[0], estimate.ci95[1])
