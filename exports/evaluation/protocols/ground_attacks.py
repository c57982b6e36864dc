"""Grounds as attacks on figures: how often each fools, one of m does, and the worst of m does.

The rate of the ground that fools most, among many, is in part the luck of the figures that it was tried on, so the
largest of the rates is too high. Two estimates have no such bias. *One of m*: whether at least one of m grounds fools
a figure, averaged over all choices of m of its grounds, in closed form. *Worst of m*: the ground is chosen on other
figures than those on which its rate is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import comb  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports.evaluation.intervals import (
    MAX_GAIN,
    MIN_RESAMPLED,
    interval_json,
    share_interval,
    wilson_interval,
)
from figureground.exports.evaluation.protocols.pigeonhole import MIN_GROUNDS
from figureground.exports.evaluation.values import Bools, Floats, Ints

FOLDS: Final = 10
REPEATS: Final = 10  # of the division into folds


class GroundTrials(NamedTuple):
    """F figures on G grounds: where a ground was tried on a figure, and whether it fooled."""

    fooled: Bools  # (F, G), False where it was not tried
    tried: Bools  # (F, G)

    def where_tried(self) -> GroundTrials:
        """Without the figures on which nothing was tried."""
        own = self.tried.any(axis=1)
        return GroundTrials(self.fooled[own], self.tried[own])


def any_of_shares(trials: GroundTrials, size: int) -> Floats:
    """Probability that at least one of ``size`` of its grounds fools each figure, ``(F,)``; NaN where it has fewer.

    1 - C(n - s, m) / C(n, m), where s of a figure's n grounds fool it: the mean over all choices of m of them, and so
    an unbiased estimate for m grounds drawn like these (a U-statistic; Chen et al., arXiv 2107.03374, have it as
    pass@k).
    """
    count, hits = trials.tried.sum(axis=1), trials.fooled.sum(axis=1)
    ways = comb(count, size)
    spared = np.divide(comb(count - hits, size), ways, out=np.full(len(count), np.nan), where=ways > 0)
    return np.asarray(1 - spared, np.float64)


def any_of(trials: GroundTrials, size: int, groups: Ints | None) -> dict[str, Any]:
    """Share of figures that at least one of ``size`` grounds fools, JSON-ready; no value where a figure has fewer.

    ``ci95_figures`` is of these very grounds: figures are the sample. In ``ci95`` grounds are a sample too: the
    variance between figures and the jackknife's over grounds (Efron and Stein, Annals of Statistics 9, 1981) make an
    effective number for Wilson's interval.
    """
    values = any_of_shares(trials, size)
    if not len(values) or not np.isfinite(values).all():
        return {"m": size, "value": None, "ci95": None}
    share, figures = float(values.mean()), len(values)
    alike = np.zeros(figures, np.int64)
    return {
        "m": size,
        **interval_json(share, _two_way_interval(trials, size, values)),
        "ci95_figures": share_interval(values, alike, groups),
    }


def _two_way_interval(trials: GroundTrials, size: int, values: Floats) -> list[float] | None:
    """None for fewer figures or grounds than it takes, and where a figure has no ground to spare."""
    figures, grounds = trials.tried.shape
    tried = trials.tried.any(axis=0)
    if figures < MIN_RESAMPLED or tried.sum() < MIN_GROUNDS or (trials.tried.sum(axis=1) <= size).any():
        return None
    left = np.ones(grounds, np.bool_)
    without = []
    for ground in np.flatnonzero(tried):
        left[ground] = False
        without.append(any_of_shares(GroundTrials(trials.fooled & left, trials.tried & left), size).mean())
        left[ground] = True
    count = len(without)
    variance = float(np.var(values, ddof=1)) / figures + (count - 1) / count * float(
        ((np.array(without) - np.mean(without)) ** 2).sum()
    )
    share = float(values.mean())
    spread = share * (1 - share)
    if variance < 1e-12 or spread <= 0:
        return wilson_interval(round(share), figures)
    return wilson_interval(share, min(spread / variance, MAX_GAIN * figures))


def worst_of(trials: GroundTrials, sizes: Sequence[int], groups: Ints | None, *, seed: int) -> list[dict[str, Any]]:
    """How often the ground that fools most, of ``m`` drawn from these, fools a figure: by all figures, and held out.

    ``naive`` ranks grounds by their rates on all figures, the judged one among them; ``value`` on others: figures are
    divided into ``FOLDS`` parts, whole groups together, ``REPEATS`` times, and grounds are ranked without the part that
    is judged. It is unbiased for a ground chosen on that many figures. Of m drawn from the n that were tried on a
    figure, the one at rank j is the worst with probability C(n - j, m - 1) / C(n, m). ``ci95`` is of these grounds:
    figures are the sample.
    """
    figures, grounds = trials.tried.shape
    own = np.arange(figures) if groups is None else np.unique(groups, return_inverse=True)[1]
    generator = np.random.Generator(np.random.PCG64(seed))
    tables = [_rank_chances(grounds, size) for size in sizes]
    sums = np.zeros((len(sizes), figures))
    for _ in range(REPEATS):
        part = generator.permutation(int(own.max()) + 1)[own] % FOLDS
        for fold in range(FOLDS):
            judged = part == fold
            order = _ranked(trials, ~judged, generator)
            sums[:, judged] += _by_rank(GroundTrials(trials.fooled[judged], trials.tried[judged]), order, tables)
    naive = _by_rank(trials, _ranked(trials, np.ones(figures, np.bool_), generator), tables)
    alike, enough = np.zeros(figures, np.int64), int(own.max()) + 1 >= FOLDS
    measured = []
    for size, values, optimistic in zip(sizes, sums / REPEATS, naive, strict=True):
        known = enough and bool(np.isfinite(values).all())
        ci95 = share_interval(np.clip(values, 0, 1), alike, groups) if known else None
        value = float(values.mean()) if known else None
        measured.append({"m": size, **interval_json(value, ci95), "naive": float(optimistic.mean()), "n": figures})
    return measured


def _by_rank(trials: GroundTrials, order: Ints, tables: Sequence[Floats]) -> Floats:
    """Probability that the worst of m of its grounds fools each figure, ``(M, F)``; NaN where it has fewer than m."""
    tried, fooled = trials.tried[:, order], trials.fooled[:, order]
    rank = np.where(tried, np.cumsum(tried, axis=1), 0)
    count = tried.sum(axis=1)
    return np.stack([(table[count[:, None], rank] * fooled).sum(axis=1) + table[count, 0] for table in tables])


def _rank_chances(grounds: int, size: int) -> Floats:
    """Probability ``(n, j)`` that the worst of ``size`` out of n is that of rank j; n and j from 0 to ``grounds``.

    Rank 0 stands for no ground: 0, or NaN where n is less than ``size``.
    """
    count, rank = np.ogrid[: grounds + 1, : grounds + 1]
    ways = comb(count, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        chances = np.where(rank > 0, comb(np.maximum(count - rank, 0), size - 1), 0) / ways
    return np.where(count < size, np.nan, np.where(rank > count, 0, chances))


def _ranked(trials: GroundTrials, own: Bools, generator: np.random.Generator) -> Ints:
    """Grounds by the share of the figures of ``own`` that they fool, the most first; ties in drawn order."""
    tried = trials.tried[own].sum(axis=0)
    rates = np.divide(trials.fooled[own].sum(axis=0), tried, out=np.zeros(len(tried)), where=tried > 0)
    return np.asarray(np.lexsort((generator.permutation(len(rates)), -rates)))


def each_ground(trials: GroundTrials, groups: Ints | None) -> list[dict[str, Any]]:
    """Rate of every ground by itself: unbiased for a ground that was not chosen by its rate, JSON-ready."""
    rates = []
    for ground in range(trials.tried.shape[1]):
        own = trials.tried[:, ground]
        rates.append(_rate(trials.fooled[own, ground].astype(np.float64), None if groups is None else groups[own]))
    return rates


def each_pair(
    trials: GroundTrials, labels: Ints, ground_labels: Ints, groups: Ints | None, classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Rate of the grounds of every class on the figures of every other, by names of classes, JSON-ready.

    A figure counts once, as the mean over the grounds of the class that it was tried on; ``ci95`` is of these grounds,
    of which a class may have one alone.
    """
    pairs: dict[str, dict[str, Any]] = {}
    for figure_label, figure_class in enumerate(classes):
        for ground_label, ground_class in enumerate(classes):
            columns = ground_labels == ground_label
            rows = (labels == figure_label) & trials.tried[:, columns].any(axis=1)
            if figure_label == ground_label or not rows.any():
                continue
            tried, fooled = trials.tried[rows][:, columns], trials.fooled[rows][:, columns]
            shares = fooled.sum(axis=1) / tried.sum(axis=1)
            pairs.setdefault(figure_class, {})[ground_class] = {
                **_rate(shares, None if groups is None else groups[rows]),
                "grounds": int(tried.any(axis=0).sum()),
            }
    return pairs


def _rate(values: Floats, groups: Ints | None) -> dict[str, Any]:
    """Mean of ``(I,)`` values in [0, 1] over figures, with its interval."""
    if not len(values):
        return {"value": None, "ci95": None, "n": 0}
    ci95 = share_interval(values, np.zeros(len(values), np.int64), groups)
    return {**interval_json(float(values.mean()), ci95), "n": len(values)}
