"""Choice by hash: the smallest of a few, and of many in time that does not grow with them."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from figureground.build.planning.seeds import RING_SPAN, HashRing, derive_seed, hash_order

SEEDS = [derive_seed(1, "mixed_rand", str(number), 0) for number in range(2000)]


def ids(count: int) -> list[str]:
    return [f"{hashlib.sha256(str(number).encode()).hexdigest()[:32]}.0" for number in range(count)]


def chosen(candidates: list[str]) -> list[str]:
    ring = HashRing(candidates)
    return [candidates[next(ring.in_order(seed))] for seed in SEEDS]


@pytest.mark.parametrize("count", [1, 2, RING_SPAN - 1, RING_SPAN])
def test_of_few_all_are_compared(count: int) -> None:
    candidates = ids(count)
    ring = HashRing(candidates)
    for seed in SEEDS[:50]:
        ordered = [candidates[index] for index in ring.in_order(seed)]
        assert ordered == sorted(candidates, key=lambda candidate: hash_order(seed, candidate))


@pytest.mark.parametrize("count", [0, RING_SPAN + 1, 2 * RING_SPAN, 500])
def test_everybody_has_a_turn_once(count: int) -> None:
    ring = HashRing(ids(count))
    for seed in SEEDS[:50]:
        assert sorted(ring.in_order(seed)) == list(range(count))


def test_the_order_of_the_candidates_changes_nothing() -> None:
    assert chosen(ids(500)) == chosen(ids(500)[::-1])


@pytest.mark.slow
def test_one_candidate_less_changes_few_choices_besides_its_own() -> None:
    candidates = ids(500)
    before = chosen(candidates)
    others = 0
    for gone in range(0, 500, 50):
        after = chosen(candidates[:gone] + candidates[gone + 1 :])
        pairs = list(zip(before, after, strict=True))
        assert all(one != other for one, other in pairs if one == candidates[gone])
        others += sum(one != other for one, other in pairs if one != candidates[gone])
    assert 0 < others / 10 < 3 * len(SEEDS) / 500


def test_the_step_from_all_to_a_window_changes_few_choices() -> None:
    one, other = chosen(ids(RING_SPAN)), chosen(ids(RING_SPAN + 1))
    assert sum(a != b for a, b in zip(one, other, strict=True)) < 4 * len(SEEDS) / RING_SPAN


def test_many_are_chosen_about_equally_often() -> None:
    counts = Counter(chosen(ids(100)))
    assert len(counts) == 100
    assert max(counts.values()) < 3 * len(SEEDS) / 100
