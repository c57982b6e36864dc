"""95 % intervals of shares, class means, differences and clusters, and the p-values that decide stars.

Strata are classes where a figure is a mean of class means, or one and the same number for all images where images count
alike. An image with several rows (draws, trials) counts once, as the mean of its rows: rows of one image are no new
images. Images of one group (a video, a burst, a photographer) are no independent ones either: where groups are given,
whole groups are the sample. ``benchmarks/coverage.py`` measures how often each interval covers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

# The normal distribution is ndtr, Student's stdtr, its quantiles stdtrit: scipy.stats takes half a second to load.
from scipy.special import ndtr, stdtr, stdtrit  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports.evaluation.values import EMPTY, Floats, Ints, require

Z: Final = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
MIN_DECIDABLE: Final = 25  # images below which nothing is starred: Wilson's interval of a share is over 35 points wide
MIN_RESAMPLED: Final = 24  # images below which a bootstrap interval covers under 90 %
MAX_GAIN: Final = 4.0  # how much more than its images a stratified mean may be trusted
MIN_KNOWN: Final = 0.5  # least factor for an estimated variance: score intervals allow for few images by themselves
TOO_FEW: Final = "too few to say"
ALPHA: Final = 0.05  # chance of any star in a table where nothing differs
_BOOTSTRAP_CELLS: Final = 1 << 21  # resampled counts held at once: 16 MB of int64


class Estimate(NamedTuple):
    """A figure, its 95 % interval, and p of the hypothesis that it is 0."""

    value: float
    ci95: list[float] | None
    p: float | None

    def json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**interval_json(self.value, self.ci95), "p": self.p}


def interval_json(value: float | None, ci95: Sequence[float] | None) -> dict[str, Any]:
    """A figure as results store it; ``no_ci95`` says why one that has a value has no interval."""
    reason = {} if ci95 or value is None else {"no_ci95": TOO_FEW}
    return {"value": value, "ci95": ci95, **reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What intervals take for a sample."""

    count: int = 10_000  # bootstrap resamples
    seed: int = 0  # of the bootstrap
    cluster: str = "image"  # "image": images are a sample; "class": so are the dataset's classes
    groups: Mapping[str, str] | None = None  # group by image_id, of images that show one scene with others

    def bootstrap(self, values: Floats, labels: Ints) -> Floats:
        """Resampled means over classes of ``(I, M)`` values: ``(B, M)``, paired."""
        return bootstrap_class_means(values, labels, count=self.count, seed=self.seed)


class Strata(NamedTuple):
    """The mean over K strata of the means in each."""

    mean: float
    variance: float | None  # of that mean; None where it cannot be told
    images: float  # of a simple random sample that would be as exact, if strata did not differ: K² / Σ 1/m
    degrees: float  # of freedom of the variance, after Satterthwaite; NaN where it is 0


def wilson_interval(share: float, n: float, critical: float = Z) -> list[float]:
    """Wilson's 95 % score interval of a share in [0, 1] of ``n`` images (JASA 22, 1927); it always has a width.

    ``n`` may be an effective number; ``critical`` is the quantile of the distribution that the share is judged by.
    """
    require(n > 0, EMPTY)
    square = critical**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = critical / (1 + square / n) * np.sqrt(share * (1 - share) / n + square / (4 * n**2))
    return [float(max(0.0, middle - half)), float(min(1.0, middle + half))]


class GroupEffect(NamedTuple):
    """What it costs a mean over strata that whole groups are the sample, not their images."""

    groups: int  # an image without a group is one of its own
    design_effect: float  # how many times as large the variance is, at least 1
    degrees: float  # of freedom of that variance

    @property
    def factor(self) -> float:
        """What a number of images is worth, in (0, 1], less what an estimated variance costs."""
        return _known(self.degrees) / self.design_effect


def group_effect(values: Floats, strata: Ints, groups: Ints) -> GroupEffect:
    """The design effect (Kish, Survey Sampling, 1965) of groups on the mean over strata of ``(I,)`` values.

    The ratio of the variance between linearised totals of groups, the "ultimate clusters" of Cochran (Sampling
    Techniques, 1977), to that between images. Where nothing varies, a group counts as one image.
    """
    require(len(values), EMPTY)
    own, count = np.unique(groups, return_inverse=True)[1], len(np.unique(groups))
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    means = np.bincount(stratum, weights=values) / sizes
    parts = (values - means[stratum]) / sizes[stratum]
    between, alone = (float((np.bincount(of, weights=parts) ** 2).sum()) for of in (own, np.arange(len(parts))))
    if count < 2 or alone < 1e-18:
        return GroupEffect(count, len(values) / count, count - 1.0)
    ratio = (between * count / (count - 1)) / (alone * len(values) / (len(values) - 1))
    return GroupEffect(count, max(1.0, ratio), count - 1.0)


