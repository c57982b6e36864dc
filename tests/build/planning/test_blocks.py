"""Block designs: balanced for every prime and size, shared out evenly, and hardly moved by one name more."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.build.planning.blocks import find_design, share_blocks

PRIMES = [3, 5, 7, 11, 13, 17, 19, 23]


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    grounds = draw(st.sampled_from(PRIMES))
    return grounds, draw(st.integers(2, grounds - 1))


@settings(max_examples=30)
@given(sizes())
def test_every_ground_and_every_two_stand_in_equally_many_blocks(size: tuple[int, int]) -> None:
    design = find_design(*size)
    blocks = [design.block(number) for number in range(design.count)]
    assert {len(set(block)) for block in blocks} == {design.size}
    single = Counter(ground for block in blocks for ground in block)
    together = Counter(pair for block in blocks for pair in combinations(block, 2))
    assert single == dict.fromkeys(range(design.grounds), design.repeats)
    assert together == dict.fromkeys(combinations(range(design.grounds), 2), design.meetings)
    assert design.repeats * (design.size - 1) == design.meetings * (design.grounds - 1)


@pytest.mark.parametrize(
    ("grounds", "size", "meetings"),
    [
        pytest.param(7, 3, 1, id="Fano plane"),
        pytest.param(11, 5, 2, id="Paley"),
        pytest.param(13, 4, 1, id="projective plane of order 3"),
        pytest.param(31, 6, 1, id="projective plane of order 5"),
        pytest.param(37, 9, 2, id="quartic residues"),
        pytest.param(73, 9, 1, id="octic residues"),
    ],
)
def test_known_symmetric_designs_are_met(grounds: int, size: int, meetings: int) -> None:
    design = find_design(grounds, size)
    assert (design.count, design.meetings) == (grounds, meetings)


@settings(max_examples=20)
@given(
    size=st.sampled_from([(7, 3), (13, 4), (11, 4), (5, 2)]),
    count=st.integers(1, 60),
    seed=st.text(max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_blocks_are_shared_out_evenly_in_whatever_order(
    size: tuple[int, int], count: int, seed: str, order: random.Random
) -> None:
    design = find_design(*size)
    names = [f"figure{number}" for number in range(count)]
    shared = share_blocks(names, design, seed)
    assert set(shared) == set(names)
    used = Counter(shared.values())
    per_block = [used[block] for block in range(design.count)]
    assert max(per_block) - min(per_block) <= 1
    order.shuffle(names)
    assert share_blocks(names, design, seed) == shared


def test_a_base_that_is_used_up_shows_every_ground_equally_often() -> None:
    design = find_design(17, 4)  # four bases of 17 blocks each
    assert design.count == 68
    shared = share_blocks([f"figure{number}" for number in range(34)], design, "seed")
    counts = Counter(ground for block in shared.values() for ground in design.block(block))
    assert set(counts.values()) == {8}


def test_one_name_more_moves_few_others() -> None:
    """Of 100 names over 13 blocks about two; everybody would move if blocks went by rank."""
    design = find_design(13, 4)
    names = [f"figure{number}" for number in range(100)]
    before = share_blocks(names, design, "seed")
    moved = [
        sum(share_blocks([*names, f"new{number}"], design, "seed")[name] != before[name] for name in names)
        for number in range(6)
    ]
    assert sum(moved) / len(moved) < 4
    assert max(moved) <= 13
