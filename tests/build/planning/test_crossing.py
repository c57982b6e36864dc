"""Crossed grounds: the same for every figure, by class in turn, honest exclusions, and what one photo changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError
from strategies import object_record

from figureground.build.planning.plan import Plan, make_plan
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Balance, Recipe, Splits
from figureground.schemas.records import ObjectRecord, PlanRow

SHIPPED = load_recipe("crossed").model_copy(update={"balance": Balance(per_class="all")})
ABC = ClassMap.model_validate(
    {"name": "toy", "classes": [{"index": index, "name": name, "wnids": [name]} for index, name in enumerate("abc")]}
)
PASTED = {"ground": {"tile": "strip", "of": "any_class"}, "matte": "mask", "figure": "source"}


def recipe(**variants: dict[str, Any]) -> Recipe:
    words = SHIPPED.model_dump(mode="json", exclude={"variants"})
    return Recipe.model_validate({**words, "variants": {"original": {"ground": "source"}, **variants}})


def crossed(grounds: int, block: int | None = None, **changes: Any) -> Recipe:
    return recipe(crossed={**PASTED, "grounds": {"crossed": grounds, "block": block}, **changes})


def photos(count: int = 8) -> list[ObjectRecord]:
    return [object_record(f"{label}{number}", label) for label in "abc" for number in range(count)]


def plan(records: Sequence[ObjectRecord], used: Recipe) -> Plan:
    return make_plan(records, used, ABC)


def rows_of(made: Plan, variant: str = "crossed") -> list[PlanRow]:
    return [row for row in made.rows if row.variant == variant]


def test_every_figure_is_on_the_same_grounds_but_its_own() -> None:
    made = plan(photos(), crossed(6))
    rows = rows_of(made)
    lent = {row.draw: row.ground_id for row in rows}
    assert sorted(lent) == list(range(6))
    assert all(row.ground_id == lent[row.draw] for row in rows)
    assert Counter(row.ground_label for row in rows) == dict.fromkeys(range(3), 46)  # two of each class
    for figure in made.objects:
        missing = [ground for ground in lent.values() if ground == figure]
        assert len([row for row in rows if row.object_id == figure]) == 6 - len(missing)
    (counted,) = made.crossed
    assert (counted.figures, counted.grounds, counted.rows, counted.excluded) == (24, 6, 138, "own_photo:6")
    assert (counted.block, counted.blocks, counted.meetings, counted.own_class) == (6, 1, 1, 42)
    assert "24 figures on 6 crossed grounds, all: 138 rows, 42 on a ground of the own class" in str(counted)


def test_grounds_of_the_own_class_are_left_out_where_the_recipe_says_so() -> None:
    other = crossed(6, ground={"tile": "strip", "of": "other_class"})
    made = plan(photos(), other)
    assert all(row.ground_label != row.label for row in rows_of(made))
    assert made.crossed[0].excluded == "own_class:42 own_photo:6"
    assert made.crossed[0].rows == 24 * 4


def test_near_duplicates_and_groups_meet_neither_as_figure_and_ground_nor_in_the_set() -> None:
    """Ground 0 has a copy and another photo of its group; both are figures, and miss that ground alone."""
    first = plan(photos(), crossed(6))
    ground = next(row.ground_id for row in rows_of(first) if row.draw == 0)
    lender = first.objects[ground].record
    copy = object_record("copy", "b", phash=lender.phash)
    records = [*(record for record in photos() if record.object_id != ground), copy]
    named = [
        object_record(record.uri.split("/")[1].removesuffix(".png"), record.label, group="scene")
        if record.object_id == records[-2].object_id
        else record
        for record in records
    ]
    grouped = object_record(lender.uri.split("/")[1].removesuffix(".png"), lender.label, group="scene")
    made = plan([*named, grouped], crossed(6))
    shown = {(row.object_id, row.ground_id) for row in rows_of(made)}
    kin = {copy.object_id, records[-2].object_id, ground}
    assert not {(one, other) for one, other in shown if one in kin and other in kin}
    assert len({other for _, other in shown} & kin) == 1
    assert made.crossed[0].excluded == "near_duplicate:1 own_group:1 own_photo:6"


def test_a_photo_with_a_second_figure_outside_never_lends() -> None:
    words = SHIPPED.model_dump(mode="json")
    words["rules"]["exact"]["filters"]["clean_ground"] = False
    words["variants"] = crossed(6).model_dump(mode="json")["variants"]
    lent = {row.ground_id for row in rows_of(plan(photos(), crossed(6)))}
    marked = [
        object_record(
            record.uri.split("/")[1].removesuffix(".png"),
            record.label,
            flags=("class_visible_outside",) if record.object_id in lent else (),
        )
        for record in photos()
    ]
    made = plan(marked, Recipe.model_validate(words))
    assert not lent & {row.ground_id for row in rows_of(made)}
    assert lent <= {row.object_id for row in rows_of(made)}


def test_one_photo_more_changes_its_own_rows_and_at_most_one_ground() -> None:
    before = plan(photos(), crossed(6))
    grounds = {(row.object_id, row.draw): row.ground_id for row in rows_of(before)}
    changed = []
    for number in range(12):
        more = plan([*photos(), object_record(f"new{number}", "b")], crossed(6))
        after = {(row.object_id, row.draw): row.ground_id for row in rows_of(more)}
        changed.append(
            len({draw for (name, draw), ground in after.items() if grounds.get((name, draw), ground) != ground})
        )
    assert max(changed) <= 2  # one that it takes, and one that the photo which it displaces takes
    assert sum(changed) <= 6  # two of nine photos lend, so that of twelve new ones under three do
    assert 0 in changed


def test_blocks_show_every_figure_some_and_every_two_grounds_about_as_often() -> None:
    made = plan(photos(13), crossed(13, 4))
    (counted,) = made.crossed
    assert (counted.blocks, counted.meetings, counted.block) == (13, 1, 4)
    rows = rows_of(made)
    per_figure = Counter(row.object_id for row in rows)
    assert set(per_figure.values()) <= {3, 4}
    own = sum(row == 3 for row in per_figure.values())
    assert len(rows) == 39 * 4 - own == counted.rows
    assert (counted.fewest_figures, counted.most_figures) in {(11, 12), (10, 12), (12, 12)}  # 12 less own photos
    assert counted.most_shared == 3  # once a block, and three classes
    lent = {row.draw: row.ground_id for row in rows}
    assert all(row.ground_id == lent[row.draw] for row in rows)


def test_a_second_variant_may_stand_on_the_same_grounds() -> None:
    both = recipe(
        crossed={**PASTED, "grounds": {"crossed": 6}},
        crossed_p4={
            **PASTED,
            "figure": {"source": "self", "grow_px": 4},
            "grounds": {"crossed": 6},
            "donors_from": "crossed",
        },
        crossed_other={**PASTED, "grounds": {"crossed": 6}},
    )
    made = plan(photos(), both)
    pairs = {
        name: {(row.object_id, row.draw, row.ground_id) for row in rows_of(made, name)}
        for name in ("crossed", "crossed_p4", "crossed_other")
    }
    assert pairs["crossed"] == pairs["crossed_p4"] != pairs["crossed_other"]


def test_splits_have_grounds_of_their_own() -> None:
    divided = crossed(3).model_copy(update={"splits": Splits(shares={"train": 0.5, "test": 0.5})})
    made = plan(photos(), divided)
    for row in rows_of(made):
        assert made.splits[row.ground_id] == made.splits[row.object_id] == row.split
    assert [(counted.variant, counted.split, counted.grounds) for counted in made.crossed] == [
        ("crossed", "test", 3),
        ("crossed", "train", 3),
    ]


def test_too_few_photos_to_lend_are_a_fault_with_its_remedy() -> None:
    with pytest.raises(DataError, match=r"expected 30 photos that can lend a ground.*got 24.*fewer grounds"):
        plan(photos(), crossed(30))


def test_a_figure_that_may_stand_on_none_leaves_every_variant() -> None:
    """All photos but those of class a are of one scene, and so is no ground but one; the scene's other figures stay."""
    records = [
        object_record(f"{label}{number}", label, group="" if label == "a" else "scene")
        for label, count in (("a", 1), ("b", 3))
        for number in range(count)
    ]
    made = plan(records, crossed(2, ground={"tile": "strip", "of": "other_class"}))
    assert made.crossed[0].figures == 4
    alone = plan(records[:2], crossed(2))
    assert {row.object_id: row.ground_id for row in rows_of(alone)} == {
        records[0].object_id: records[1].object_id,
        records[1].object_id: records[0].object_id,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"crossed": 12, "block": 4}, "a prime number where there are blocks"),
        ({"crossed": 7, "block": 7}, "a block smaller than crossed"),
        ({"crossed": 1}, "greater than or equal to 2"),
        ({"crossed": 7, "blocks": 3}, "blocks"),
    ],
)
def test_designs_that_do_not_exist_are_refused(words: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(crossed={**PASTED, "grounds": words})


@pytest.mark.parametrize("of", ["same_class", "next_class", "self"])
def test_grounds_of_one_class_cannot_be_the_same_for_all(of: str) -> None:
    with pytest.raises(ValidationError, match="any_class or other_class"):
        recipe(crossed={**PASTED, "ground": {"tile": "strip", "of": of}, "grounds": {"crossed": 6}})


def test_variants_with_one_source_of_donors_have_the_same_design() -> None:
    with pytest.raises(ValidationError, match="the same grounds as crossed"):
        recipe(
            crossed={**PASTED, "grounds": {"crossed": 6}},
            crossed_p4={**PASTED, "grounds": {"crossed": 3}, "donors_from": "crossed"},
        )
