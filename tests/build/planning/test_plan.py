"""The plan: filters with reasons, balance, donors, and what one photo more or less may change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import object_record, square_mask

from figureground.build.planning import plan_files
from figureground.build.planning.plan import Plan, make_plan
from figureground.build.planning.plan_files import read_plan, write_plan
from figureground.build.planning.plan_rows import PlanRows
from figureground.build.planning.seeds import derive_seed, hash_order
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError
from figureground.runtime.files import file_sha256
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Balance, Recipe, RuleName
from figureground.schemas.records import ObjectRecord, PlanRow

IMAGENET9 = load_recipe("imagenet9")
ALL = IMAGENET9.model_copy(update={"balance": Balance(per_class="all")})


def class_map(*names: str) -> ClassMap:
    classes = [{"index": index, "name": name, "wnids": [name]} for index, name in enumerate(names)]
    return ClassMap.model_validate({"name": "toy", "classes": classes})


ABC = class_map("a", "b", "c")


def photos(**counts: int) -> list[ObjectRecord]:
    return [object_record(f"{label}{number}", label) for label, count in counts.items() for number in range(count)]


def plan(
    records: Sequence[ObjectRecord],
    recipe: Recipe = ALL,
    classes: ClassMap = ABC,
    rules: RuleName = "exact",
    **more: Any,
) -> Plan:
    return make_plan(records, recipe, classes, rules=rules, **more)


def reason_of(record: ObjectRecord, rules: RuleName = "exact") -> str:
    made = plan([record, *photos(a=3, b=3, c=3)], rules=rules)
    reasons = [refusal.reason for refusal in made.refusals if refusal.object_id == record.object_id]
    return reasons[0] if reasons else "taken"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"mask": np.zeros((100, 120), dtype=np.bool_)}, "mask_empty", id="mask empty"),
        pytest.param({"mask": np.ones((100, 120), dtype=np.bool_)}, "mask_full", id="mask full"),
        pytest.param({"mask": square_mask((100, 400), (0, 0, 90, 100))}, "mask_cropped_away", id="cropped away"),
        pytest.param({"mask": square_mask((100, 400), (100, 0, 300, 100))}, "mask_fills_canvas", id="fills the canvas"),
        pytest.param({"boxes": [(2, 2, 119, 99)]}, "box_too_large", id="box over 0.9 of the canvas"),
        pytest.param({"mask": square_mask((100, 400), (20, 20, 170, 60))}, "box_cropped_away", id="box under 0.5 kept"),
        pytest.param(
            {"mask": square_mask((100, 120), (40, 30, 42, 32)), "boxes": [(20, 20, 90, 80)]},
            "mask_too_small",
            id="mask under 0.1 of the box",
        ),
        pytest.param({"flags": ("class_visible_outside",)}, "class_visible_outside", id="a second instance outside"),
        pytest.param({"boxes": [(-5, 20, 70, 80)]}, "taken", id="box partly outside is clipped"),
        pytest.param({"mask": square_mask((100, 120), (0, 0, 119, 40))}, "taken", id="touches three borders"),
    ],
)
def test_filters_name_their_reason(changes: dict[str, Any], reason: str) -> None:
    assert reason_of(object_record("odd", "a", **changes)) == reason


def test_a_box_without_any_margin_is_refused_in_exact_rules() -> None:
    # 60 x 600: the canvas sees the middle tenth only, so the box is not too large there.
    mask = square_mask((60, 600), (290, 0, 310, 60))
    record = object_record("odd", "a", mask=mask, boxes=[(0, 0, 600, 60)])
    lenient = ALL.rules["exact"].model_copy(
        update={
            "filters": ALL.rules["exact"].filters.model_copy(
                update={"max_box_share": None, "min_box_kept": None, "min_mask_over_box": None}
            )
        }
    )
    recipe = ALL.model_copy(update={"rules": {"exact": lenient}})
    made = plan([record, *photos(a=3, b=3, c=3)], recipe)
    assert [refusal.reason for refusal in made.refusals] == ["no_strip"]


def test_several_boxes_leave_under_reference_and_are_joined_and_flagged_under_exact() -> None:
    record = object_record("two", "a", boxes=[(10, 20, 50, 60), (60, 30, 100, 70)])
    assert reason_of(record, "reference") == "several_boxes"
    made = plan([record, *photos(a=3, b=3, c=3)])
    row = next(row for row in made.rows if row.object_id == record.object_id and row.variant == "only_bg_b")
    figure = json.loads(row.params)["figure"]
    assert figure["box"] == [10, 20, 100, 70]
    assert "several_boxes" in figure["flags"]


def test_a_strip_of_one_pixel_is_legal_and_flagged() -> None:
    record = object_record("thin", "a", mask=square_mask((100, 120), (0, 0, 119, 100)) & _noise((100, 120)))
    recipe = _without_share_filter()
    made = plan([record, *photos(a=3, b=3, c=3)], recipe)
    row = next(row for row in made.rows if row.object_id == record.object_id and row.variant == "only_bg_t")
    figure = json.loads(row.params)["figure"]
    assert figure["strip"] == {"side": "right", "box": [119, 0, 120, 100]}
    assert "strip_1px" in figure["flags"]


def _noise(size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    noise = np.random.default_rng(0).random(size_hw) > 0.3
    noise[0, 0] = noise[-1, -2] = True
    return noise


def _without_share_filter() -> Recipe:
    exact = ALL.rules["exact"]
    filters = exact.filters.model_copy(update={"max_box_share": None})
    return ALL.model_copy(update={"rules": {"exact": exact.model_copy(update={"filters": filters})}})


def test_the_box_is_the_hull_in_exact_and_the_annotated_one_in_reference() -> None:
    record = object_record("hull", "a", boxes=[(50, 40, 90, 60)])  # the mask reaches from (40, 30) to (80, 70)
    for rules, box in (("exact", [40, 30, 90, 70]), ("reference", [50, 40, 90, 60])):
        made = plan([record, *photos(a=3, b=3, c=3)], rules=rules)  # type: ignore[arg-type]
        row = next(row for row in made.rows if row.object_id == record.object_id and row.variant == "only_bg_b")
        assert json.loads(row.params)["figure"]["box"] == box


def test_every_variant_has_the_same_images() -> None:
    made = plan([*photos(a=5, b=4, c=3), object_record("odd", "a", mask=np.zeros((9, 9), dtype=np.bool_))])
    by_variant = {name: {row.object_id for row in made.rows if row.variant == name} for name in ALL.variants}
    assert len(set(map(frozenset, by_variant.values()))) == 1
    assert len(made.rows) == 12 * len(ALL.variants)


def test_classes_are_balanced_to_the_smallest_by_hash() -> None:
    recipe = ALL.model_copy(update={"balance": Balance(per_class="smallest", min_per_class=2)})
    records = photos(a=9, b=5, c=3)
    made = plan(records, recipe)
    assert made.class_counts == {"a": 3, "b": 3, "c": 3}
    assert made.balanced
    taken = {row.object_id for row in made.rows if row.label == 0}
    ids = sorted(
        (record.object_id for record in records if record.label == "a"), key=lambda o: hash_order("9\0balance", o)
    )
    assert taken == set(ids[:3])
    assert {refusal.reason for refusal in made.refusals} == {"balance"}


def test_nothing_is_balanced_when_a_class_would_fall_under_the_stated_size() -> None:
    recipe = ALL.model_copy(update={"balance": Balance(per_class="smallest", min_per_class=4)})
    made = plan(photos(a=9, b=5, c=3), recipe)
    assert made.class_counts == {"a": 9, "b": 5, "c": 3}
    assert not made.balanced


def donors(made: Plan, variant: str) -> list[PlanRow]:
    return [row for row in made.rows if row.variant == variant]


def test_donors_follow_their_policy() -> None:
    made = plan(photos(a=6, b=6, c=6))
    assert all(row.ground_label == row.label for row in donors(made, "mixed_same"))
    assert all(row.ground_label == (row.label + 1) % 3 for row in donors(made, "mixed_next"))
    assert {row.ground_label for row in donors(made, "mixed_next") if row.label == 2} == {0}  # the last wraps round
    assert {row.ground_label for row in donors(made, "mixed_rand")} == {0, 1, 2}
    assert any(row.ground_label == row.label for row in donors(made, "mixed_rand"))  # the own class is one of them
    assert all(not row.ground_id for row in donors(made, "mixed_self"))


def recipe_with(**variants: Any) -> Recipe:
    """The recipe with these variants, spelled as in YAML."""
    return Recipe.model_validate({**ALL.model_dump(mode="json"), "variants": variants})


MIXED: dict[str, Any] = {"ground": {"tile": "strip", "of": "any_class"}, "matte": "mask", "figure": "source"}
ERODED: dict[str, Any] = {**MIXED, "figure": {"source": "self", "grow_px": -4}}


@pytest.mark.parametrize("draws", [1, 3])
def test_a_variant_shows_the_donors_of_the_one_that_it_names(draws: int) -> None:
    recipe = recipe_with(mixed=MIXED, m4={**ERODED, "donors_from": "mixed"}, alone=ERODED)
    made = plan(photos(a=8, b=8, c=8), recipe, draws=draws)
    drawn = {
        name: [(row.object_id, row.draw, row.seed, row.ground_id) for row in donors(made, name)]
        for name in recipe.variants
    }
    assert drawn["m4"] == drawn["mixed"]
    assert len(drawn["m4"]) == 24 * draws
    same = sum(mine[3] == its[3] for mine, its in zip(drawn["alone"], drawn["mixed"], strict=True))
    assert same < len(drawn["mixed"]) / 2  # by chance


def test_textures_are_shared_too() -> None:
    textured: dict[str, Any] = {"ground": {"texture": "any"}, "matte": "mask", "figure": "source"}
    recipe = recipe_with(one=textured, two={**textured, "donors_from": "one"}, alone=textured)
    made = plan(photos(a=8, b=8, c=8), recipe)
    textures = {name: [(row.seed, row.params) for row in donors(made, name)] for name in recipe.variants}
    assert textures["two"] == textures["one"] != textures["alone"]


def test_another_class_is_any_but_the_own_one() -> None:
    recipe = recipe_with(other={**MIXED, "ground": {"tile": "strip", "of": "other_class"}})
    made = plan(photos(a=6, b=6, c=6), recipe, draws=4)
    pairs = {(row.label, row.ground_label) for row in donors(made, "other")}
    assert pairs == {(one, another) for one in range(3) for another in range(3) if one != another}
    both = plan(photos(a=1, b=1), recipe, class_map("a", "b"))  # one photo of each is enough
    assert [row.ground_label for row in donors(both, "other")] in ([0, 1], [1, 0])


@pytest.mark.parametrize("classes", [ABC, class_map("a")])
def test_where_there_is_one_class_there_is_no_other(classes: ClassMap) -> None:
    recipe = recipe_with(other={**MIXED, "ground": {"tile": "strip", "of": "other_class"}})
    with pytest.raises(DataError, match="photos of at least two classes for other_class, got 1"):
        plan(photos(a=3), recipe, classes)


def test_nobody_is_their_own_donor_in_exact_rules_and_may_be_in_reference() -> None:
    records = photos(a=2, b=2, c=2)
    mixed = {"mixed_same", "mixed_rand", "mixed_next"}
    exact = [row for row in plan(records).rows if row.variant in mixed]
    assert all(row.ground_id != row.object_id for row in exact)
    reference = [row for row in plan(records, rules="reference").rows if row.variant in mixed]
    assert any(row.ground_id == row.object_id for row in reference)


def test_near_duplicates_are_no_donors() -> None:
    twins = [
        object_record("one", "a", phash="00000000000000ff"),
        object_record("two", "a", phash="00000000000001ff"),  # one bit apart
        object_record("three", "a", phash="ffffffff00000000"),
    ]
    made = plan([*twins, *photos(b=3, c=3)])
    for row in donors(made, "mixed_same"):
        if row.object_id in {twins[0].object_id, twins[1].object_id}:
            assert row.ground_id == twins[2].object_id


def test_who_has_only_near_duplicates_leaves_with_a_reason() -> None:
    twins = [object_record(name, "a", phash="00000000000000ff") for name in ("one", "two")]
    others = photos(b=3, c=3)
    with pytest.raises(DataError, match="no_donor"):
        # With class a gone, c's next class is empty, b's then, and nobody is left.
        plan([*twins, *others])
    made = plan([*twins, object_record("three", "a", phash="ffffffff00000000"), *others])
    assert not made.refusals


def test_photos_that_show_their_class_outside_the_mask_lend_no_ground() -> None:
    exact = ALL.rules["exact"]
    rules = exact.model_copy(update={"filters": exact.filters.model_copy(update={"clean_ground": False})})
    recipe = ALL.model_copy(update={"rules": {"exact": rules}})
    shown = object_record("shown", "a", flags=("class_visible_outside",))
    made = plan([shown, *photos(a=3, b=3, c=3)], recipe)
    assert shown.object_id in made.objects
    assert all(row.ground_id != shown.object_id for row in made.rows)


@pytest.mark.parametrize(
    ("records", "classes", "expected"),
    [
        pytest.param(photos(a=1, b=2, c=2), ABC, "toy: a: expected at least 2 usable photos, got 1", id="one image"),
        pytest.param(photos(a=3, c=3), ABC, r"add photos labelled \S+ \(capital letters count\)", id="labels named"),
        pytest.param(photos(a=3, c=3), ABC, "toy: b: expected at least 1 usable photo, got 0", id="empty next class"),
        pytest.param(photos(a=3), class_map("a"), "at least two classes", id="one class"),
        pytest.param([object_record("x", "zebra")], ABC, "unmapped_class 1", id="nothing usable"),
        pytest.param([object_record("x", "zebra")], ABC, "has the labels zebra: give yours with --class-map", id="map"),
    ],
)
def test_classes_that_cannot_have_donors_are_faults(
    records: list[ObjectRecord], classes: ClassMap, expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        plan(records, classes=classes)


def test_draws_repeat_the_donor_variants_only() -> None:
    made = plan(photos(a=8, b=8, c=8), draws=5)
    assert len(donors(made, "mixed_rand")) == 24 * 5
    assert len(donors(made, "original")) == 24
    first = donors(made, "mixed_rand")[:5]
    assert [row.draw for row in first] == [0, 1, 2, 3, 4]
    assert len({row.ground_id for row in first}) > 1
    once = {row.key: row for row in plan(photos(a=8, b=8, c=8)).rows}
    assert all(once[row.key] == row for row in made.rows if row.draw == 0)


def test_seeds_are_what_the_design_says() -> None:
    # sha256 of the parts joined by NUL, first 8 bytes, computed with coreutils
    assert derive_seed(9, "mixed_rand", "x.0", 0) == int("dfb8d0aae711e98b", 16)


def test_the_version_of_a_recipe_is_no_part_of_its_seeds() -> None:
    records = photos(a=4, b=4, c=4)
    assert plan(records).rows == plan(records, ALL.model_copy(update={"version": "99"})).rows


@settings(max_examples=40)
@given(st.permutations(photos(a=5, b=4, c=6)))
def test_the_order_of_the_objects_changes_nothing(records: list[ObjectRecord]) -> None:
    assert plan(records).rows == plan(photos(a=5, b=4, c=6)).rows


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 14),
    st.sampled_from([Balance(per_class="all"), Balance(per_class=3)]),
    st.sampled_from(["exact", "reference"]),
)
def test_one_photo_less_changes_only_rows_that_use_or_used_it(gone: int, balance: Balance, rules: RuleName) -> None:
    records = photos(a=5, b=5, c=5)
    recipe = ALL.model_copy(update={"balance": balance})
    before, after = plan(records, recipe, rules=rules), plan(records[:gone] + records[gone + 1 :], recipe, rules=rules)
    # With a fixed quota another photo moves up; it, too, is a photo more.
    moved = set(before.objects) ^ set(after.objects)
    assert len(moved) <= 2
    old, new = ({row.key: row for row in made.rows} for made in (before, after))
    for key in old.keys() | new.keys():
        rows = [made[key] for made in (old, new) if key in made]
        if rows != [rows[0], rows[0]]:
            assert {name for row in rows for name in (row.object_id, row.ground_id)} & moved, key


def test_in_a_large_class_one_photo_more_changes_few_rows() -> None:
    records = photos(a=150, b=3, c=3)
    old, new = ({row.key: row for row in plan(given).rows} for given in (records, [*records, object_record("x", "a")]))
    more = {row.object_id for row in new.values()} - {row.object_id for row in old.values()}
    changed = [key for key, row in old.items() if new[key] != row]
    untouched = [key for key in changed if new[key].ground_id not in more]
    assert len(changed) < 12
    assert len(untouched) < 8


def test_rows_are_a_sequence() -> None:
    rows = plan(photos(a=4, b=3, c=3)).rows
    listed = list(rows)
    assert len(rows) == len(listed) == 10 * len(ALL.variants)
    assert [rows[index] for index in range(len(rows))] == listed
    assert rows[-1] == listed[-1]
    for part in (slice(7, 33), slice(-5, None), slice(0, 0), slice(60, 3, -7), slice(None)):
        assert list(rows[part]) == listed[part]
    assert [row.key for row in listed] == sorted(row.key for row in listed)
    with pytest.raises(IndexError):
        rows[len(rows)]
    assert isinstance(rows, PlanRows)
    assert [row for group in rows.groups for row in group] == listed
    assert {(group.variant, group.split) for group in rows.groups} == {(row.variant, row.split) for row in listed}


def test_a_plan_written_in_parts_has_the_bytes_of_one_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(photos(a=160, b=3, c=3))
    write_plan(made.rows, tmp_path / "whole.parquet")
    monkeypatch.setattr(plan_files, "_ROWS_AT_A_TIME", 1024)
    write_plan(made.rows, tmp_path / "parts.parquet")
    assert file_sha256(tmp_path / "whole.parquet") == file_sha256(tmp_path / "parts.parquet")
    assert read_plan(tmp_path / "parts.parquet") == tuple(made.rows)
    columns = {
        name: [getattr(row, name) for row in made.rows] for name in pq.read_schema(tmp_path / "whole.parquet").names
    }
    table = pa.table(columns, schema=pq.read_schema(tmp_path / "whole.parquet"))
    pq.write_table(table, tmp_path / "table.parquet", compression="zstd")
    assert file_sha256(tmp_path / "table.parquet") == file_sha256(tmp_path / "whole.parquet")


def test_a_plan_of_several_row_groups_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(photos(a=4, b=3, c=3))
    monkeypatch.setattr(plan_files, "_ROWS_AT_A_TIME", 8)
    monkeypatch.setattr(plan_files, "_ROWS_PER_GROUP", 32)
    write_plan(made.rows, tmp_path / "plan.parquet")
    assert pq.ParquetFile(tmp_path / "plan.parquet").num_row_groups == 5
    assert read_plan(tmp_path / "plan.parquet") == tuple(made.rows)