def share_interval(values: Floats, strata: Ints, groups: Ints | None = None) -> list[float]:
    """Interval of the mean over strata of mean values in [0, 1], ``(I,)`` each: Wilson's, of an effective number.

    The number is that of a simple random sample with the variance of the stratified mean (design effect of Kish,
    Survey Sampling, 1965), as Korn and Graubard do for surveys (Survey Methodology 24(2), 1998). Where all outcomes
    agree it is the number of images. With ``groups`` ``(I,)`` it is less by their design effect.
    """
    parts = measure_strata(values, strata)
    worth = 1.0 if groups is None else group_effect(values, strata, groups).factor
    if len(np.unique(strata)) == 1 and bool(np.isin(values, (0, 1)).all()):
        return wilson_interval(parts.mean, worth * len(values))
    spread = parts.mean * (1 - parts.mean)
    if spread <= 0:
        return wilson_interval(round(parts.mean), worth * len(values))
    return wilson_interval(parts.mean, worth * _effective(spread, parts))


def paired_difference(first: Floats, second: Floats, strata: Ints, groups: Ints | None = None) -> Estimate:
    """Mean over strata of the differences of two outcomes in [0, 1] of the same images, ``(I,)`` each.

    Tango's score interval (Statistics in Medicine 17, 1998), in which the counts of discordant pairs are those of an
    effective number of images; p is that of its test, which is McNemar's where images count alike, and judged by
    Student's t where the variance was estimated within strata, or between ``groups`` ``(I,)``.
    """
    lost = first - second
    parts = measure_strata(lost, strata)
    gains, losses = (measure_strata(np.maximum(sign * lost, 0), strata).mean for sign in (1, -1))
    counted = len(np.unique(strata)) == 1 and bool(np.isin(lost, (-1, 0, 1)).all())
    spread = gains + losses - parts.mean**2
    n = float(len(lost)) if counted else _effective(spread, parts) if spread > 0 else parts.images
    degrees = np.inf if counted or parts.variance is None else parts.degrees
    effect = None if groups is None else group_effect(lost, strata, groups)
    if effect is not None:
        degrees, n = min(degrees, max(1.0, effect.degrees)), n / effect.design_effect
    score = abs(_tango(0.0, gains * n, losses * n, n)) if gains + losses > 0 else 0.0
    p = float(2 * (ndtr(-score) if np.isinf(degrees) else stdtr(degrees, -score)))
    n *= 1.0 if effect is None else _known(effect.degrees)
    return Estimate(parts.mean, tango_interval(gains * n, losses * n, n), p)


def tango_interval(only_first: float, only_second: float, n: float) -> list[float]:
    """Tango's 95 % score interval of a difference of paired shares, in [-1, 1].

    Args:
        only_first: Number of the ``n`` pairs in which only the first is right.
        only_second: Number of pairs in which only the second is.
        n: Number of pairs; like the others it need not be whole.
    """
    value = (only_first - only_second) / n

    def bound(sign: int) -> float:
        def excess(delta: float) -> float:
            return _tango(delta, only_first, only_second, n) + sign * Z

        near, far = value, sign * (1 - 1e-12)
        if sign * (far - near) <= 1e-12 or sign * excess(far) > 0:
            return float(sign)
        return find_root(excess, near, far, precision=1e-12)

    return [bound(-1), bound(1)]


def find_root(function: Callable[[float], float], near: float, far: float, *, precision: float) -> float:
    """Where a function is 0 between two arguments at which its signs differ, to ``precision``, by Brent's method."""
    from scipy.optimize import brentq  # type: ignore[import-untyped]  # takes a fifth of a second to load

    return float(brentq(function, near, far, xtol=precision))


def _tango(delta: float, only_first: float, only_second: float, n: float) -> float:
    """The score statistic of the hypothesis that the difference is ``delta`` (Tango 1998)."""
    linear = -only_first - only_second + (2 * n - only_first + only_second) * delta
    constant = -only_second * delta * (1 - delta)
    share = (np.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * share + delta * (1 - delta))
    score = only_first - only_second - n * delta
    return float(score / np.sqrt(variance)) if variance > 0 else (0.0 if abs(score) < 1e-9 else np.sign(score) * np.inf)


def mean_estimate(values: Floats, strata: Ints, bounds: tuple[float, float], groups: Ints | None = None) -> Estimate:
    """Mean over strata of real values ``(I,)`` within ``bounds``: Student's t, with Satterthwaite's degrees of freedom.

    None below ``MIN_RESAMPLED`` images, where nothing varies, and for fewer than three ``groups`` ``(I,)``.
    """
    parts = measure_strata(values, strata)
    if len(values) < MIN_RESAMPLED or not parts.variance:
        return Estimate(parts.mean, None, None)
    if groups is None:
        return student_estimate(parts.mean, parts.variance, parts.degrees, bounds)
    effect = group_effect(values, strata, groups)
    if effect.groups < 3:
        return Estimate(parts.mean, None, None)
    degrees = min(parts.degrees, effect.degrees)
    return student_estimate(parts.mean, parts.variance * effect.design_effect, degrees, bounds)


