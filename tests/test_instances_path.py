"""Touching objects of one photo, from two regions of an answer to a crop for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from strategies import square_mask
from studio_samples import make_answer, make_export, make_photo, make_schema, note_project, painted, write_export

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.studio.pull import pull_export
from figureground.build.planning.plan import Plan, make_plan
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ObjectRecord
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

SIZE = (100, 120)
BOXES = ((10, 20, 50, 80), (50, 30, 100, 70))
"""Half-open; the two objects share the edge x = 50."""
MASKS = [square_mask(SIZE, box) for box in BOXES]
CLASSES = ClassMap.model_validate({"name": "toy", "classes": [{"index": 0, "name": "cat", "wnids": ["cat"]}]})


def recipe(window: Mapping[str, object]) -> Recipe:
    view = {"resize": "none", "crop": None, "window": {"margin": 0, "shape": "tight", **window}}
    return Recipe.model_validate(
        {
            "name": "crops",
            "version": "1",
            "seed": 1,
            "class_map": "imagenet9",
            "rules": {"exact": {"views": {"crop": view}, "filters": {}}},
            "variants": {"plus": {"view": "crop", "ground": "source"}},
        }
    )


@pytest.fixture
def frozen(tmp_path: Path) -> tuple[Path, dict[str, ObjectRecord]]:
    """A release of two photos, and its records by the photo's name: ``pair`` has two objects, ``single`` one."""
    pair, single = (make_photo(name, size_hw=SIZE, label="cat") for name in ("pair", "single"))
    with Workspace.create(tmp_path) as store:
        store.add_images([pair, single])
        note_project(store, make_schema(), since="2026-01-01T00:00:00+00:00")
        regions = [painted(mask, region_id=f"r{number}") for number, mask in enumerate(MASKS)]
        tasks = [make_export(pair, [make_answer(regions)]), make_export(single, [make_answer(regions[:1], number=2)])]
        pull_export(store, write_export(tmp_path / "export.json", tasks))
        path = freeze(store, "v1", FreezeOptions()).path
    records = {record.uri.removesuffix(".jpg"): record for record in read_release(path)[1]}
    return path, records


def plan_of(record: ObjectRecord, **window: object) -> Plan:
    return make_plan([record], recipe(window), CLASSES)


def test_the_release_holds_the_regions_beside_their_union(frozen: tuple[Path, dict[str, ObjectRecord]]) -> None:
    path, records = frozen
    pair = records["pair"]
    for rle, mask in zip(pair.instances, MASKS, strict=True):
        np.testing.assert_array_equal(decode_coco_rle(rle), mask)
    np.testing.assert_array_equal(decode_coco_rle(pair.mask), MASKS[0] | MASKS[1])
    assert records["single"].instances == ()
    stored = pq.read_table(path, columns=["uri", "instances"]).to_pylist()
    assert {row["uri"]: len(row["instances"]) for row in stored} == {"pair.jpg": 2, "single.jpg": 0}


def test_recorded_instances_that_touch_get_a_window_each(frozen: tuple[Path, dict[str, ObjectRecord]]) -> None:
    plan = plan_of(frozen[1]["pair"], instances="recorded", take="each")
    (measured,) = plan.objects.values()
    assert [crop.frame.frame_xyxy_px for crop in measured.crops["crop"]] == list(BOXES)
    assert [row.draw for row in plan.rows] == [0, 1]
    assert "several_instances" in measured.flags


def test_components_take_them_for_one(frozen: tuple[Path, dict[str, ObjectRecord]]) -> None:
    plan = plan_of(frozen[1]["pair"], instances="components", take="each")
    (measured,) = plan.objects.values()
    assert [crop.frame.frame_xyxy_px for crop in measured.crops["crop"]] == [(10, 20, 100, 80)]
    assert len(plan.rows) == 1


@pytest.mark.parametrize("instances", ["recorded", "components"])
def test_a_single_object_is_one_either_way(frozen: tuple[Path, dict[str, ObjectRecord]], instances: str) -> None:
    plan = plan_of(frozen[1]["single"], instances=instances, take="each")
    (measured,) = plan.objects.values()
    assert [crop.frame.frame_xyxy_px for crop in measured.crops["crop"]] == [BOXES[0]]
    assert "several_instances" not in measured.flags
