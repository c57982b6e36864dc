"""Intervals of shares and of their differences: published values, references of SciPy, and other ways to the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]  # ships no annotations
from scipy.stats import binomtest, chi2, t, ttest_1samp  # type: ignore[import-untyped]

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError, Floats, Ints

CHANCE = (-1.0, 1.0)


def alike(count: int) -> Ints:
    """Strata of images that count alike."""
    return np.zeros(count, np.int64)


def known(p: float | None) -> float:
    """A p that is there."""
    assert p is not None
    return p


def strata_of(*sizes: int) -> Ints:
    return np.repeat(np.arange(len(sizes)), sizes)


def outcomes(*values: float) -> Floats:
    return np.array(values, np.float64)


# Shares


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (3, 4), (120, 400), (29, 30), (0, 1000)])
def test_wilson_is_that_of_scipy(right: int, n: int) -> None:
    wanted = binomtest(right, n).proportion_ci(method="wilson")
    assert script.wilson_interval(right / n, n) == pytest.approx([wanted.low, wanted.high])


def test_wilson_of_nothing_is_refused_and_a_wider_quantile_widens_it() -> None:
    with pytest.raises(EvaluationError, match="nothing to score"):
        script.wilson_interval(0.5, 0)
    narrow, wide = script.wilson_interval(0.5, 10), script.wilson_interval(0.5, 10, critical=4.3)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_share_over_images_is_wilsons() -> None:
    values = outcomes(*[1] * 13, *[0] * 7)
    assert script.share_interval(values, alike(20)) == script.wilson_interval(13 / 20, 20)


def wilson_by_variance(share: float, variance: float, degrees: float) -> list[float]:
    """Wilson's of the number with that variance, less what an estimated variance costs, which is half of it at most."""
    factor = max(0.5, (1.959964 / float(t.ppf(0.975, degrees))) ** 2)
    return script.wilson_interval(share, factor * share * (1 - share) / variance)


@pytest.mark.parametrize("times", [1, 6])
def test_a_class_mean_is_wilsons_of_the_images_that_would_be_as_exact(times: int) -> None:
    """Two classes, 3 of 4 and 1 of 2 right, or six times that: each tells its variance with one pooled image more."""
    values, strata = np.repeat(outcomes(1, 1, 1, 0, 1, 0), times), strata_of(4 * times, 2 * times)
    within = times * (3 / 4 + 1 / 2) / (6 * times - 2)
    parts = [(times * sums + within) / (size * times) ** 2 / 2**2 for sums, size in ((3 / 4, 4), (1 / 2, 2))]
    degrees = sum(parts) ** 2 / (parts[0] ** 2 / (4 * times - 1) + parts[1] ** 2 / (2 * times - 1))
    wanted = wilson_by_variance((3 / 4 + 1 / 2) / 2, sum(parts), degrees)
    assert script.share_interval(values, strata) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("times", [1, 6])
def test_where_a_class_has_one_image_the_spread_is_that_of_all(times: int) -> None:
    values, strata = np.append(np.repeat(outcomes(1, 1, 0), times), 1), strata_of(3 * times, 1)
    share, images = (2 / 3 + 1) / 2, 2**2 / (1 / (3 * times) + 1)
    wanted = wilson_by_variance(share, float(np.var(values, ddof=1)) / images, 3 * times)
    assert script.share_interval(values, strata) == pytest.approx(wanted, abs=1e-6)
    half = script.share_interval(outcomes(*[1, 0] * 10), np.arange(20))  # twenty classes of one image
    assert half[0] < 0.31
    assert half[1] > 0.69


def test_classes_that_differ_are_trusted_as_four_times_their_images_at_most() -> None:
    right = np.repeat([1.0, 0.0], 100)
    right[0] = 0  # within classes next to nothing varies
    assert script.share_interval(right, strata_of(100, 100)) == script.wilson_interval(0.495, 4 * 200)
    right[0] = 1  # and here nothing does, which is no certainty
    assert script.share_interval(right, strata_of(100, 100)) == script.wilson_interval(0.5, 200)


