"""Splits: exact shares of every class, duplicates in one split, stable under one photo more."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import object_record

from figureground.build.planning.near_duplicates import NearDuplicates
from figureground.build.planning.splits import assign_splits
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ObjectRecord

RIVAL10 = load_recipe("rival10")


def photos(**counts: int) -> list[ObjectRecord]:
    return [object_record(f"{label}{number}", label) for label, count in counts.items() for number in range(count)]


def divided(**changes: Any) -> Recipe:
    assert RIVAL10.splits is not None
    return RIVAL10.model_copy(update={"splits": RIVAL10.splits.model_copy(update=changes)})


def test_every_source_class_is_divided_by_the_shares() -> None:
    records = photos(a=100, b=50)
    splits = assign_splits(records, RIVAL10)
    for label, counts in {"a": (70, 10, 20), "b": (35, 5, 10)}.items():
        sizes = Counter(splits[record.object_id] for record in records if record.label == label)
        assert (sizes["train"], sizes["validation"], sizes["test"]) == counts


def test_order_changes_nothing_and_the_seed_everything() -> None:
    records = photos(a=40)
    assert assign_splits(records, RIVAL10) == assign_splits(records[::-1], RIVAL10)
    assert assign_splits(records, RIVAL10) != assign_splits(records, RIVAL10.model_copy(update={"seed": 11}))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10_000))
def test_one_photo_more_moves_at_most_one_at_each_cut(count: int, name: int) -> None:
    records = photos(a=count)
    before = assign_splits(records, RIVAL10)
    after = assign_splits([*records, object_record(f"more{name}", "a")], RIVAL10)
    assert sum(before[object_id] != after[object_id] for object_id in before) <= 2


def test_near_duplicates_stay_together_across_classes() -> None:
    records = photos(a=30, b=30)
    twins = [object_record(f"twin{index}", "ab"[index % 2], phash=f"{index:016x}") for index in range(8)]
    splits = assign_splits([*records, *twins], RIVAL10)
    assert len({splits[twin.object_id] for twin in twins}) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=25), st.integers(0, 63), st.data())
def test_groups_are_those_of_comparing_all_with_all(hashes: list[int], bits: int, data: st.DataObject) -> None:
    near = [value ^ (1 << data.draw(st.integers(0, 63))) for value in hashes[:5]]
    records = [object_record(str(index), "a", phash=f"{value:016x}") for index, value in enumerate([*hashes, *near])]
    group_of = {record.object_id: {record.object_id} for record in records}
    for first in records:
        for second in records:
            if (int(first.phash, 16) ^ int(second.phash, 16)).bit_count() <= bits:
                merged = group_of[first.object_id] | group_of[second.object_id]
                for object_id in merged:
                    group_of[object_id] = merged
    expected = {frozenset(group) for group in group_of.values()}
    duplicates = NearDuplicates.among(records, bits)
    groups = [[record.object_id for record in group] for group in duplicates.groups(records)]
    assert {frozenset(group) for group in groups} == expected
    assert groups == sorted(sorted(group) for group in groups)
    part = data.draw(st.lists(st.sampled_from(records), min_size=1, unique_by=lambda record: record.object_id))
    assert duplicates.groups(part) == NearDuplicates.among(part, bits).groups(part)


def test_by_source_keeps_the_source_and_carves_validation_out_of_train() -> None:
    records = [object_record(f"p{n}", "a", source_split="test" if n < 20 else "train") for n in range(100)]
    splits = assign_splits(records, divided(by="source"))
    assert Counter(splits.values()) == {"train": 70, "validation": 10, "test": 20}
    assert {splits[record.object_id] for record in records[:20]} == {"test"}


def test_by_source_an_unknown_split_is_a_fault() -> None:
    with pytest.raises(DataError, match="'val'"):
        assign_splits([object_record("p", "a", source_split="val")], divided(by="source"))
