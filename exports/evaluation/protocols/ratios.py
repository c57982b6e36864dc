"""Ratios of counts over images with several rows each, and their differences, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainccinv, betaincinv, ndtr, stdtrit  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports.evaluation.intervals import Z, find_root, wilson_interval
from figureground.exports.evaluation.values import EMPTY, Floats, require

_FARTHEST: Final = 37.0  # normal quantile whose tail is the smallest that a float holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A figure, what every cluster of rows adds to its error, and its limits at a normal quantile."""

    value: float
    clusters: NDArray[np.str_]  # (C,), sorted: images, or groups of them
    residuals: Floats  # (C,), which add up to about 0
    limits: Callable[[float], tuple[float, float]]
    effective: float = 0.0  # rows of a simple random sample that would be as exact; 0 of differences

    def exact_limits(self, alpha: float) -> tuple[float, float]:
        """Limits of a share that hold with 1 - alpha at least, of its effective number of rows.

        Clopper's and Pearson's (Biometrika 26, 1934), of an effective number as Korn and Graubard take them (Survey
        Methodology 24(2), 1998): far out, where many groups are judged together, Wilson's fall short.
        """
        right, n = self.value * self.effective, self.effective
        low = float(betaincinv(right, n - right + 1, alpha / 2)) if right > 1e-9 else 0.0
        high = float(betainccinv(right + 1, n - right, alpha / 2)) if n - right > 1e-9 else 1.0
        return low, high

    def json(self) -> dict[str, Any]:
        """Value, 95 % interval and p of the hypothesis that it is 0, JSON-ready; p agrees with the interval."""
        return {"value": self.value, "ci95": list(self.limits(Z)), "p": self._p()}

    def _p(self) -> float:
        side = 0 if self.value > 0 else 1

        def distance(quantile: float) -> float:
            return self.limits(quantile)[side] * (1 if side == 0 else -1)

        if self.value == 0 or distance(1e-9) <= 0:
            return 1.0
        if distance(_FARTHEST) > 0:
            return float(2 * ndtr(-_FARTHEST))
        return float(2 * ndtr(-find_root(distance, 1e-9, _FARTHEST, precision=1e-9)))


def share_ratio(counted: Floats, of: Floats, clusters: NDArray[np.str_]) -> Ratio:
    """Σ counted / Σ of over rows ``(R,)``, in [0, 1]; an image's rows, or a group's, are one cluster.

    Its interval is Wilson's of an effective number: that of a simple random sample with the variance of the linearised
    ratio between clusters (Cochran, Sampling Techniques, 1977; Korn and Graubard, Survey Methodology 24(2), 1998). Of
    rows that are 0 or 1, one a cluster, it is the number of rows counted.

    Args:
        counted: From 0 to ``of``.
        of: What each row counts, at least 0; ``EvaluationError`` if none counts.
        clusters: Name of each row's image or group.
    """
    total = float(of.sum())
    require(total > 0, EMPTY)
    value = float(counted.sum() / total)
    names, own = np.unique(clusters, return_inverse=True)
    residuals = np.bincount(own, weights=counted - value * of, minlength=len(names)) / total
    rows = np.bincount(own, weights=of > 0, minlength=len(names))
    single = rows.max() <= 1 and bool(np.isin(counted, (0, 1)).all() and np.isin(of, (0, 1)).all())
    return _effective_ratio(value, names, residuals, total, int((rows > 0).sum()), exact=single)


def weighted_share(parts: Floats, total: float, clusters: NDArray[np.str_]) -> Ratio:
    """Σ parts / total over rows ``(R,)``, where rows weigh differently: a share in [0, 1], with Wilson's interval.

    As ``share_ratio``, with the variance of the clusters' parts about their mean.
    """
    require(len(parts) and total > 0, EMPTY)
    names, own = np.unique(clusters, return_inverse=True)
    sums = np.bincount(own, weights=parts, minlength=len(names))
    return _effective_ratio(
        float(sums.sum() / total), names, (sums - sums.mean()) / total, total, len(names), exact=False
    )


def _effective_ratio(
    value: float, names: NDArray[np.str_], residuals: Floats, total: float, count: int, *, exact: bool
) -> Ratio:
    """A ratio with Wilson's limits; ``count`` clusters count anything, ``exact`` says that each is one Bernoulli."""
    variance = float((residuals**2).sum()) * count / max(1, count - 1)
    spread, degrees, n = value * (1 - value), np.inf, total
    if not exact:
        settled = variance < 1e-18 or spread < 1e-12
        n = float(count) if settled else min(total, spread / variance)
        degrees = np.inf if settled else max(1.0, count - 1.0)

    def limits(quantile: float) -> tuple[float, float]:
        tail = ndtr(-quantile)
        critical = quantile if np.isinf(degrees) else min(-float(stdtrit(degrees, tail)), 1e9)
        low, high = wilson_interval(min(1.0, max(0.0, value)), n, critical)
        return min(low, value), max(high, value)

    return Ratio(value=value, clusters=names, residuals=residuals, limits=limits, effective=n)


def difference_of(first: Ratio, second: Ratio) -> Ratio:
    """Difference of two ratios that may share clusters, in [-1, 1] of two shares.

    The method of variance estimates recovery (Zou and Donner, Statistics in Medicine 27, 2008): the interval is put
    together from the limits of both and the correlation of their errors, here that of their clusters' residuals. Of
    two paired shares it is Newcombe's (Statistics in Medicine 17, 1998).
    """
    names = np.union1d(first.clusters, second.clusters)
    one, two = (np.zeros(len(names)), np.zeros(len(names)))
    one[np.searchsorted(names, first.clusters)] = first.residuals
    two[np.searchsorted(names, second.clusters)] = second.residuals
    norms = float(np.sqrt((one**2).sum() * (two**2).sum()))
    correlation = float(np.clip((one * two).sum() / norms, -1, 1)) if norms > 1e-18 else 0.0
    value = first.value - second.value

    def limits(quantile: float) -> tuple[float, float]:
        (low_1, high_1), (low_2, high_2) = first.limits(quantile), second.limits(quantile)
        down, up = first.value - low_1, high_1 - first.value
        down_2, up_2 = second.value - low_2, high_2 - second.value
        low = value - float(np.sqrt(max(0.0, down**2 + up_2**2 - 2 * correlation * down * up_2)))
        high = value + float(np.sqrt(max(0.0, up**2 + down_2**2 - 2 * correlation * up * down_2)))
        return low, high

    return Ratio(value=value, clusters=names, residuals=one - two, limits=limits)
