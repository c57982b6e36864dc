"""Gates: each finds its own kind of fault, all are reported together, and errors stop a build."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import object_record, square_mask

from figureground.build.planning import near_duplicates
from figureground.build.planning.gates import GateFinding, attribute_frequencies, check_gates, require_no_errors
from figureground.build.planning.near_duplicates import near_pairs
from figureground.build.planning.plan import Plan, make_plan
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ObjectRecord

RECIPE = load_recipe("rival10")
CLASSES = ClassMap.model_validate(
    {
        "name": "toy",
        "classes": [
            {"index": i, "name": name, "wnids": [name], "imagenet_indices": [i]} for i, name in enumerate("ab")
        ],
    }
)
SCHEMA = AttributeSchema.model_validate(
    {
        "name": "toy",
        "version": "1",
        "attributes": [{"name": "horns", "scope": "local"}, {"name": "hairy", "scope": "global"}],
    }
)
HORNS = encode_coco_rle(square_mask((100, 120), (40, 30, 60, 50)))
DOT = encode_coco_rle(square_mask((100, 120), (40, 30, 41, 31)))


def photo(number: int, **changes: Any) -> ObjectRecord:
    label = "ab"[number % 2]
    usual = {
        "attributes": {"horns": label == "a", "hairy": True},
        "attribute_masks": {"horns": HORNS} if label == "a" else {},
    }
    return object_record(f"p{number}", label, **{**usual, **changes})


def planned(records: list[ObjectRecord], recipe: Recipe = RECIPE) -> Plan:
    return make_plan(records, recipe, CLASSES, attributes=SCHEMA)


def findings_of(records: list[ObjectRecord], recipe: Recipe = RECIPE) -> dict[str, GateFinding]:
    return {finding.gate: finding for finding in check_gates(planned(records, recipe), recipe, CLASSES, SCHEMA)}


PLAIN = [photo(number) for number in range(40)]


def test_a_sound_dataset_passes() -> None:
    assert findings_of(PLAIN) == {}


@pytest.mark.parametrize(
    ("changes", "gate", "severity"),
    [
        pytest.param(
            {"attributes": {"horns": False}, "attribute_masks": {"horns": HORNS}},
            "mask_without_presence",
            "error",
            id="a mask of what is absent",
        ),
        pytest.param(
            {"attributes": {"horns": True}, "attribute_masks": {}},
            "present_without_mask",
            "warning",
            id="present and not painted",
        ),
        pytest.param({"attributes": {"tusks": True}, "attribute_masks": {}}, "not_in_schema", "warning", id="unasked"),
        pytest.param(
            {
                "attribute_masks": {"horns": encode_coco_rle(square_mask((1000, 1200), (400, 300, 401, 301)))},
                "mask": square_mask((1000, 1200), (400, 300, 800, 700)),
                "attributes": {"horns": True},
            },
            "attribute_vanishes",
            "warning",
            id="a dot that the canvas does not show",
        ),
        pytest.param({"uri": "a/n01440764_10026.JPEG"}, "imagenet_train", "warning", id="of ImageNet's training part"),
    ],
)
def test_each_gate_names_what_it_finds(changes: dict[str, Any], gate: str, severity: str) -> None:
    odd = photo(100, **changes)
    findings = findings_of([*PLAIN, odd])
    assert set(findings) == {gate}
    assert (findings[gate].severity, findings[gate].count) == (severity, 1)
    assert odd.object_id in findings[gate].examples[0]


def by_source(**changes: Any) -> Recipe:
    assert RECIPE.splits is not None
    return RECIPE.model_copy(update={"splits": RECIPE.splits.model_copy(update={"by": "source", **changes})})


def test_near_duplicates_across_the_source_s_own_splits_stop_a_build_with_both_names() -> None:
    records = [photo(number, source_split="train") for number in range(20)]
    near = f"{int(records[0].phash, 16) ^ 0b101:016x}"
    records += [photo(50, source_split="test", phash=near), photo(51, source_split="test")]
    finding = findings_of(records, by_source())["near_duplicates_in_two_splits"]
    assert (finding.count, finding.severity) == (1, "error")
    one, other = records[0], records[20]
    with pytest.raises(DataError) as caught:
        require_no_errors([finding])
    (fault,) = caught.value.faults
    first, second = sorted(
        [f"{one.object_id} (train, photos: {one.uri})", f"{other.object_id} (test, photos: {other.uri})"]
    )
    assert fault.record == f"{first} and {second}, 2 of 64 bits differ"
    assert "--waive-near-duplicates REASON" in fault.remedy


def test_a_group_across_the_source_s_own_splits_stops_a_build_with_both_names() -> None:
    records = [photo(number, source_split="train", group="video" if number < 2 else "") for number in range(20)]
    records += [photo(50, source_split="test", group="video"), photo(51, source_split="test")]
    finding = findings_of(records, by_source())["near_duplicates_in_two_splits"]
    assert (finding.count, finding.severity) == (1, "error")
    assert records[20].object_id in finding.examples[0]
    assert finding.examples[0].endswith("both of group video")


def test_every_group_across_splits_is_named_and_a_reason_waives_them() -> None:
    records = [photo(number, source_split="train") for number in range(20)]
    records += [photo(50 + number, source_split="test", phash=records[number].phash) for number in range(5)]
    finding = findings_of(records, by_source())["near_duplicates_in_two_splits"]
    with pytest.raises(DataError) as caught:
        require_no_errors([finding])
    assert len(caught.value.faults) == finding.count == 5
    waived = findings_of(records, by_source(waive_near_duplicates="RIVAL10 has them"))["near_duplicates_in_two_splits"]
    assert (waived.severity, waived.count, waived.examples) == ("warning", 5, finding.examples)
    assert waived.expected.endswith("in one split (waived: RIVAL10 has them)")
    require_no_errors([waived])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 63), st.sampled_from("xyz-"), st.sampled_from("ab")), min_size=2, max_size=14))
def test_a_crossing_link_is_one_of_the_nearest_that_cross(photos: list[tuple[int, str, str]]) -> None:
    records = [
        object_record(str(number), "a", phash=f"{bits:016x}", group=scene.strip("-"))
        for number, (bits, scene, _) in enumerate(photos)
    ]
    part_of = {record.object_id: part for record, (_, _, part) in zip(records, photos, strict=True)}
    near = near_duplicates.NearDuplicates.among(records, 1)
    for group in near.groups(records):
        direct = [
            (one.scene is None or one.scene != other.scene, (int(one.phash, 16) ^ int(other.phash, 16)).bit_count())
            for one in group
            for other in group
            if part_of[one.object_id] < part_of[other.object_id]
        ]
        possible = [(apart, bits) for apart, bits in direct if not apart or bits <= 1]
        link = near.crossing(group, part_of)
        assert (link is None) == (not direct)
        if link is not None:
            assert part_of[link.one.object_id] != part_of[link.other.object_id]
            assert link.one.object_id < link.other.object_id
            assert link.one_scene != min(possible)[0]
            assert link.one_scene or link.bits == min(possible)[1]


def test_classes_that_no_attribute_tells_apart_are_named() -> None:
    records = [photo(n, attributes={"horns": None, "hairy": True}, attribute_masks={}) for n in range(40)]
    assert findings_of(records)["classes_alike"].examples == ("a/b",)


def test_errors_are_raised_together_and_warnings_are_not() -> None:
    odd = [photo(100, attributes={"horns": False}), photo(102, attributes={"horns": True}, attribute_masks={})]
    findings = check_gates(planned([*PLAIN, *odd]), RECIPE, CLASSES, SCHEMA)
    assert [finding.severity for finding in findings] == ["error", "warning"]
    with pytest.raises(DataError, match="mask_without_presence") as caught:
        require_no_errors(findings)
    assert len(caught.value.faults) == 1
    require_no_errors(findings[1:])


def test_frequencies_count_every_answer() -> None:
    records = [*PLAIN, photo(100, attributes={"horns": None}, attribute_masks={})]
    horns = next(
        frequency
        for frequency in attribute_frequencies(planned(records), CLASSES, SCHEMA)
        if frequency.class_name == "a"
    )
    assert (horns.attribute, horns.present, horns.absent, horns.unknown, horns.masks) == ("horns", 20, 0, 1, 20)


def test_near_duplicates_are_looked_for_once_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(hashes: NDArray[np.uint64], bits: int) -> Iterator[NDArray[np.int64]]:
        asked.append(bits)
        return near_pairs(hashes, bits)

    monkeypatch.setattr(near_duplicates, "near_pairs", counted)
    check_gates(planned(PLAIN), RECIPE, CLASSES, SCHEMA)
    assert asked == [8]