def student_estimate(value: float, variance: float, degrees: float, bounds: tuple[float, float]) -> Estimate:
    """A value with the variance of its estimate, judged by Student's t; its interval is cut to ``bounds``."""
    error = float(np.sqrt(variance))
    half = float(stdtrit(degrees, 0.975)) * error
    interval = [max(bounds[0], value - half), min(bounds[1], value + half)]
    return Estimate(value, interval, float(2 * stdtr(degrees, -abs(value) / error)))


def cluster_estimate(values: Floats, clusters: Ints, over: str, bounds: tuple[float, float]) -> Estimate:
    """Mean over ``images`` or over ``classes`` of ``(I,)`` values whose classes are a sample of all classes.

    Student's t with K - 1 degrees of freedom on the K class means, or on the linearised class totals of the mean over
    images (Cochran, Sampling Techniques, 1977). None for fewer than three classes, and where none differs.
    """
    require(len(values), EMPTY)
    _, own, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    count, sums = len(sizes), np.bincount(own, weights=values)
    means = sums / sizes
    value = float(means.mean() if over == "classes" else values.mean())
    if count < 3:
        return Estimate(value, None, None)
    residuals = means - value if over == "classes" else (sums - value * sizes) / sizes.mean()
    variance = float((residuals**2).sum() / (count - 1) / count)
    return student_estimate(value, variance, count - 1, bounds) if variance > 1e-18 else Estimate(value, None, None)


class Crossed(NamedTuple):
    """Variance of a figure over images and raters, both of which are samples, and its degrees of freedom."""

    variance: float
    degrees: float

    def share_interval(self, share: float, n: float) -> list[float]:
        """Interval of a share: Wilson's of an effective number, by Student's t; of ``n`` images where none differs."""
        if self.variance < 1e-18 or not 0 < share < 1:
            return wilson_interval(share, n)
        return wilson_interval(share, min(n * MAX_GAIN, share * (1 - share) / self.variance), self.critical)

    @property
    def critical(self) -> float:
        """97.5 % quantile of Student's t."""
        return float(stdtrit(max(1.0, self.degrees), 0.975))


def crossed_variance(parts: Floats) -> Crossed:
    """Variance of the sum of ``(I, R)`` parts, images by raters, that add up to about 0 (a linearised figure).

    Two-way clustering (Cameron, Gelbach and Miller, Journal of Business & Economic Statistics 29(2), 2011),
    each way with its own correction K / (K - 1), and Satterthwaite's degrees of freedom. Of one rater it is the
    variance over images alone.
    """
    images, raters = parts.shape
    by_image = float((parts.sum(axis=1) ** 2).sum()) * images / max(1, images - 1)
    if raters == 1:
        return Crossed(by_image, images - 1.0)
    by_rater = float((parts.sum(axis=0) ** 2).sum()) * raters / (raters - 1)
    variance = max(by_image + by_rater - float((parts**2).sum()), by_image, by_rater)
    spent = by_rater**2 / (raters - 1) + by_image**2 / max(1, images - 1)
    return Crossed(variance, variance**2 / spent if spent > 0 else np.inf)


def measure_strata(values: Floats, strata: Ints) -> Strata:
    """Mean, and the variance of the mean.

    Every stratum's variance is told by its own images and one more with the variance within all strata, so that two
    images that agree do not pass for certainty. Where a stratum has one image, strata are pooled.
    """
    require(len(values), EMPTY)
    _, own, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    means = np.bincount(own, weights=values) / sizes
    count, inverse = len(sizes), float((1 / sizes).sum())
    images = count**2 / inverse
    mean = float(means.mean())
    if sizes.min() > 1:
        sums = np.bincount(own, weights=(values - means[own]) ** 2)
        within = float(sums.sum()) / (len(values) - count)
        squares = (sums + within) / sizes**2 / count**2
        variance = float(squares.sum())
        degrees = variance**2 / float((squares**2 / (sizes - 1)).sum()) if variance > 0 else np.nan
    else:
        variance = float(np.var(values, ddof=1)) / images if len(values) > 1 else 0.0
        degrees = len(values) - 1.0
    return Strata(mean, variance if variance > 1e-18 else None, images, degrees)


def _effective(spread: float, parts: Strata) -> float:
    """Images of a simple random sample as exact as a stratified mean; ``spread`` is the variance of one image.

    Fewer by the square of the ratio of the normal to Student's quantile, as the variance is itself estimated (Korn and
    Graubard 1998).
    """
    if parts.variance is None:
        return parts.images
    return min(_known(parts.degrees) * spread / parts.variance, MAX_GAIN * parts.images)


