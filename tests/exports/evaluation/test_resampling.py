"""Intervals of what is no share: Student's t, whole classes, raters and images, resamples; and many tests at once."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t, ttest_1samp  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError, Floats, Ints


def alike(count: int) -> Ints:
    return np.zeros(count, np.int64)


# Student's t


def test_a_mean_over_images_is_students() -> None:
    values = np.random.default_rng(0).normal(0.1, 0.3, 40)
    estimate, wanted = script.mean_estimate(values, alike(40), (-1, 1)), ttest_1samp(values, 0)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.ci95 == pytest.approx([*wanted.confidence_interval()])
    assert estimate.p == pytest.approx(wanted[1])


def test_a_mean_of_class_means_has_satterthwaites_degrees() -> None:
    """Two classes: Welch's own case, but for the pooled image that each is given."""
    generator = np.random.default_rng(2)
    first, second = generator.normal(0.2, 0.1, 20), generator.normal(0.6, 0.4, 15)
    estimate = script.mean_estimate(np.append(first, second), np.repeat([0, 1], [20, 15]), (-9, 9))
    sums = [float(((part - part.mean()) ** 2).sum()) for part in (first, second)]
    within = sum(sums) / (35 - 2)
    parts = [(total + within) / size**2 / 4 for total, size in zip(sums, (20, 15), strict=True)]
    degrees = sum(parts) ** 2 / (parts[0] ** 2 / 19 + parts[1] ** 2 / 14)
    half = t.ppf(0.975, degrees) * sum(parts) ** 0.5
    middle = (first.mean() + second.mean()) / 2
    assert estimate.value == pytest.approx(middle)
    assert estimate.ci95 == pytest.approx([middle - half, middle + half])


def test_a_mean_of_few_images_or_of_what_does_not_vary_has_no_interval() -> None:
    values = np.linspace(0, 1, 23, dtype=np.float64)
    assert script.mean_estimate(values, alike(23), (0, 1)).json() == {
        "value": pytest.approx(0.5),
        "ci95": None,
        "p": None,
        "no_ci95": "too few to say",
    }
    assert script.mean_estimate(np.full(99, 0.2), alike(99), (0, 1)).ci95 is None
    assert "no_ci95" not in script.mean_estimate(np.append(values, 0.5), alike(24), (0, 1)).json()


def test_intervals_are_cut_to_what_is_possible() -> None:
    estimate = script.student_estimate(0.9, 0.04, 5, (-1.0, 1.0))
    assert (estimate.ci95 or [0, 0])[1] == 1
    assert estimate.p == pytest.approx(2 * t.sf(4.5, 5))


# Whole classes


def test_classes_as_a_sample_are_students_of_class_means() -> None:
    clusters = np.repeat(np.arange(6), [3, 9, 4, 4, 2, 8])
    values = np.random.default_rng(3).random(30)
    means = np.array([values[clusters == label].mean() for label in range(6)])
    estimate, wanted = script.cluster_estimate(values, clusters, "classes", (0, 1)), ttest_1samp(means, 0)
    assert estimate.value == pytest.approx(means.mean())
    assert estimate.ci95 == pytest.approx([*wanted.confidence_interval()])
    assert estimate.p == pytest.approx(wanted[1])


def test_over_images_the_totals_of_classes_are_linearised() -> None:
    """Equal classes: as over classes. Unequal: as the jackknife that leaves out a class, which is another way there."""
    equal, values = np.repeat(np.arange(5), 8), np.random.default_rng(4).random(40)
    over = [script.cluster_estimate(values, equal, kind, (0, 1)) for kind in ("images", "classes")]
    assert over[0].ci95 == pytest.approx(over[1].ci95)
    uneven = np.repeat(np.arange(40), np.arange(40) % 5 + 6)
    values = np.random.default_rng(5).random(len(uneven)) * 0.5 + 0.01 * uneven
    estimate = script.cluster_estimate(values, uneven, "images", (0, 1))
    left = np.array([values[uneven != label].mean() for label in range(40)])
    error = (39 / 40 * ((left - left.mean()) ** 2).sum()) ** 0.5
    half = t.ppf(0.975, 39) * error
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.ci95 == pytest.approx([values.mean() - half, values.mean() + half], rel=0.02)


def test_two_classes_or_classes_alike_say_nothing() -> None:
    values = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    assert script.cluster_estimate(values, np.repeat([0, 1], 3), "classes", (0, 1)).ci95 is None
    assert script.cluster_estimate(np.tile([1.0, 0.0], 3), np.repeat([0, 1, 2], 2), "images", (0, 1)).ci95 is None
    with pytest.raises(EvaluationError, match="nothing to score"):
        script.cluster_estimate(values[:0], alike(0), "images", (0, 1))


