"""Variants of one's own by recipe lines alone: effects, textures, moved figures, crops, a row for each instance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from strategies import object_record, square_mask

from figureground.build.geometry.views import Canvas
from figureground.build.painting.effects import blur_within, grow_matte, move_matte
from figureground.build.painting.render import Rendered, render_row
from figureground.build.painting.scenes import Scene, make_scene
from figureground.build.painting.textures import draw_texture, texture_from_photo
from figureground.build.planning.plan import Plan, make_plan
from figureground.build.planning.plan_files import write_plan
from figureground.errors import DataError
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import encode_coco_rle, encode_png1
from figureground.schemas.recipes import Move, Recipe
from figureground.schemas.records import PhotoRef, PlanRow

CLASSES = ClassMap.model_validate(
    {"name": "toy", "classes": [{"index": i, "name": name, "wnids": [name]} for i, name in enumerate("ab")]}
)
SQUASH = {"resize": "squash", "size": 64, "crop": None}
NATIVE = {"resize": "none", "crop": None}
SIZE_HW = (64, 64)
OBJECT, PART, SECOND = (20, 16, 40, 36), (20, 16, 30, 36), (50, 50, 60, 58)


def recipe(variants: dict[str, Any], views: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "mine",
            "version": "1",
            "seed": 3,
            "class_map": "imagenet9",
            "rules": {"exact": {"views": views or {"squash": SQUASH}, "filters": {}}},
            "variants": variants,
            **changes,
        }
    )


class Studio:
    """Four photos of noise on canvases that are the photos themselves; each has a part and a second instance."""

    def __init__(self, made: Recipe, textures: tuple[PhotoRef, ...] = ()) -> None:
        self.recipe, self.rules = made, made.rules["exact"]
        self.photos: dict[str, Canvas] = {}
        records = []
        self.mask = square_mask(SIZE_HW, OBJECT) | square_mask(SIZE_HW, SECOND)
        for number in range(4):
            instances = (square_mask(SIZE_HW, OBJECT), square_mask(SIZE_HW, SECOND))
            record = object_record(
                f"photo{number}",
                "ab"[number % 2],
                mask=self.mask,
                instances=tuple(map(encode_coco_rle, instances)),
                attributes={"part": True},
                attribute_masks={"part": encode_coco_rle(square_mask(SIZE_HW, PART))},
            )
            self.photos[record.object_id] = np.random.default_rng(number).integers(
                1, 256, (*SIZE_HW, 3), dtype=np.uint8
            )
            records.append(record)
        self.plan: Plan = make_plan(records, made, CLASSES, textures=textures)
        self.scenes: dict[str, Scene] = {
            name: make_scene(candidate, self.photos[name], self.rules, made)
            for name, candidate in self.plan.objects.items()
        }
        self.textures = {photo.image_id: np.full((80, 90, 3), 7, dtype=np.uint8) for photo in textures}

    def rows(self, variant: str) -> list[PlanRow]:
        return [row for row in self.plan.rows if row.variant == variant]

    def render(self, row: PlanRow) -> Rendered:
        variant = self.recipe.variants[row.variant]
        return render_row(row, variant, self.rules, self.scenes.__getitem__, self.textures.__getitem__)


def test_a_blurred_ground_under_a_sharp_figure_with_one_attribute_grey() -> None:
    layers = [
        {"paint": "source", "view": "squash", "blur": {"sigma": 3, "within": "ground"}},
        {"paint": "source", "view": "squash", "matte": "mask"},
        {"paint": "fill", "fill": "grey", "view": "squash", "matte": "attribute"},
    ]
    studio = Studio(recipe({"both": {"layers": layers}}))
    for row in studio.rows("both"):
        photo, rendered = studio.photos[row.object_id], studio.render(row).image_rgb
        part = square_mask(SIZE_HW, PART)
        assert row.attribute == "part"
        assert (rendered[part] == 128).all()
        np.testing.assert_array_equal(rendered[studio.mask & ~part], photo[studio.mask & ~part])
        expected = blur_within(photo, ~studio.mask, 3.0)
        np.testing.assert_array_equal(rendered[~studio.mask], expected[~studio.mask])


def test_a_smaller_figure_elsewhere_takes_its_mask_with_it_and_leaves_the_donor_alone() -> None:
    move = {"scale": 0.5, "to": [0.25, 0.5]}
    variant = {
        "view": "squash",
        "ground": {"of": "any_class"},
        "matte": "mask",
        "figure": {"source": "self", "move": move},
    }
    studio = Studio(recipe({"moved": variant}))
    for row in studio.rows("moved"):
        rendered = studio.render(row)
        expected = move_matte(studio.mask, studio.mask, Move(scale=0.5, to=(0.25, 0.5)))
        np.testing.assert_array_equal(rendered.object_mask, expected)
        assert rendered.mask_png == encode_png1(expected)
        donor = studio.photos[row.ground_id]
        np.testing.assert_array_equal(rendered.image_rgb[~expected], donor[~expected])
        assert not rendered.attribute_masks["part"][~expected].any()
        assert rendered.attribute_masks["part"].any()


@pytest.mark.parametrize("grow_px", [3, -2])
def test_a_grown_matte_is_painted_and_the_object_mask_stays(grow_px: int) -> None:
    figure = {"fill": "white", "grow_px": grow_px}
    studio = Studio(recipe({"grown": {"view": "squash", "ground": "source", "matte": "mask", "figure": figure}}))
    row = studio.rows("grown")[0]
    rendered, grown = studio.render(row), grow_matte(studio.mask, grow_px)
    assert (rendered.image_rgb[grown] == 255).all()
    np.testing.assert_array_equal(rendered.image_rgb[~grown], studio.photos[row.object_id][~grown])
    np.testing.assert_array_equal(rendered.object_mask, studio.mask)


@pytest.mark.parametrize("region", ["figure", "ground", "photo"])
def test_a_mean_colour_is_that_of_its_region(region: str) -> None:
    variant = {"view": "squash", "ground": "source", "matte": "mask", "figure": {"fill": "mean", "mean_of": region}}
    studio = Studio(recipe({"mean": variant}))
    row = studio.rows("mean")[0]
    photo = studio.photos[row.object_id]
    where = {"figure": studio.mask, "ground": ~studio.mask, "photo": np.ones_like(studio.mask)}[region]
    assert (studio.render(row).image_rgb[studio.mask] == np.rint(photo[where].mean(axis=0))).all()


def _texture(name: str) -> PhotoRef:
    record = object_record(name, "texture")
    return PhotoRef(image_id=record.image_id, source="wallpapers", uri=f"{name}.png", sha256=record.sha256)


def test_textures_are_drawn_by_the_rows_seed_or_taken_from_a_source_and_told() -> None:
    variants = {
        "drawn": {"view": "squash", "ground": {"texture": "any"}, "matte": "mask", "figure": "source"},
        "dots": {"view": "squash", "ground": {"texture": "dots"}, "matte": "mask", "figure": "source"},
        "photos": {"view": "squash", "ground": {"texture": "photos"}, "matte": "mask", "figure": "source"},
    }
    textures = tuple(map(_texture, ("brick", "grass", "sand")))
    studio = Studio(recipe(variants, textures="wallpapers"), textures)
    for row in studio.plan.rows:
        rendered, params = studio.render(row).image_rgb, json.loads(row.params)["texture"]
        np.testing.assert_array_equal(rendered[studio.mask], studio.photos[row.object_id][studio.mask])
        if row.variant == "photos":
            assert params == {"image_id": row.texture_id, "sha256": studio.plan.textures[row.texture_id].sha256}
            expected = texture_from_photo(studio.textures[row.texture_id], row.seed, SIZE_HW)
        else:
            assert row.texture_id == ""
            expected = draw_texture(params["family"], row.seed, SIZE_HW)
        np.testing.assert_array_equal(rendered[~studio.mask], expected[~studio.mask])


def test_one_texture_less_changes_only_the_rows_that_used_it() -> None:
    variants = {"photos": {"view": "squash", "ground": {"texture": "photos"}, "matte": "mask", "figure": "source"}}
    made, textures = recipe(variants, textures="wallpapers"), [_texture(f"t{index}") for index in range(9)]
    before = {row.key: row for row in Studio(made, tuple(textures)).plan.rows}
    after = {row.key: row for row in Studio(made, tuple(textures[:-1])).plan.rows}
    gone = textures[-1].image_id
    changed = {key for key, row in before.items() if row != after[key]}
    assert changed == {key for key, row in before.items() if row.texture_id == gone}


def test_textures_that_nobody_indexed_are_asked_for() -> None:
    variants = {"photos": {"view": "squash", "ground": {"texture": "photos"}, "matte": "mask", "figure": "source"}}
    with pytest.raises(DataError, match="figureground index FOLDER -w WORKSPACE --name wallpapers"):
        Studio(recipe(variants, textures="wallpapers"))


def test_every_instance_has_a_row_and_a_window_of_its_own(tmp_path: Path) -> None:
    views = {"native": NATIVE, "each": {**NATIVE, "window": {"take": "each", "margin": 0}}}
    variants = {"original": {"view": "native", "ground": "source"}, "each": {"view": "each", "ground": "source"}}
    studio = Studio(recipe(variants, views))
    write_plan(studio.plan.rows, tmp_path / "plan.parquet")
    assert len(studio.rows("original")) == 4
    assert len(studio.rows("each")) == 8
    for row in studio.rows("each"):
        x0, y0, x1, y1 = json.loads(row.params)["figure"]["crop"]["window"]
        assert (x0, y0, x1, y1) == {0: OBJECT, 1: (50, 49, 60, 59)}[row.draw]
        np.testing.assert_array_equal(studio.render(row).image_rgb, studio.photos[row.object_id][y0:y1, x0:x1])
        np.testing.assert_array_equal(studio.render(row).object_mask, studio.mask[y0:y1, x0:x1])


def test_params_of_a_crop_lead_back_to_the_stored_photo() -> None:
    view = {"resize": "squash", "size": 40, "crop": None, "window": {"margin": 0, "take": "largest"}}
    studio = Studio(recipe({"plus": {"view": "crop", "ground": "source"}}, {"crop": view}))
    row = studio.rows("plus")[0]
    params = json.loads(row.params)["figure"]
    assert params["affine"] == [2.0, -40.0, 2.0, -32.0]
    assert (params["box"], params["size"]) == (list(OBJECT), list(SIZE_HW))
    assert params["crop"] == {
        "window": list(OBJECT),
        "content": list(OBJECT),
        "pad_share": 0.0,
        "instances": 2,
        "instance_areas": [400, 80],
        "dropped_areas": [],
        "box_share": round(400 / 4096, 6),
    }
    assert {"low_res", "several_instances", "amputated_by_eval"} <= set(params["flags"])


@pytest.mark.parametrize(
    ("variant", "views", "message"),
    [
        pytest.param(
            {"view": "native", "ground": {"of": "any_class"}, "matte": "mask", "figure": "source"},
            {"native": NATIVE},
            "variants.mine with a donor or several views only on canvases of one side",
            id="donor on native canvas",
        ),
        pytest.param(
            {"layers": [{"paint": "source", "view": "a"}, {"paint": "source", "view": "b", "matte": "mask"}]},
            {"a": SQUASH, "b": {**SQUASH, "size": 32}},
            "only on canvases of one side",
            id="two sizes in one row",
        ),
        pytest.param(
            {"layers": [{"paint": "source", "view": "squash", "move": {"scale": 0.5}}]},
            None,
            "a bottom layer that stays where it is",
            id="bottom layer moves",
        ),
        pytest.param(
            {"view": "squash", "ground": {"texture": "photos"}}, None, "name of an indexed source", id="no textures"
        ),
        pytest.param(
            {"view": "squash", "ground": {"texture": "marble"}}, None, "'noise' or 'stripes'", id="unknown family"
        ),
        pytest.param(
            {"view": "each", "ground": "source", "matte": "attribute", "figure": {"fill": "grey"}},
            {"each": {**NATIVE, "window": {"take": "each"}}},
            "nothing that makes rows",
            id="attributes of instances",
        ),
        pytest.param(
            {"view": "squash", "ground": "source"},
            {"squash": {**SQUASH, "window": {"margin": "survive", "shape": "tight"}}},
            "a square window where the margin is to survive",
            id="tight window that survives",
        ),
    ],
)
def test_recipes_that_cannot_be_drawn_are_refused(
    variant: dict[str, Any], views: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe({"mine": variant}, views)
