"""Rendering: the formulas of the variant table on real arrays, and ImageNet-9's released order as an oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from strategies import object_record, square_mask

from figureground.build.geometry.views import Canvas, view_matte, view_photo
from figureground.build.painting.render import Rendered, render_row
from figureground.build.painting.scenes import CanvasKey, Scene, make_scene
from figureground.build.planning.plan import Plan, make_plan
from figureground.build.recipes.loading import load_recipe
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import decode_coco_rle, encode_png1
from figureground.schemas.recipes import Balance, Recipe, RuleName
from figureground.schemas.records import PlanRow

RECIPE = load_recipe("imagenet9").model_copy(update={"balance": Balance(per_class="all")})
CLASSES = ClassMap.model_validate(
    {"name": "toy", "classes": [{"index": 0, "name": "a", "wnids": ["a"]}, {"index": 1, "name": "b", "wnids": ["b"]}]}
)


def _photo(seed: int, size_hw: tuple[int, int]) -> Canvas:
    return np.random.default_rng(seed).integers(1, 256, (*size_hw, 3), dtype=np.uint8)


class Studio:
    """Four noise photos, two a class, planned and ready to be rendered; each has black pixels on its figure."""

    def __init__(self, rules: RuleName, recipe: Recipe = RECIPE) -> None:
        self.recipe, self.rule_set = recipe, recipe.rules[rules]
        self.photos: dict[str, Canvas] = {}
        records = []
        for number, (label, size_hw) in enumerate(
            [("a", (300, 400)), ("a", (400, 300)), ("b", (256, 256)), ("b", (500, 375))]
        ):
            mask = square_mask(size_hw, (90, 80, 190, 200)) & ~square_mask(size_hw, (120, 100, 140, 130))
            box = (80, 80, 190, 210)
            record = object_record(f"{number}", label, mask=mask, boxes=[box])
            photo = _photo(number, size_hw)
            photo[150:170, 150:170] = 0  # true black on the figure
            self.photos[record.object_id] = photo
            records.append(record)
        self.plan: Plan = make_plan(records, recipe, CLASSES, rules=rules)
        self.scenes: dict[str, Scene] = {
            name: make_scene(candidate, self.photos[name], self.rule_set, recipe)
            for name, candidate in self.plan.objects.items()
        }

    def rows(self, variant: str) -> list[PlanRow]:
        return [row for row in self.plan.rows if row.variant == variant]

    def render(self, row: PlanRow) -> Rendered:
        return render_row(row, self.recipe.variants[row.variant], self.rule_set, self.scenes.__getitem__)

    def viewed(self, name: str) -> tuple[Canvas, Any]:
        view = self.rule_set.views["imagenet"]
        record = self.plan.objects[name].record
        return view_photo(self.photos[name], view), view_matte(decode_coco_rle(record.mask), view)


@pytest.fixture(params=["exact", "reference"])
def studio(request: pytest.FixtureRequest) -> Studio:
    return Studio(request.param)


def test_original_is_the_photo_and_every_row_has_the_same_mask(studio: Studio) -> None:
    for row in studio.plan.rows:
        rendered = studio.render(row)
        photo, mask = studio.viewed(row.object_id)
        assert rendered.image_rgb.shape == (224, 224, 3)
        np.testing.assert_array_equal(rendered.object_mask, mask)
        assert rendered.mask_png == encode_png1(mask)
        if row.variant == "original":
            np.testing.assert_array_equal(rendered.image_rgb, photo)


def test_only_fg_is_exactly_black_outside_the_mask_and_the_photo_inside(studio: Studio) -> None:
    for row in studio.rows("only_fg"):
        image, (photo, mask) = studio.render(row).image_rgb, studio.viewed(row.object_id)
        assert not image[~mask].any()
        np.testing.assert_array_equal(image[mask], photo[mask])


def test_no_fg_is_its_complement(studio: Studio) -> None:
    for no_fg, only_fg in zip(studio.rows("no_fg"), studio.rows("only_fg"), strict=True):
        photo, _ = studio.viewed(no_fg.object_id)
        total = studio.render(no_fg).image_rgb.astype(int) + studio.render(only_fg).image_rgb
        np.testing.assert_array_equal(total, photo)


def test_mixed_rows_show_the_figure_on_the_donors_tiled_ground(studio: Studio) -> None:
    tiled = {row.object_id: studio.render(row).image_rgb for row in studio.rows("only_bg_t")}
    for variant in ("mixed_same", "mixed_rand", "mixed_next", "mixed_self"):
        for row in studio.rows(variant):
            image, (photo, mask) = studio.render(row).image_rgb, studio.viewed(row.object_id)
            ground = tiled[row.ground_id or row.object_id]
            np.testing.assert_array_equal(image[~mask], ground[~mask])
            bright = mask & photo.any(axis=2)
            np.testing.assert_array_equal(image[bright], photo[bright])


def test_black_figure_pixels_show_the_donor_in_reference_and_stay_black_in_exact() -> None:
    for rules, shows_donor in (("reference", True), ("exact", False)):
        studio = Studio(rules)  # type: ignore[arg-type]
        row = studio.rows("mixed_same")[0]
        photo, mask = studio.viewed(row.object_id)
        black = mask & ~photo.any(axis=2)
        assert black.sum() > 50
        assert studio.render(row).image_rgb[black].any() == shows_donor


def test_only_bg_t_shows_nothing_of_the_object_in_exact_rules() -> None:
    studio = Studio("exact")
    for name, candidate in studio.plan.objects.items():
        x0, y0, x1, y1 = candidate.box_xyxy_px
        marked = studio.photos[name].copy()
        marked[y0:y1, x0:x1] = 255 - marked[y0:y1, x0:x1]
        scene = make_scene(candidate, marked, studio.rule_set, studio.recipe)
        key = CanvasKey("imagenet")
        np.testing.assert_array_equal(scene[key].photos["tile"], studio.scenes[name][key].photos["tile"])


def _released(photo: Canvas, resampling: Image.Resampling = Image.Resampling.NEAREST) -> Canvas:
    """Resize the short side to 256, crop 256, then 224: the released script's order, written as it reads."""
    image = Image.fromarray(photo)
    short = min(image.size)
    image = image.resize((int(256 * image.width / short), int(256 * image.height / short)), resampling)
    for side in (256, 224):
        left, top = round((image.width - side) / 2), round((image.height - side) / 2)
        image = image.crop((left, top, left + side, top + side))
    return np.asarray(image)


