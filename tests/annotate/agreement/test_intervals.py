"""Intervals over photos: known values, never of width zero, wider with fewer photos, and right in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.annotate.agreement.intervals import (
    MIN_PHOTOS,
    Estimate,
    coefficient_estimate,
    crossed_variance,
    mean_over_photos,
)
from figureground.exports.evaluation.intervals import crossed_variance as variance_of_scores
from figureground.exports.evaluation.intervals import share_interval

shares = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_shares_of_yes_and_no_have_wilson_s_interval() -> None:
    estimate = mean_over_photos([1.0] * 10)
    assert estimate.value == 1
    assert estimate.ci95 == pytest.approx((0.7225, 1.0), abs=1e-4)  # 10 of 10, in any table
    assert mean_over_photos([]) == Estimate(value=None, photos=0)


@given(values=shares)
def test_the_rule_is_that_of_scores(values: list[float]) -> None:
    estimate = mean_over_photos(values)
    assert estimate.ci95 is not None
    low, high = estimate.ci95
    assert 0 <= low < high <= 1
    assert low - 1e-12 <= float(estimate.value or 0) <= high + 1e-12
    if len(values) > 1 and not set(values) <= {0.0, 1.0}:
        expected = share_interval(np.array(values), np.zeros(len(values), np.int64))
        assert estimate.ci95 == pytest.approx(tuple(expected))


@pytest.mark.parametrize("size", [(30, 1), (30, 4), (5, 2)])
def test_the_variance_over_photos_and_people_is_that_of_scores(size: tuple[int, int]) -> None:
    parts = np.random.Generator(np.random.Philox(size[0])).standard_normal(size)
    assert crossed_variance(parts) == pytest.approx(tuple(variance_of_scores(parts)))


def test_fewer_photos_are_less_sure() -> None:
    widths = []
    for repeats in (1, 4, 16):
        low, high = mean_over_photos([0.95, 0.9, 0.99, 0.7] * repeats).ci95 or (0, 0)
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_a_mean_of_ious_is_covered_where_most_masks_agree() -> None:
    generator = np.random.Generator(np.random.Philox(5))
    covered = 0
    for _ in range(400):
        agreed = generator.random(14) < 0.85
        ious = np.where(agreed, generator.beta(60, 2, 14), generator.beta(4, 3, 14))
        low, high = mean_over_photos(list(ious)).ci95 or (0, 0)
        covered += low <= 0.85 * 60 / 62 + 0.15 * 4 / 7 <= high
    assert covered >= 0.93 * 400


def test_a_coefficient_has_no_interval_where_it_could_not_be_believed() -> None:
    left_out = [0.5 + 0.01 * (place % 3) for place in range(MIN_PHOTOS)]
    known = coefficient_estimate(0.51, left_out, photos=MIN_PHOTOS)
    assert known.ci95 is not None
    assert known.ci95[0] < 0.51 < known.ci95[1] < 1
    assert coefficient_estimate(0.51, left_out[1:], photos=MIN_PHOTOS - 1).ci95 is None
    assert coefficient_estimate(None, left_out, photos=MIN_PHOTOS) == Estimate(value=None, photos=MIN_PHOTOS)
    assert coefficient_estimate(1.0, [1.0] * MIN_PHOTOS, photos=MIN_PHOTOS).ci95 is None
    assert coefficient_estimate(0.5, [0.5] * MIN_PHOTOS, photos=MIN_PHOTOS).ci95 is None
    assert coefficient_estimate(0.5, [*left_out[1:], None], photos=MIN_PHOTOS).ci95 is None


def test_json_says_why_there_is_no_interval() -> None:
    assert Estimate(value=0.123456, ci95=(0.1, 0.2), photos=3).to_json() == {
        "value": 0.1235,
        "ci95": [0.1, 0.2],
        "photos": 3,
    }
    bare = Estimate(value=1.0, photos=3).to_json()
    assert bare == {"value": 1.0, "ci95": None, "photos": 3, "no_ci95": "too few to say"}
    assert Estimate(value=None, photos=3).to_json() == {"value": None, "ci95": None, "photos": 3}