@pytest.mark.parametrize("share", [0, 1])
def test_where_all_agree_it_is_wilsons_of_the_images(share: int) -> None:
    strata = strata_of(5, 1, 30)
    assert script.share_interval(np.full(36, float(share)), strata) == script.wilson_interval(share, 36)


def test_an_image_of_several_rows_counts_once_and_by_how_much_it_varies() -> None:
    assert script.share_interval(np.full(30, 0.5), alike(30)) == script.wilson_interval(0.5, 30)
    thirds = np.tile([1 / 3, 2 / 3], 50)
    low, high = script.share_interval(thirds, alike(100))
    plain = script.wilson_interval(0.5, 100)
    assert plain[0] < low < 0.5 < high < plain[1]
    assert high - low > 1.9 * float(ttest_1samp(thirds, 0).confidence_interval().high - 0.5)


# Paired differences


def test_tango_has_the_published_value() -> None:
    """Complete response before and after therapy (Cavo et al. 2012), as the R package contingencytables prints it."""
    assert script.tango_interval(6, 16, 161) == pytest.approx([-0.1240, -0.0054], abs=5e-5)


def searched_score(delta: float, only_first: int, only_second: int, n: int) -> float:
    """Tango's statistic by searching for the most likely share of pairs in which only the second is right."""

    def unlikely(share: float) -> float:
        counts = np.array([only_first, only_second, n - only_first - only_second])
        chances = np.array([share + delta, share, 1 - 2 * share - delta])
        return -float((counts * np.log(np.maximum(chances, 1e-300))).sum())

    bounds = (max(0.0, -delta), (1 - delta) / 2)
    share = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((only_first - only_second - n * delta) / np.sqrt(n * (2 * share + delta - delta**2)))


@pytest.mark.parametrize(("only_first", "only_second", "n"), [(40, 20, 160), (1, 7, 21), (12, 2, 50), (3, 0, 24)])
def test_tangos_bounds_are_where_the_likelihood_says(only_first: int, only_second: int, n: int) -> None:
    low, high = script.tango_interval(only_first, only_second, n)
    assert searched_score(low, only_first, only_second, n) == pytest.approx(1.959964, abs=1e-3)
    assert searched_score(high, only_first, only_second, n) == pytest.approx(-1.959964, abs=1e-3)


def test_tango_without_discordant_pairs_and_with_nothing_else() -> None:
    square = 1.959964**2
    bound = square / (50 + square)  # Wilson's bound of 0 of 50
    assert script.tango_interval(0, 0, 50) == pytest.approx([-bound, bound], abs=1e-6)
    low, high = script.tango_interval(30, 0, 30)
    assert 0.7 < low < high == 1
    assert script.tango_interval(0, 30, 30) == pytest.approx([-1, -low])
    assert script.tango_interval(1, 0, 1)[1] == 1


def test_a_difference_over_images_is_mcnemars() -> None:
    first = outcomes(*[1] * 9, *[0] * 2, *[1] * 19)
    second = outcomes(*[0] * 9, *[1] * 2, *[1] * 19)
    estimate = script.paired_difference(first, second, alike(30))
    assert estimate.value == pytest.approx(7 / 30)
    assert estimate.ci95 == pytest.approx(script.tango_interval(9, 2, 30))
    assert estimate.p == pytest.approx(chi2.sf((9 - 2) ** 2 / (9 + 2), 1))
    back = script.paired_difference(second, first, alike(30))
    assert back.value == pytest.approx(-7 / 30)
    assert back.p == pytest.approx(estimate.p)
    assert back.ci95 == pytest.approx([-bound for bound in (estimate.ci95 or [])[::-1]])


def test_a_difference_of_nothing_has_a_width_and_no_star() -> None:
    estimate = script.paired_difference(np.ones(40), np.ones(40), strata_of(30, 10))
    assert (estimate.value, estimate.p) == (0, 1)
    images = 4 / (1 / 30 + 1 / 10)
    assert estimate.ci95 == pytest.approx(script.tango_interval(0, 0, images))