def test_reference_rules_give_the_released_scripts_pixels() -> None:
    """Oracle after arXiv 2006.09994's build code: everything at native size first, black pixels as background."""
    studio = Studio("reference")
    others = {"silhouette", "no_fg_d8", "mixed_same_m4", "mixed_same_p4", "mixed_rand_m4", "mixed_rand_p4"}
    for row in (row for row in studio.plan.rows if row.variant not in others):  # the script has none of those
        native = studio.photos[row.object_id].copy()
        record = studio.plan.objects[row.object_id].record
        mask = decode_coco_rle(record.mask)[:, :, None]
        (x0, y0, x1, y1) = record.boxes_xyxy_px[0]
        expected: Canvas
        if row.variant == "only_bg_b":
            native[y0:y1, x0:x1] = 0
            expected = _released(native)
        elif row.variant == "no_fg":
            expected = _released(native * ~mask)
        elif row.variant == "only_fg":
            expected = _released(native * mask)
        elif row.variant.startswith("mixed"):
            owner = row.ground_id or row.object_id
            ground = _released(_released_tile(studio.photos[owner], studio.plan.objects[owner].record.boxes_xyxy_px[0]))
            figure = _released(native * mask)
            expected = np.where((figure == 0).all(axis=2, keepdims=True), ground, figure)
        elif row.variant == "only_bg_t":
            expected = _released(_released_tile(native, (x0, y0, x1, y1)))
        else:
            expected = _released(native)
        np.testing.assert_array_equal(studio.render(row).image_rgb, expected, err_msg=str(row.key))


def _released_tile(photo: Canvas, box: tuple[int, int, int, int]) -> Canvas:
    """Tiling with the annotation's inclusive far corner, as the released script has it (imagenet9 reference, 2.4)."""
    height, width = photo.shape[:2]
    x0, y0, x1, y1 = box[0], box[1], box[2] - 1, box[3] - 1
    left, right, top, bottom = x0, width - x1, y0, height - y1
    if max(left, right) * height > max(top, bottom) * width:
        strip = photo[:, :x0] if left > right else photo[:, x1:]
    else:
        strip = photo[:y0] if top > bottom else photo[y1:]
    times = (-(-height // strip.shape[0]), -(-width // strip.shape[1]), 1)
    tiled = np.tile(strip, times)[:height, :width]
    filled = photo.copy()
    filled[y0 : y1 + 1, x0 : x1 + 1] = tiled[y0 : y1 + 1, x0 : x1 + 1]
    return filled
