"""How many images a difference takes: held against simulated tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from figureground.errors import UsageError
from figureground.exports.comparison.contributions import Contributions
from figureground.exports.comparison.sample_size import (
    Pilot,
    PlannedTest,
    measure_pilot,
    plan_from_pilot,
    plan_from_rates,
    plan_json,
)
from figureground.exports.evaluation.intervals import paired_difference
from figureground.exports.evaluation.values import Floats

TEST = PlannedTest()


def contributions(value: Floats, labels: int = 1, *drawn: Floats) -> Contributions:
    """Of images in as many classes."""
    return Contributions(
        image_id=np.array([f"{number:05d}" for number in range(len(value))]),
        stratum=np.arange(len(value)) % labels,
        value=value,
        bounds=(0.0, 1.0),
        share=True,
        drawn=drawn,
    )


def measured(*pilot: Any) -> Pilot:
    own = measure_pilot(*pilot)
    assert own is not None
    return own


@pytest.mark.parametrize(("discordant", "difference"), [(0.2, 0.1), (0.3, 0.05)])
def test_as_many_images_as_planned_find_the_difference_in_four_of_five(discordant: float, difference: float) -> None:
    (size,) = plan_from_rates(discordant, [difference], TEST)
    generator = np.random.default_rng(0)
    chances = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    rounds, detections = 600, 0
    for gains, losses, same in generator.multinomial(size.images, chances, rounds):
        first = np.repeat([1.0, 0.0, 1.0], [gains, losses, same])
        second = np.repeat([0.0, 1.0, 1.0], [gains, losses, same])
        detections += (paired_difference(first, second, np.zeros(size.images, np.int64)).p or 1) < 0.05
    assert detections / rounds == pytest.approx(0.8, abs=0.05)


def test_connor_s_own_table_is_met() -> None:
    """Connor, Biometrics 43(1), 1987: psi 0.3, delta 0.1, alpha 0.05, power 0.8 by his formula."""
    (size,) = plan_from_rates(0.3, [0.1], TEST)
    assert size.images == int(np.ceil((1.959964 * np.sqrt(0.3) + 0.841621 * np.sqrt(0.29)) ** 2 / 0.01))
    assert (size.images_cautious, size.rows) == (None, size.images)


def test_a_pilot_plans_what_the_rates_it_was_drawn_with_plan() -> None:
    generator = np.random.default_rng(1)
    outcome = generator.choice([1, -1, 0], 4000, p=[0.15, 0.05, 0.8])
    first, second = (outcome == 1).astype(float), (outcome == -1).astype(float)
    pilot = measured("accuracy", contributions(first, 4), contributions(second, 4))
    (size,) = plan_from_pilot(pilot, [0.1], TEST)
    (stated,) = plan_from_rates(0.2, [0.1], TEST)
    assert size.images == pytest.approx(stated.images, rel=0.08)
    assert size.images < (size.images_cautious or 0) < 1.05 * size.images
    assert pilot.variance_within is None
    assert plan_from_pilot(pilot, [pilot.detectable(TEST)], TEST)[0].images == pytest.approx(4000, abs=1)


def test_more_donors_take_fewer_images_and_more_rows() -> None:
    generator = np.random.default_rng(2)
    own = generator.normal(0, 0.2, 3000)
    rows = own[:, None] + generator.normal(0, 0.4, (3000, 4))
    pilot = measured("bg_gap", contributions(rows.mean(axis=1), 1, rows))
    assert pilot.variance == pytest.approx(0.2**2 + 0.4**2, rel=0.05)
    assert pilot.variance_within == pytest.approx(0.4**2, rel=0.05)
    sizes = {size.draws: size for size in plan_from_pilot(pilot, [0.02], TEST)}
    assert sizes[10].images == pytest.approx(sizes[1].images * (0.04 + 0.016) / 0.2, rel=0.06)
    assert sizes[10].rows > sizes[1].rows
    assert list(sizes) == [1, 2, 3, 5, 10]


def test_a_plan_says_what_the_pilot_would_show() -> None:
    values = np.tile([0.0, 0.1, 0.2, 0.1], 6)
    pilot = measured("bg_gap", contributions(values))
    _, text = plan_json(plan_from_pilot(pilot, [0.02], TEST), [pilot], TEST)
    shown = f"{100 * pilot.detectable(TEST):.1f}"
    line = "the pilot's difference is +10.0 points; 24 images would show one of {} points or more, at power 80 %"
    assert line.format(shown) in text


def test_donors_that_two_models_share_cancel() -> None:
    generator = np.random.default_rng(3)
    ground = generator.normal(0, 0.4, (500, 3))
    first, second = ground + generator.normal(0, 0.1, (500, 3)), ground + generator.normal(0, 0.1, (500, 3))
    pilot = measured("x", contributions(first.mean(axis=1), 1, first), contributions(second.mean(axis=1), 1, second))
    assert pilot.variance_within == pytest.approx(0.02, rel=0.15)


def test_a_pilot_whose_images_answer_alike_tells_nothing() -> None:
    assert measure_pilot("x", contributions(np.ones(30))) is None
    assert measure_pilot("x", contributions(np.arange(30, dtype=np.float64) % 3, 3)) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plan_from_rates(1.5, [0.1], TEST), "--discordant: expected a share of images in"),
        (lambda: plan_from_rates(0.1, [0.2], TEST), "expected at most the share of images that differ, 0.1"),
        (lambda: plan_from_rates(0.1, [2.0], TEST), "such as 0.02 for 2 points, got 2"),
        (lambda: PlannedTest(power=1.0), "expected 0 < alpha < power < 1, got alpha 0.05 and power 1"),
    ],
)
def test_what_cannot_be_planned_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        call()