def test_a_difference_of_class_means_has_the_p_of_class_means() -> None:
    """A large class that loses and four small ones that gain: over images it is a loss, over class means a gain."""
    strata = strata_of(200, 10, 10, 10, 10)
    first, second = np.ones(240), np.ones(240)
    first[:60], second[60:70] = 0, 0
    second[np.isin(np.arange(240) % 10, range(8)) & (strata > 0)] = 0
    over_images, over_classes = (script.paired_difference(first, second, by) for by in (alike(240), strata))
    assert over_images.value < 0 < over_classes.value
    assert over_classes.value == pytest.approx((-50 / 200 + 4 * 8 / 10) / 5)
    assert known(over_classes.p) < 1e-6
    low, high = over_classes.ci95 or (0, 0)
    assert 0.4 < low < over_classes.value < high < 0.75
    assert over_images.p == pytest.approx(chi2.sf((60 - 42) ** 2 / (60 + 42), 1))


def test_images_of_several_rows_are_paired_by_their_means() -> None:
    generator = np.random.default_rng(1)
    first = generator.binomial(5, 0.8, 300) / 5
    second = generator.binomial(5, 0.6, 300) / 5
    estimate = script.paired_difference(first, second, alike(300))
    wanted = ttest_1samp(first - second, 0)
    low, high = wanted.confidence_interval()
    assert estimate.value == pytest.approx((first - second).mean())
    assert estimate.ci95 == pytest.approx([low, high], abs=0.005)
    assert 0 < known(estimate.p) < 1e-10


# No interval is a point, and none leaves its bounds or its value


@st.composite
def stratified(draw: st.DrawFn, columns: int) -> tuple[NDArray[np.float64], Ints]:
    """Shares of right rows of a few images, and their strata; often all alike."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    rows = draw(st.integers(1, 3))
    counts = draw(hnp.arrays(np.int64, (sum(sizes), columns), elements=st.integers(0, rows)))
    return counts / rows, strata_of(*sizes)


@given(stratified(1))
def test_intervals_of_shares_hold_their_share_and_are_no_points(drawn: tuple[NDArray[np.float64], Ints]) -> None:
    (column,), strata = drawn[0].T, drawn[1]
    low, high = script.share_interval(column, strata)
    share = np.mean([column[strata == label].mean() for label in np.unique(strata)])
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1
    assert high - low > 0.01


@given(stratified(2))
def test_intervals_of_differences_hold_theirs(drawn: tuple[NDArray[np.float64], Ints]) -> None:
    (first, second), strata = drawn[0].T, drawn[1]
    value, ci95, p = script.paired_difference(first, second, strata)
    assert ci95 is not None
    assert -1 <= ci95[0] <= value + 1e-9
    assert value - 1e-9 <= ci95[1] <= 1
    assert ci95[1] - ci95[0] > 0.01
    assert 0 <= known(p) <= 1
    for over in ("images", "classes"):
        whole = script.cluster_estimate(first - second, strata, over, CHANCE)
        if whole.ci95 is not None:
            assert -1 <= whole.ci95[0] <= whole.value + 1e-9
            assert whole.value - 1e-9 <= whole.ci95[1] <= 1
            assert whole.ci95[0] < whole.ci95[1]


# Coverage; benchmarks/coverage.py has the whole of it


def test_differences_of_few_images_cover() -> None:
    """No gap, one pair of five discordant, 24 images: where resampling covers 93 % and is a point at times."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(400):
        kinds = generator.choice(3, 24, p=[0.1, 0.1, 0.8])
        low, high = script.paired_difference(1.0 * (kinds != 1), 1.0 * (kinds != 0), alike(24)).ci95 or (1, 1)
        covered += low <= 0 <= high
    assert covered / 400 >= 0.93


def test_class_means_of_two_images_cover() -> None:
    """Twenty classes of two images, whose accuracies run from 0.4 to 0.95: resampling covers 78 %."""
    generator, covered = np.random.default_rng(0), 0
    true = np.linspace(0.4, 0.95, 20)
    for _ in range(400):
        right = (generator.random(40) < np.repeat(true, 2)).astype(np.float64)
        low, high = script.share_interval(right, strata_of(*[2] * 20))
        covered += low <= true.mean() <= high
    assert covered / 400 >= 0.90
