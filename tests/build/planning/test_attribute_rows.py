"""Rows of attributes: one a photo and attribute, control of the same area, pasted in and taken away."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from strategies import object_record, square_mask

from figureground.build.geometry.views import Canvas
from figureground.build.painting.render import Rendered, render_row
from figureground.build.painting.scenes import Scene, make_scene
from figureground.build.planning.plan import Plan, make_plan
from figureground.build.recipes.loading import load_recipe
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import PlanRow

RECIPE = load_recipe("rival10")
RULES = RECIPE.rules["exact"]
SCHEMA = AttributeSchema.model_validate(
    {
        "name": "toy",
        "version": "1",
        "attributes": [
            {"name": "horns", "scope": "local"},
            {"name": "tail", "scope": "local"},
            {"name": "hairy", "scope": "global"},
        ],
    }
)
CLASSES = ClassMap.model_validate(
    {"name": "toy", "classes": [{"index": i, "name": name, "wnids": [name]} for i, name in enumerate("ab")]}
)
HORNS, TAIL, OBJECT = (40, 40, 80, 70), (150, 150, 190, 180), (30, 30, 200, 200)


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio()


class Studio:
    """Forty photos of noise, squashed from 224 x 224 to themselves, so that every pixel can be followed."""

    def __init__(self) -> None:
        self.photos: dict[str, Canvas] = {}
        records = []
        for number in range(40):
            label = "ab"[number % 2]
            parts = {"horns": square_mask((224, 224), HORNS)} if label == "a" else {}
            parts |= {"tail": square_mask((224, 224), TAIL), "hairy": square_mask((224, 224), OBJECT)}
            record = object_record(
                f"p{number}",
                label,
                mask=square_mask((224, 224), OBJECT),
                attributes={"horns": label == "a", "tail": True, "hairy": True},
                attribute_masks={name: encode_coco_rle(mask) for name, mask in parts.items()},
            )
            self.photos[record.object_id] = np.random.default_rng(number).integers(
                1, 256, (224, 224, 3), dtype=np.uint8
            )
            records.append(record)
        self.plan: Plan = make_plan(records, RECIPE, CLASSES, attributes=SCHEMA)
        self.scenes: dict[str, Scene] = {
            name: make_scene(candidate, self.photos[name], RULES, RECIPE)
            for name, candidate in self.plan.objects.items()
        }

    def rows(self, variant: str, **wanted: Any) -> list[PlanRow]:
        rows = [row for row in self.plan.rows if row.variant == variant]
        return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]

    def render(self, row: PlanRow) -> Rendered:
        return render_row(row, RECIPE.variants[row.variant], RULES, self.scenes.__getitem__)


def test_every_photo_has_a_row_for_each_local_attribute_with_a_mask(studio: Studio) -> None:
    for variant in ("attribute_grey", "attribute_control", "attribute_superimposed", "attribute_removed"):
        assert len(studio.rows(variant, attribute="horns")) == 20
        assert len(studio.rows(variant, attribute="tail")) == 40
        assert not studio.rows(variant, attribute="hairy")
    assert len(studio.rows("original")) == 40


def test_grey_covers_the_attribute_and_nothing_else(studio: Studio) -> None:
    row = studio.rows("attribute_grey", attribute="horns")[0]
    made, part = studio.render(row), square_mask((224, 224), HORNS)
    assert (made.image_rgb[part] == 128).all()
    assert np.array_equal(made.image_rgb[~part], studio.photos[row.object_id][~part])
    assert set(made.attribute_masks) == {"horns", "tail", "hairy"}


def test_the_control_is_as_large_inside_the_object_and_elsewhere(studio: Studio) -> None:
    part, whole = square_mask((224, 224), HORNS), square_mask((224, 224), OBJECT)
    changes = []
    for row in studio.rows("attribute_control", attribute="horns"):
        changed = (studio.render(row).image_rgb != studio.photos[row.object_id]).any(axis=2)
        grey = (studio.render(row).image_rgb == 128).all(axis=2)
        assert grey.sum() >= part.sum()
        assert not (changed & ~whole).any()
        assert part.sum() - 5 <= changed.sum() <= part.sum()  # a pixel may have been grey before
        changes.append(changed)
    assert not np.array_equal(changes[0], changes[1])


def test_superimposed_is_labelled_by_what_it_was_pasted_on(studio: Studio) -> None:
    part = square_mask((224, 224), HORNS)
    row = next(row for row in studio.rows("attribute_superimposed", attribute="horns") if row.ground_label == 1)
    made = studio.render(row)
    assert np.array_equal(made.image_rgb[part], studio.photos[row.object_id][part])
    assert np.array_equal(made.image_rgb[~part], studio.photos[row.ground_id][~part])
    assert row.label == 1
    assert np.array_equal(made.attribute_masks["horns"], part)
    params = json.loads(row.params)
    assert (params["pos_id"], params["neg_id"]) == (row.object_id[:32], row.ground_id[:32])
    assert (params["pos_label"], params["neg_label"], params["changed_attrs"]) == (0, 1, ["horns"])


def test_removed_shows_the_other_photo_where_the_attribute_was(studio: Studio) -> None:
    part = square_mask((224, 224), HORNS)
    row = studio.rows("attribute_removed", attribute="horns")[0]
    made = studio.render(row)
    assert np.array_equal(made.image_rgb[part], studio.photos[row.ground_id][part])
    assert np.array_equal(made.image_rgb[~part], studio.photos[row.object_id][~part])
    assert row.label == 0
    assert "horns" not in made.attribute_masks
    assert not (made.attribute_masks["hairy"] & part).any()


def test_donors_come_from_the_same_split(studio: Studio) -> None:
    rows = [row for row in studio.plan.rows if row.ground_id]
    assert {row.split for row in rows} == {"train", "validation", "test"}
    assert all(studio.plan.splits[row.ground_id] == row.split == studio.plan.splits[row.object_id] for row in rows)


def test_attributes_of_one_photo_have_seeds_of_their_own(studio: Studio) -> None:
    rows = [row for row in studio.plan.rows if row.attribute]
    assert len({row.seed for row in rows}) == len(rows)