# Raters and images, crossed


@pytest.mark.parametrize(
    ("images", "raters", "spreads"), [(40, 6, (1.0, 0.0, 1.0)), (40, 6, (0.3, 0.5, 1.0)), (12, 12, (0.5, 0.5, 0.5))]
)
def test_crossed_variance_is_that_of_drawn_raters_and_images(
    images: int, raters: int, spreads: tuple[float, float, float]
) -> None:
    generator, means, variances = np.random.default_rng(6), [], []
    by_image, by_rater, rest = spreads
    for _ in range(1500):
        drawn = generator.normal(0, by_image, (images, 1)) + generator.normal(0, by_rater, (1, raters))
        drawn = drawn + generator.normal(0, rest, (images, raters))
        means.append(drawn.mean())
        variances.append(script.crossed_variance((drawn - drawn.mean()) / drawn.size).variance)
    assert np.mean(variances) == pytest.approx(np.var(means), rel=0.15)


def test_of_one_rater_only_images_are_a_sample() -> None:
    values = np.random.default_rng(7).random((30, 1))
    crossed = script.crossed_variance((values - values.mean()) / 30)
    assert crossed.variance == pytest.approx(values.var(ddof=1) / 30)
    assert crossed.degrees == 29


def test_a_share_of_raters_and_images_is_wilsons_by_student() -> None:
    crossed = script.Crossed(variance=0.01, degrees=4.0)
    assert crossed.critical == pytest.approx(t.ppf(0.975, 4))
    assert crossed.share_interval(0.5, 100) == script.wilson_interval(0.5, 25, crossed.critical)
    assert crossed.share_interval(0.5, 5) == script.wilson_interval(0.5, 20, crossed.critical)  # four times the images
    assert script.Crossed(variance=0.0, degrees=4.0).share_interval(0.5, 8) == script.wilson_interval(0.5, 8)
    assert crossed.share_interval(1.0, 8) == script.wilson_interval(1, 8)


# Resamples


def test_resamples_of_two_images_a_class_vary_as_much_as_they_should() -> None:
    """The variance of a class mean is s² / m, which resamples of m images would halve."""
    values = np.array([[0.0], [1.0], [0.2], [0.6], [0.5], [0.9]])
    labels = np.repeat([0, 1, 2], 2)
    samples = script.bootstrap_class_means(values, labels, count=20_000, seed=0)[:, 0]
    wanted = sum(np.var(values[labels == label], ddof=1) / 2 for label in range(3)) / 3**2
    assert samples.mean() == pytest.approx(values.mean(), abs=0.005)
    assert samples.var() == pytest.approx(wanted, rel=0.03)


def test_classes_of_one_image_are_resampled_together() -> None:
    values, labels = np.array([[0.0], [1.0], [1.0], [0.0], [1.0]]), np.array([0, 1, 2, 3, 3])
    samples = script.bootstrap_class_means(values, labels, count=20_000, seed=0)[:, 0]
    wanted = (3**2 * np.var(values[:3], ddof=1) / 3 + np.var(values[3:], ddof=1) / 2) / 4**2
    assert samples.mean() == pytest.approx((0 + 1 + 1 + 0.5) / 4, abs=0.005)
    assert samples.var() == pytest.approx(wanted, rel=0.03)


def resample_indices(values: Floats, labels: Ints, count: int) -> NDArray[np.float64]:
    """The same bootstrap by drawing indices, one resample at a time."""
    generator = np.random.default_rng(5)
    means = np.zeros((count, values.shape[1]))
    for row in range(count):
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            chosen = members[generator.integers(0, len(members), len(members) - 1)]
            means[row] += values[chosen].mean(axis=0) / len(np.unique(labels))
    return means


def test_counting_equal_rows_is_the_same_bootstrap_as_drawing_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "_BOOTSTRAP_CELLS", 1000)  # so that it also goes in many steps
    generator = np.random.default_rng(4)
    values = (generator.random((60, 2, 3)) < [[[0.8], [0.4]]]).mean(axis=2)
    labels = np.repeat([0, 1, 2], [10, 20, 30])
    fast = script.bootstrap_class_means(values, labels, count=4000, seed=2)
    slow = resample_indices(values, labels, 4000)
    assert fast.mean(axis=0) == pytest.approx(slow.mean(axis=0), abs=0.005)
    assert fast.std(axis=0) == pytest.approx(slow.std(axis=0), rel=0.06)
    assert np.cov(fast.T)[0, 1] == pytest.approx(np.cov(slow.T)[0, 1], abs=3e-4)