def _known(degrees: float) -> float:
    """What an estimated variance costs an effective number: a factor from ``MIN_KNOWN`` to 1."""
    return max(MIN_KNOWN, (Z / float(stdtrit(max(1.0, degrees), 0.975))) ** 2)


def bootstrap_class_means(values: Floats, labels: Ints, *, count: int, seed: int) -> Floats:
    """Bootstrap the mean over classes of class means; columns share each resample, so their differences are paired.

    Of a class of m images m - 1 are drawn, with replacement: a resample of m varies too little (Rao and Wu, JASA 83,
    1988). Classes of one image are drawn as one class. Equal rows of a class are interchangeable, so their counts in a
    resample are multinomial; drawing those is the same bootstrap as drawing indices, in the memory of the distinct
    rows. ``values`` is ``(I, M)``, images by quantities; the result ``(B, M)``, B = ``count``; ``seed`` is PCG64's.
    """
    require(values.size, EMPTY)
    generator = np.random.Generator(np.random.PCG64(seed))
    classes, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    single = sizes[own] == 1
    groups = [(values[own == index], 1) for index in np.flatnonzero(sizes > 1)]
    groups += [(values[single], int(single.sum()))] if single.any() else []
    means = np.zeros((count, values.shape[1]))
    for rows, weight in groups:
        distinct, frequency = np.unique(rows, axis=0, return_counts=True)
        drawn_rows, step = max(1, len(rows) - 1), max(1, _BOOTSTRAP_CELLS // len(distinct))
        for start in range(0, count, step):
            stop = min(start + step, count)
            drawn = generator.multinomial(drawn_rows, frequency / len(rows), size=stop - start)
            means[start:stop] += weight * (drawn @ distinct) / drawn_rows
    return means / len(classes)


def mask_weights(masks: int, *, count: int, seed: int) -> Floats:
    """What each of M masks weighs in a resample, ``(B, M)``: masks are crossed with the images.

    Weights of images and of masks are multiplied (the pigeonhole bootstrap of Owen, Annals of Applied Statistics 1(2),
    2007), so that one interval has the variance of both. Of M masks M - 1 are drawn, as of images; one has weight 1.
    """
    generator = np.random.Generator(np.random.PCG64([seed, 2]))
    drawn = max(1, masks - 1)
    return np.asarray(generator.multinomial(drawn, np.full(masks, 1 / masks), size=count) / drawn)


def bootstrap_interval(samples: Floats, n: int) -> list[float] | None:
    """Central 95 % of the finite ones of bootstrap samples ``(B,)`` of ``n`` images.

    None below ``MIN_RESAMPLED`` images, where more than a tenth of the samples is undefined, and where none differs.
    """
    finite = samples[np.isfinite(samples)]
    if n < MIN_RESAMPLED or len(finite) < 0.9 * len(samples) or float(np.ptp(finite)) < 1e-9:
        return None
    return [float(bound) for bound in np.quantile(finite, [0.025, 0.975])]


def bootstrap_p(samples: Floats) -> float:
    """Two-sided p of the hypothesis that a figure is 0, of its finite bootstrap samples ``(B,)``, in (0, 1].

    Twice the smaller share on either side of 0, to which one sample is added, so that it is never 0.
    """
    finite = samples[np.isfinite(samples)]
    tail = min(int((finite <= 0).sum()), int((finite >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(finite) + 1))


def root_interval(value: float, samples: Floats, n: int) -> list[float] | None:
    """95 % interval of the root of a sum of squares, which resamples ``(B,)`` of ``n`` images exceed by their noise.

    Normal about the square less its bootstrap bias (Efron and Tibshirani, An Introduction to the Bootstrap, 1993),
    cut at 0; a percentile interval of such a figure lies beside it. None below ``MIN_RESAMPLED`` images.
    """
    squares = samples**2
    error = float(squares.std())
    if n < MIN_RESAMPLED or error < 1e-12:
        return None
    middle = 2 * value**2 - float(squares.mean())
    low, high = (float(np.sqrt(max(0.0, middle + sign * Z * error))) for sign in (-1, 1))
    return [min(low, value), max(high, value)]


def resampled_rows(n: int, *, count: int, seed: int) -> Iterator[Ints]:
    """Rows ``(n,)`` of each of ``count`` bootstrap resamples of ``n`` images; ``seed`` is PCG64's."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for _ in range(count):
        yield generator.integers(0, n, n)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979), in [0, 1]."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values, np.float64)[order]))
    corrected = np.empty(len(p_values))
    corrected[order] = adjusted
    return [float(p) for p in corrected]
