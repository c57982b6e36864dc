"""Attacks by grounds: exact by enumeration, unbiased by simulation, where the naive largest rate is not."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from figureground.exports import evaluate as script
from figureground.exports.evaluate import GroundTrials

SIX = hnp.arrays(np.bool_, (5, 6))


def whole(fooled: NDArray[np.bool_]) -> GroundTrials:
    return GroundTrials(fooled, np.ones_like(fooled))


@given(fooled=SIX, tried=SIX, size=st.integers(1, 6))
def test_one_of_m_is_the_mean_over_all_choices(fooled: NDArray[np.bool_], tried: NDArray[np.bool_], size: int) -> None:
    trials = GroundTrials(fooled & tried, tried)
    for row, value in enumerate(script.any_of_shares(trials, size)):
        own = np.flatnonzero(tried[row])
        choices = [any(fooled[row, ground] for ground in chosen) for chosen in combinations(own, size)]
        assert value == pytest.approx(np.mean(choices)) if choices else np.isnan(value)


def test_one_of_m_is_unbiased_for_grounds_that_were_not_seen() -> None:
    """Of 10 grounds the share that 4 fool; a new 4 of the same kind fool as many."""
    generator = np.random.default_rng(0)
    true = generator.beta(0.5, 2, 2000)
    wanted = float(np.mean([1 - (1 - generator.choice(true, 4)).prod() for _ in range(20000)]))
    estimates = []
    for _ in range(300):
        rates = generator.choice(true, 10)
        estimates.append(script.any_of(whole(generator.random((40, 10)) < rates), 4, None)["value"])
    assert np.mean(estimates) == pytest.approx(wanted, abs=4 * np.std(estimates) / np.sqrt(300))


def test_the_worst_of_grounds_that_are_all_alike_is_no_worse() -> None:
    """Every ground fools one figure in five. The largest rate of 20 says nearly twice that; held out it does not."""
    generator = np.random.default_rng(1)
    naive, held = [], []
    for seed in range(60):
        (measured,) = script.worst_of(whole(generator.random((60, 20)) < 0.2), [20], None, seed=seed)
        naive.append(measured["naive"])
        held.append(measured["value"])
    assert np.mean(naive) > 0.28
    assert np.mean(held) == pytest.approx(0.2, abs=0.015)


def test_a_ground_that_fools_everybody_is_the_worst_of_all() -> None:
    fooled = np.zeros((40, 10), dtype=np.bool_)
    fooled[:, 3] = True
    one, all_of_them = script.worst_of(whole(fooled), [1, 10], None, seed=0)
    assert (all_of_them["value"], all_of_them["naive"]) == (1, 1)
    assert (one["value"], one["naive"]) == pytest.approx((0.1, 0.1))  # drawn by chance, once in ten times
    two = script.any_of(whole(fooled), 2, None)
    assert two["value"] == pytest.approx(0.2)


def test_one_of_one_is_the_mean_rate_and_intervals_hold_their_value() -> None:
    trials = whole(np.random.default_rng(4).random((50, 12)) < 0.3)
    for size in (1, 3, 11):
        measured = script.any_of(trials, size, None)
        for ci95 in (measured["ci95"], measured["ci95_figures"]):
            assert ci95[0] < measured["value"] < ci95[1]
    assert script.any_of(trials, 1, None)["value"] == pytest.approx(trials.fooled.mean())
    last = script.any_of(trials, 12, None)
    assert (last["ci95"], last["no_ci95"]) == (None, "too few to say")  # no ground is left to vary
    assert last["ci95_figures"] is not None
    assert script.any_of(trials, 13, None)["value"] is None


def test_intervals_of_one_of_m_cover_new_grounds() -> None:
    generator = np.random.default_rng(7)
    true = generator.beta(1, 4, 2000)
    wanted = float(np.mean([1 - (1 - generator.choice(true, 3)).prod() for _ in range(20000)]))
    held = 0
    for _ in range(150):
        low, high = script.any_of(whole(generator.random((60, 15)) < generator.choice(true, 15)), 3, None)["ci95"]
        held += low <= wanted <= high
    assert held / 150 >= 0.9


def test_rates_of_grounds_and_of_pairs_of_classes() -> None:
    labels, ground_labels = np.repeat([0, 1], 20), np.array([0, 0, 1, 1])
    tried = labels[:, None] != ground_labels[None]
    fooled = np.zeros((40, 4), dtype=np.bool_)
    fooled[:10, 2] = True  # half of the figures of class 0 on the first ground of class 1
    trials = GroundTrials(fooled & tried, tried)
    rates = script.each_ground(trials, None)
    assert [(rate["value"], rate["n"]) for rate in rates] == [(0, 20), (0, 20), (0.5, 20), (0, 20)]
    pairs = script.each_pair(trials, labels, ground_labels, None, ["a", "b"])
    assert {name: set(others) for name, others in pairs.items()} == {"a": {"b"}, "b": {"a"}}
    assert (pairs["a"]["b"]["value"], pairs["a"]["b"]["n"], pairs["a"]["b"]["grounds"]) == (0.25, 20, 2)
    assert pairs["a"]["b"]["ci95"][0] < 0.25 < pairs["a"]["b"]["ci95"][1]
    assert pairs["b"]["a"]["value"] == 0


def test_figures_of_one_group_are_judged_together() -> None:
    """A ground fools one large group alone: those whom others chose it for are not in that group."""
    groups = np.array([0] * 20 + list(range(1, 21)))
    fooled = np.zeros((40, 10), dtype=np.bool_)
    fooled[:20, 3] = True
    fooled[20:24, 5] = True
    (apart,) = script.worst_of(whole(fooled), [10], groups, seed=0)
    (mixed,) = script.worst_of(whole(fooled), [10], None, seed=0)
    assert apart["value"] == pytest.approx(0, abs=0.05)
    assert mixed["value"] == pytest.approx(0.5)
    assert apart["naive"] == mixed["naive"] == 0.5
