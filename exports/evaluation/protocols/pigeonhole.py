"""Figures crossed with grounds: means and variance components; intervals take both for samples.

Rows that share a figure, and rows that share a ground, are not independent, so that an interval over rows alone is too
narrow. The pigeonhole bootstrap (Owen, Annals of Applied Statistics 1, 2007) draws figures and grounds apart; a row
counts as often as its figure times as often as its ground was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports.evaluation.intervals import (
    MAX_GAIN,
    MIN_RESAMPLED,
    Estimate,
    bootstrap_p,
    interval_json,
    wilson_interval,
)
from figureground.exports.evaluation.values import EMPTY, Bools, Floats, Ints, require

COMPONENTS: Final = ("figure", "ground", "interaction")
MIN_GROUNDS: Final = 8  # below which no interval takes grounds for a sample
MIN_DEVIATING: Final = 10  # figures that differ from the most frequent value, below which components have no interval
_RESAMPLED_CELLS: Final = 1 << 21  # resampled counts held at once


class CrossedCells(NamedTuple):
    """Values of F figures on G grounds, of which some pairs may be missing."""

    values: Floats  # (F, G); whatever where there is none
    present: Bools  # (F, G)

    def chosen(self, own: Bools) -> CrossedCells:
        """The cells of ``own``, ``(F, G)``, alone."""
        return CrossedCells(self.values, self.present & own)

    def sampled(self) -> bool:
        """Whether there are figures and grounds enough for an interval over both."""
        figures, grounds = self.present.any(axis=1).sum(), self.present.any(axis=0).sum()
        return bool(figures >= MIN_RESAMPLED and grounds >= MIN_GROUNDS)


class TwoWaySampling(NamedTuple):
    """What both ways are resampled by."""

    resamples: int
    seed: int  # PCG64's
    groups: Ints | None = None  # (F,) group of each figure; whole groups are drawn where there are such

    def draws(self, figures: int, grounds: int) -> Iterator[tuple[Floats, Floats]]:
        """How often each figure ``(B, F)`` and each ground ``(B, G)`` is drawn, some resamples at a time."""
        generator = np.random.Generator(np.random.PCG64(self.seed))
        own = np.arange(figures) if self.groups is None else np.unique(self.groups, return_inverse=True)[1]
        units, step = int(own.max()) + 1, max(1, _RESAMPLED_CELLS // max(figures, grounds))
        for start in range(0, self.resamples, step):
            size = min(step, self.resamples - start)
            drawn = generator.multinomial(units, np.full(units, 1 / units), size=size)[:, own]
            others = generator.multinomial(grounds, np.full(grounds, 1 / grounds), size=size)
            yield drawn.astype(np.float64), others.astype(np.float64)


def two_way_mean(cells: CrossedCells, figure_weights: Floats, ground_weights: Floats) -> Floats:
    """Weighted means ``(B,)`` over cells, by weights of figures ``(B, F)`` and of grounds ``(B, G)``; NaN for none."""
    here = cells.present.astype(np.float64)
    sums = ((figure_weights @ (here * np.where(cells.present, cells.values, 0))) * ground_weights).sum(axis=1)
    counts = ((figure_weights @ here) * ground_weights).sum(axis=1)
    return quotients(sums, counts)


def quotients(sums: Floats, counts: Floats) -> Floats:
    """Sums ``(N,)`` divided by counts; NaN where there is nothing to divide by."""
    return np.asarray(np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 1e-9))


def variance_components(
    cells: CrossedCells, figure_weights: Floats | None = None, ground_weights: Floats | None = None
) -> Floats:
    """Variances ``(B, 3)`` of figure, ground and interaction in y = mean + figure + ground + interaction.

    Half the mean square of a difference of two cells has expectation ground + interaction where they share the figure,
    figure + interaction where they share the ground, and the sum of all three where they share neither; solving these
    gives unbiased estimates in whatever pattern of cells (symmetric sums: Koch, Technometrics 9, 1967), and the
    analysis of variance where no cell is missing. They may be negative. Drawn copies of a figure or a ground make no
    pair. NaN where there is no pair of a kind.
    """
    figures, grounds = cells.present.shape
    by_figure = np.ones((1, figures)) if figure_weights is None else figure_weights
    by_ground = np.ones((1, grounds)) if ground_weights is None else ground_weights
    here = cells.present.astype(np.float64)
    middle = cells.values[cells.present].mean() if cells.present.any() else 0.0
    values = np.where(cells.present, cells.values - middle, 0)
    squares = values**2
    rows = [by_ground @ part.T for part in (here, values, squares)]  # (B, F) sums over each figure's grounds
    columns = [by_figure @ part for part in (here, values, squares)]  # (B, G) sums over each ground's figures
    in_rows, in_columns = (part[0] * part[2] - part[1] ** 2 for part in (rows, columns))
    twice_row, twice_column = by_ground**2 @ here.T, by_figure**2 @ here
    whole = [(by_figure * part).sum(axis=1) for part in rows]
    pairs = (
        ((by_figure * in_rows).sum(axis=1), (by_figure * (rows[0] ** 2 - twice_row)).sum(axis=1)),
        ((by_ground * in_columns).sum(axis=1), (by_ground * (columns[0] ** 2 - twice_column)).sum(axis=1)),
        (
            whole[0] * whole[2]
            - whole[1] ** 2
            - (by_figure**2 * in_rows).sum(axis=1)
            - (by_ground**2 * in_columns).sum(axis=1),
            whole[0] ** 2
            - (by_figure**2 * (rows[0] ** 2 - twice_row)).sum(axis=1)
            - (by_ground**2 * columns[0] ** 2).sum(axis=1),
        ),
    )
    same_figure, same_ground, apart = (quotients(total, count) for total, count in pairs)
    parts = (apart - same_figure, apart - same_ground, same_figure + same_ground - apart)
    return np.stack(parts, axis=1)


def pigeonhole_interval(samples: Floats, cells: CrossedCells) -> list[float] | None:
    """95 % interval of resampled figures ``(B,)``: percentiles, wider by Student's t of the smaller way.

    "Expanded" percentiles (Hesterberg, The American Statistician 69, 2015): of a sample of n they are those of the
    normal distribution at √(n / (n - 1)) times the quantile of Student's t. None below ``MIN_RESAMPLED`` figures or
    ``MIN_GROUNDS`` grounds, where more than a tenth of the samples is undefined, and where none differs.
    """
    finite = samples[np.isfinite(samples)]
    if not cells.sampled() or len(finite) < 0.9 * len(samples) or float(np.ptp(finite)) < 1e-12:
        return None
    least = int(min(cells.present.any(axis=1).sum(), cells.present.any(axis=0).sum()))
    tail = float(ndtr(-np.sqrt(least / (least - 1)) * stdtrit(least - 1, 0.975)))
    return [float(bound) for bound in np.quantile(finite, [tail, 1 - tail])]


def pigeonhole_share(value: float, samples: Floats, cells: CrossedCells) -> list[float] | None:
    """95 % interval of a share in [0, 1]: Wilson's of the number of images that its resampled variance is worth.

    None as for ``pigeonhole_interval``; where nothing differs it is that of as many images as there are figures.
    """
    if not cells.sampled():
        return None
    figures = float(cells.present.any(axis=1).sum())
    variance, spread = float(np.nanvar(samples, ddof=1)), value * (1 - value)
    if variance < 1e-12 or spread <= 0:
        return wilson_interval(round(value) if spread <= 0 else value, figures)
    return wilson_interval(value, min(spread / variance, MAX_GAIN * figures))


def estimate_share(cells: CrossedCells, weights: Floats, sampling: TwoWaySampling) -> dict[str, Any]:
    """Mean over cells in [0, 1], of figures with ``weights`` ``(F,)``, JSON-ready."""
    require(cells.present.any(), EMPTY)
    value = float(two_way_mean(cells, weights[None], np.ones((1, cells.present.shape[1])))[0])
    return interval_json(value, pigeonhole_share(value, _resampled_means(cells, weights, sampling), cells))


def estimate_difference_of_means(
    first: CrossedCells, second: CrossedCells, weights: Floats, sampling: TwoWaySampling
) -> dict[str, Any]:
    """Difference of the means of two sets of cells of the same figures and grounds, with p that it is 0, JSON-ready."""
    require(first.present.any() and second.present.any(), EMPTY)
    ones, both = np.ones((1, first.present.shape[1])), first.present | second.present
    value = float((two_way_mean(first, weights[None], ones) - two_way_mean(second, weights[None], ones))[0])
    samples = _resampled_means(first, weights, sampling) - _resampled_means(second, weights, sampling)
    ci95 = pigeonhole_interval(samples, CrossedCells(first.values, both))
    return Estimate(value, ci95, bootstrap_p(samples) if ci95 else None).json()


def _resampled_means(cells: CrossedCells, weights: Floats, sampling: TwoWaySampling) -> Floats:
    parts = [two_way_mean(cells, drawn * weights, others) for drawn, others in sampling.draws(*cells.present.shape)]
    return np.concatenate(parts)


def estimate_components(cells: CrossedCells, sampling: TwoWaySampling) -> dict[str, Any]:
    """Variance, standard deviation and share of the whole variance of each component, with intervals, JSON-ready.

    A row is answered once and the same each time, so that the interaction holds all that is left: what this figure does
    on this ground alone. No interval below ``MIN_DEVIATING`` figures with another value than the most frequent.
    """
    values = variance_components(cells)[0]
    whole = float(values.sum())
    parts = [variance_components(cells, drawn, others) for drawn, others in sampling.draws(*cells.present.shape)]
    samples = np.concatenate(parts)
    sums = samples.sum(axis=1, keepdims=True)
    shares = np.divide(samples, sums, out=np.full_like(samples, np.nan), where=sums > 1e-15)
    decidable = _deviating(cells) >= MIN_DEVIATING
    measured: dict[str, Any] = {}
    for index, name in enumerate(COMPONENTS):
        ci95 = pigeonhole_interval(samples[:, index], cells) if decidable else None
        share_ci95 = pigeonhole_interval(shares[:, index], cells) if decidable else None
        known = bool(np.isfinite(values[index]))
        measured[name] = {
            **interval_json(float(values[index]) if known else None, ci95 if known else None),
            "sd": float(np.sqrt(max(values[index], 0.0))) if known else None,
            "share": interval_json(float(values[index]) / whole if whole > 1e-15 else None, share_ci95),
        }
    return measured


def _deviating(cells: CrossedCells) -> int:
    """Figures with a cell of another value than the most frequent one, or, where that is rarer, with a cell of it."""
    kinds, counts = np.unique(cells.values[cells.present], return_counts=True)
    usual = (cells.values == kinds[counts.argmax()]) if len(kinds) else cells.present
    ways = (cells.present & ~usual).any(axis=1).sum(), (cells.present & usual).any(axis=1).sum()
    return int(min(ways) if len(kinds) <= 2 else ways[0])