def test_the_bootstrap_is_stratified_paired_and_seeded() -> None:
    labels = np.repeat([0, 1], [5, 15])
    apart = np.stack([labels == 0, labels == 0], axis=1).astype(np.float64)
    assert (script.bootstrap_class_means(apart, labels, count=200, seed=0) == 0.5).all()
    mixed = (np.random.default_rng(0).random((20, 1)) < 0.5).astype(np.float64)
    both = np.concatenate([mixed, mixed], axis=1)
    twice, again, other = (script.bootstrap_class_means(both, labels, count=200, seed=seed) for seed in (7, 7, 8))
    assert (twice[:, 0] == twice[:, 1]).all()
    assert twice[:, 0].std() > 0
    assert (again == twice).all()
    assert (other != twice).any()
    sampled = script.Sampling(count=200, seed=7).bootstrap(both, labels)
    assert (sampled == twice).all()
    with pytest.raises(EvaluationError, match="nothing to score"):
        script.bootstrap_class_means(both[:0], labels[:0], count=5, seed=0)


def test_rows_of_resamples_are_seeded() -> None:
    first, again, other = (np.stack([*script.resampled_rows(50, count=3, seed=seed)]) for seed in (1, 1, 2))
    assert first.shape == (3, 50)
    assert (first == again).all()
    assert (first != other).any()
    assert 0 <= first.min() <= first.max() < 50


def test_bootstrap_of_one_share_is_near_the_normal_approximation() -> None:
    values = (np.arange(400) < 120).astype(np.float64)[:, None]
    samples = script.bootstrap_class_means(values, alike(400), count=10_000, seed=1)[:, 0]
    half = 1.96 * (0.3 * 0.7 / 400) ** 0.5
    assert script.bootstrap_interval(samples, 400) == pytest.approx([0.3 - half, 0.3 + half], abs=0.004)


def test_resamples_that_cannot_say_give_no_interval() -> None:
    samples = np.linspace(0, 1, 1001, dtype=np.float64)
    assert script.bootstrap_interval(samples, 24) == pytest.approx([0.025, 0.975])
    assert script.bootstrap_interval(samples, 23) is None
    assert script.bootstrap_interval(np.full(1000, 0.3), 100) is None
    undefined = np.append(samples, np.full(100, np.nan))
    assert script.bootstrap_interval(undefined, 100) == pytest.approx([0.025, 0.975])
    assert script.bootstrap_interval(np.append(undefined, np.full(100, np.inf)), 100) is None
    assert script.bootstrap_interval(np.full(1000, np.nan), 100) is None


def test_the_root_of_a_sum_of_squares_loses_what_noise_adds() -> None:
    """Ten gaps of true size 0.1: noise adds to their sum of squares, a resample adds as much again."""
    generator, covered, beside = np.random.default_rng(8), 0, 0
    for _ in range(200):
        gaps = generator.normal(0.1, 0.05, 10)
        samples = np.sqrt((generator.normal(gaps, 0.05, (500, 10)) ** 2).mean(axis=1))
        low, high = script.root_interval(float((gaps**2).mean() ** 0.5), samples, 1000) or (0, 0)
        covered += low <= 0.1 <= high
        beside += np.quantile(samples, 0.025) <= 0.1 <= np.quantile(samples, 0.975)
    assert covered / 200 >= 0.9
    assert beside < covered


def test_the_root_by_hand_and_where_there_is_none() -> None:
    samples = np.array([0.3, 0.5])
    low, high = script.root_interval(0.4, samples, 24) or (0, 0)
    middle, error = 2 * 0.16 - 0.17, 0.08
    assert [low, high] == pytest.approx([0, (middle + 1.959964 * error) ** 0.5], abs=1e-6)
    assert script.root_interval(0.4, samples, 23) is None
    assert script.root_interval(0.4, np.full(9, 0.4), 100) is None


# Many tests at once


def closed_test(p_values: list[float]) -> list[float]:
    """Holm's as a closed test: the largest Bonferroni p of all groups of hypotheses that hold one."""
    groups = [group for size in range(1, len(p_values) + 1) for group in combinations(range(len(p_values)), size)]
    return [
        max(min(1.0, len(group) * min(p_values[member] for member in group)) for group in groups if own in group)
        for own in range(len(p_values))
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    assert script.holm(p_values) == pytest.approx(closed_test(p_values))


def test_holm_by_hand() -> None:
    assert script.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert script.holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert script.holm([]) == []
