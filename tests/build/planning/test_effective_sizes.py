"""Effective n: a group of photos counts for less than as many photos without any like, and never for less than one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import object_record

from figureground.build.planning.effective_sizes import effective_number, effective_sizes, near_duplicate_bits
from figureground.build.planning.plan import make_plan
from figureground.build.recipes.loading import load_recipe
from figureground.schemas.classes import ClassMap

IMAGENET9, RIVAL10 = load_recipe("imagenet9"), load_recipe("rival10")
ABC = ClassMap.model_validate(
    {
        "name": "abc",
        "classes": [
            {"index": i, "name": name, "wnids": [name], "imagenet_indices": [i]} for i, name in enumerate("abc")
        ],
    }
)


@pytest.mark.parametrize(
    ("sizes", "effective"), [([1] * 7, 7.0), ([4], 1.0), ([2, 2, 2], 3.0), ([3, 1], 1.6), ([], 0.0)]
)
def test_the_formula_by_hand(sizes: list[int], effective: float) -> None:
    assert effective_number(sizes) == pytest.approx(effective)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_it_lies_between_one_and_the_number_of_groups(sizes: list[int]) -> None:
    assert 1 <= effective_number(sizes) <= len(sizes) + 1e-9


def test_each_class_and_all_are_counted_over_hashes_and_scenes() -> None:
    twins = [
        object_record(f"t{n}", "ab"[n // 3], phash=f"{(1 << n) - 1:016x}") for n in range(5)
    ]  # in a chain, a bit each
    film = [object_record(f"f{n}", "b", group="film") for n in range(3)]
    lone = [object_record(f"l{n}", label) for n, label in enumerate("aabbccccccc")]
    plan = make_plan(
        [*twins, *film, *lone],
        IMAGENET9.model_copy(update={"variants": {"original": IMAGENET9.variants["original"]}}),
        ABC,
    )
    assert len(plan.objects) == 19
    whole, own = effective_sizes(plan, ABC, 1)
    assert (whole.photos, whole.groups, whole.effective) == (19, 13, round(19**2 / (25 + 9 + 11), 1))
    assert {name: (size.photos, size.groups, size.effective) for name, size in own.items()} == {
        "a": (5, 3, round(25 / 11, 1)),
        "b": (7, 4, round(49 / 15, 1)),
        "c": (7, 7, 7.0),
    }


def test_the_bits_are_those_of_splits_then_of_donors_then_the_usual_ones() -> None:
    assert RIVAL10.splits is not None
    narrow = RIVAL10.model_copy(update={"splits": RIVAL10.splits.model_copy(update={"near_duplicate_bits": 3})})
    assert near_duplicate_bits(narrow, narrow.rules["exact"]) == 3
    assert IMAGENET9.splits is None
    assert near_duplicate_bits(IMAGENET9, IMAGENET9.rules["exact"]) == 8
    assert near_duplicate_bits(IMAGENET9, IMAGENET9.rules["reference"]) == 8
