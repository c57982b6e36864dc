"""Windows: what a crop around an object may never lose, and where its controls lie."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage  # type: ignore[import-untyped]  # ships no annotations
from strategies import masks, object_record, square_mask

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.geometry.views import Frame, view_geometry, view_matte, view_photo, whole_frame
from figureground.build.geometry.windows import STANDARD_EVAL, Crop, NoWindow, frame_around, place_window
from figureground.build.planning.selection import Refusal, select_objects
from figureground.build.recipes.loading import load_recipe
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import Box, Mask, encode_coco_rle, tight_box
from figureground.schemas.recipe_views import View, Window
from figureground.schemas.recipes import Recipe

CLASSES = ClassMap.model_validate({"name": "toy", "classes": [{"index": 0, "name": "a", "wnids": ["a"]}]})


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any policy around the object."""
    shape = draw(st.sampled_from(["square", "tight", "letterbox"]))
    margins: list[st.SearchStrategy[float | str]] = [st.floats(0, 2)]
    return Window.model_validate(
        {
            "shape": shape,
            "margin": draw(st.one_of(*margins, *([st.just("survive")] if shape == "square" else []))),
            "margin_of": draw(st.sampled_from(["longest_side", "diagonal", "pixel"])),
            "outside": draw(st.sampled_from(["shift", "clip", "pad"])),
            "pad": draw(st.sampled_from(["edge", "mean", "black", "grey"])),
            "take": draw(st.sampled_from(["union", "largest", "each"])),
            "instances": draw(st.sampled_from(["recorded", "components"])),
            "least_component_px": draw(st.sampled_from([0, 4, 64])),
        }
    )


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Box, tuple[int, int]]:
    """A box inside a photo, and the photo's height and width: tiny ones, huge ones, and ones at every border."""
    height, width = draw(st.integers(1, 600)), draw(st.integers(1, 600))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))), (height, width)


def _holds(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


@given(masks(), windows())
def test_no_window_excludes_a_pixel_of_what_it_was_placed_by(mask: Mask, window: Window) -> None:
    assume(mask.any())
    labels, count = cast("tuple[Any, int]", ndimage.label(mask, structure=np.ones((3, 3))))
    components = [labels == label for label in range(1, count + 1)]
    for crop in place_window(window, mask, [], seed=1):
        assert _holds(crop.frame.content_xyxy_px, crop.box_xyxy_px)
        assert _holds(crop.frame.frame_xyxy_px, crop.frame.content_xyxy_px)
        assert 0 <= crop.frame.pad_share < 1
        outside = [component for component in components if not _holds(crop.box_xyxy_px, _tight(component))]
        if window.take == "union" and "far_apart" not in crop.flags:
            assert sum(component.sum() for component in outside) <= sum(crop.dropped_areas_px)
            assert all(component.sum() < max(window.least_component_px, 1) for component in outside)


def _tight(mask: Mask) -> Box:
    box = tight_box(mask)
    assert box is not None
    return box


@given(boxes(), st.floats(1, 3), st.booleans())
def test_a_padded_square_of_eight_sevenths_and_two_pixels_survives_the_centre_crop(
    placed: tuple[Box, tuple[int, int]], factor: float, exact: bool
) -> None:
    box, size_hw = placed
    longest = max(box[2] - box[0], box[3] - box[1])
    least = 8 / 7 * longest + 2
    margin = "survive" if exact else (factor * least - longest) / 2 / longest
    frame = frame_around(Window.model_validate({"margin": margin, "outside": "pad"}), box, size_hw)
    assert frame.size_hw[0] == frame.size_hw[1] >= least
    assert view_geometry(STANDARD_EVAL, frame).keeps(box)


@settings(max_examples=300)
@given(boxes())
def test_no_row_of_plus_is_amputated_by_the_evaluation_crop(placed: tuple[Box, tuple[int, int]]) -> None:
    box, size_hw = placed
    views = load_recipe("imagenet_a_plus").rules["exact"].views
    crops = {name: _placed(views[name], square_mask(size_hw, box)) for name in ("crop", "center", "random")}
    assert "amputated_by_eval" not in crops["crop"].flags
    assert {crop.frame.size_hw for crop in crops.values()} == {crops["crop"].frame.size_hw}


def test_the_window_of_plus_in_version_1_is_amputated_at_the_rim() -> None:
    """Otherwise the test above would prove nothing."""
    view = load_recipe("imagenet_a_plus").rules["exact"].views["crop_m10"]
    assert "amputated_by_eval" in _placed(view, square_mask((300, 400), (0, 100, 100, 200))).flags


def _placed(view: View, mask: Mask) -> Crop:
    assert view.window is not None
    (crop,) = place_window(view.window, mask, [], seed=1)
    return crop


@given(boxes(), st.floats(0, 1))
def test_rows_that_the_centre_crop_amputates_are_flagged_and_no_others(
    placed: tuple[Box, tuple[int, int]], margin: float
) -> None:
    box, size_hw = placed
    (crop,) = place_window(Window(margin=margin), square_mask(size_hw, box), [], seed=0)
    on_window = np.zeros(crop.frame.size_hw, dtype=np.bool_)
    left, top = crop.frame.frame_xyxy_px[:2]
    on_window[box[1] - top : box[3] - top, box[0] - left : box[2] - left] = True
    geometry = view_geometry(STANDARD_EVAL, whole_frame(crop.frame.size_hw))
    x0, y0, x1, y1 = geometry.crop_xyxy_px
    scale_y, scale_x = (new / old for new, old in zip(geometry.resized_hw, crop.frame.size_hw, strict=True))
    rows, columns = np.nonzero(on_window)
    survives = (
        columns.min() * scale_x >= x0
        and rows.min() * scale_y >= y0
        and (columns.max() + 1) * scale_x <= x1
        and (rows.max() + 1) * scale_y <= y1
    )
    assert ("amputated_by_eval" in crop.flags) == (not survives)


@pytest.mark.parametrize("outside", ["shift", "clip", "pad"])
def test_a_mask_that_fills_the_photo_gives_the_photo_itself_for_tight(outside: str) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    mask = np.ones((37, 53), dtype=np.bool_)
    window = Window.model_validate({"shape": "tight", "margin": 0, "outside": outside})
    (crop,) = place_window(window, mask, [], seed=0)
    view = View(window=window, resize="none", crop=None)
    np.testing.assert_array_equal(view_photo(photo, view, crop.frame), photo)
    assert view_matte(mask, view, crop.frame).all()
    assert set(crop.flags) == {"no_context", "low_res", "truncated_by_center_crop", "amputated_by_eval"}


SIZE_HW = (100, 200)


@pytest.mark.parametrize(
    ("box", "outside", "frame"),
    [
        pytest.param((90, 40, 110, 50), "shift", (88, 33, 112, 57), id="inside"),
        pytest.param((0, 40, 20, 50), "shift", (0, 33, 24, 57), id="left border, shifted"),
        pytest.param((180, 40, 200, 50), "shift", (176, 33, 200, 57), id="right border, shifted"),
        pytest.param((90, 0, 110, 20), "shift", (88, 0, 112, 24), id="top border, shifted"),
        pytest.param((90, 80, 110, 100), "shift", (88, 76, 112, 100), id="bottom border, shifted"),
        pytest.param((0, 40, 20, 50), "pad", (-2, 33, 22, 57), id="left border, padded"),
        pytest.param((0, 40, 20, 50), "clip", (0, 33, 22, 57), id="left border, clipped"),
        pytest.param((50, 45, 51, 46), "shift", (49, 44, 51, 46), id="one pixel"),
        pytest.param((20, 0, 180, 100), "shift", (4, -46, 196, 146), id="higher than the photo: padded on both sides"),
        pytest.param((20, 0, 180, 100), "clip", (4, 0, 196, 100), id="higher than the photo: clipped"),
    ],
)
def test_frames_at_every_border(box: Box, outside: str, frame: Box) -> None:
    window = Window.model_validate({"margin": 0.1, "outside": outside})
    assert frame_around(window, box, SIZE_HW).frame_xyxy_px == frame


def test_letterbox_keeps_the_shape_and_pads_to_a_square() -> None:
    frame = frame_around(Window(margin=0, shape="letterbox"), (50, 20, 150, 60), SIZE_HW)
    assert frame.content_xyxy_px == (50, 20, 150, 60)
    assert frame.frame_xyxy_px == (50, -10, 150, 90)
    assert frame.pad_share == pytest.approx(0.6)


@pytest.mark.parametrize(("unit", "side"), [("longest_side", 60), ("diagonal", 70), ("pixel", 51)])
def test_units_of_a_margin(unit: str, side: int) -> None:
    window = Window.model_validate({"margin": 0.2 if unit != "pixel" else 5.5, "margin_of": unit})
    if unit == "longest_side":
        window = Window(margin=0.25)
    frame = frame_around(window, (80, 30, 120, 60), SIZE_HW)
    expected = {"longest_side": 60, "diagonal": 60, "pixel": 51}[unit]
    assert frame.size_hw == (expected, expected), side


@pytest.mark.parametrize(
    ("pad", "colour"), [("black", (0, 0, 0)), ("grey", (128, 128, 128)), ("mean", (60, 60, 60)), ("edge", (20, 20, 20))]
)
def test_padding_is_what_was_asked_for_and_no_part_of_the_mask(pad: str, colour: tuple[int, int, int]) -> None:
    photo = np.full((10, 10, 3), 20, dtype=np.uint8)
    photo[:, 5:] = 100
    frame = Frame(frame_xyxy_px=(-4, 0, 10, 10), content_xyxy_px=(0, 0, 10, 10), pad=pad)  # type: ignore[arg-type]
    view = View(resize="none", crop=None)
    shown = view_photo(photo, view, frame)
    assert (shown[:, :4] == colour).all()
    np.testing.assert_array_equal(shown[:, 4:], photo)
    matte = view_matte(np.ones((10, 10), dtype=np.bool_), view, frame)
    assert not matte[:, :4].any()
    assert matte[:, 4:].all()


def test_a_view_may_resize_what_its_window_took_and_the_affine_leads_there() -> None:
    view = View(window=Window(), resize="short_side", size=256, crop=224)
    frame = Frame(frame_xyxy_px=(100, 50, 228, 178), content_xyxy_px=(100, 50, 228, 178))
    geometry = view_geometry(view, frame)
    assert geometry.affine() == (2.0, -216.0, 2.0, -116.0)
    assert geometry.box_on_canvas((116, 66, 212, 162)) == (16.0, 16.0, 208.0, 208.0)


def _two_squares(first: Box, second: Box) -> Mask:
    return square_mask(SIZE_HW, first) | square_mask(SIZE_HW, second)


FAR, NEAR = ((0, 0, 20, 20), (170, 80, 200, 100)), ((0, 0, 20, 20), (40, 0, 60, 30))


def test_far_instances_give_way_to_the_largest_and_say_so() -> None:
    window = Window(margin=0)
    (far,) = place_window(window, _two_squares(*FAR), [], seed=0)
    assert far.box_xyxy_px == FAR[1]
    assert {"far_apart", "several_instances"} <= set(far.flags)
    assert far.instance_areas_px == (600, 400)
    (near,) = place_window(window, _two_squares(*NEAR), [], seed=0)
    assert near.box_xyxy_px == (0, 0, 60, 30)
    assert "far_apart" not in near.flags


def test_instances_that_annotators_told_apart_count_and_components_do_not() -> None:
    mask = _two_squares(*NEAR)
    recorded = [square_mask(SIZE_HW, box) for box in NEAR]
    recorded_window = Window(instances="recorded", margin=0)
    (one,) = place_window(recorded_window, mask, [], seed=0)
    (two,) = place_window(recorded_window, mask, recorded, seed=0)
    (components,) = place_window(Window(), mask, [], seed=0)
    assert (one.instances, two.instances, components.instances) == (1, 2, 2)
    (largest,) = place_window(recorded_window.model_copy(update={"take": "largest"}), mask, recorded, seed=0)
    assert largest.box_xyxy_px == NEAR[1]
    crops = place_window(recorded_window.model_copy(update={"take": "each"}), mask, recorded, seed=0)
    assert [crop.box_xyxy_px for crop in crops] == [NEAR[1], NEAR[0]]
    with pytest.raises(NoWindow, match="several_instances"):
        place_window(Window(take="single"), mask, [], seed=0)


def test_specks_are_dropped_and_listed_but_a_speck_alone_is_the_object() -> None:
    mask = square_mask((200, 200), (50, 50, 150, 150))
    mask[0, 0] = mask[199, 190:] = True
    (crop,) = place_window(Window(margin=0), mask, [], seed=0)
    assert crop.box_xyxy_px == (50, 50, 150, 150)
    assert crop.dropped_areas_px == (10, 1)
    (alone,) = place_window(Window(margin=0), square_mask((200, 200), (3, 4, 5, 6)), [], seed=0)
    assert alone.box_xyxy_px == (3, 4, 5, 6)
    assert "low_res" in alone.flags


@given(boxes(), st.integers(0, 2**64 - 1))
def test_controls_are_as_large_as_the_window_and_inside_the_photo_where_it_fits(
    placed: tuple[Box, tuple[int, int]], seed: int
) -> None:
    box, size_hw = placed
    mask = square_mask(size_hw, box)
    sizes = {}
    for around in ("object", "center", "random"):
        (crop,) = place_window(Window.model_validate({"around": around}), mask, [], seed)
        sizes[around] = crop.frame.size_hw
        height, width = crop.frame.size_hw
        x0, y0, x1, y1 = crop.frame.frame_xyxy_px
        if height <= size_hw[0] and width <= size_hw[1]:
            assert _holds((0, 0, size_hw[1], size_hw[0]), crop.frame.frame_xyxy_px)
        if around == "center":
            assert abs((x0 + x1) - size_hw[1]) <= 1
            assert abs((y0 + y1) - size_hw[0]) <= 1
        if around == "random":
            room_x = max(box[0], size_hw[1] - box[2]) >= width
            room_y = max(box[1], size_hw[0] - box[3]) >= height
            meets = x0 < box[2] and box[0] < x1 and y0 < box[3] and box[1] < y1
            assert meets == ("overlaps_object" in crop.flags)
            assert meets == (not (room_x or room_y))
    assert len(set(sizes.values())) == 1


def test_a_random_window_is_drawn_evenly_among_those_clear_of_the_object() -> None:
    box, size_hw = (4, 4, 6, 6), (10, 10)
    window = Window(around="random", margin=0.5)
    drawn = {
        place_window(window, square_mask(size_hw, box), [], seed)[0].frame.frame_xyxy_px[:2] for seed in range(500)
    }
    side = 4
    clear = {(x, y) for x in range(7) for y in range(7) if x + side <= 4 or x >= 6 or y + side <= 4 or y >= 6}
    assert drawn == clear


def _recipe(window: dict[str, object], **filters: object) -> Recipe:
    view = {"resize": "none", "crop": None, "window": window}
    return Recipe.model_validate(
        {
            "name": "crops",
            "version": "1",
            "seed": 1,
            "class_map": "imagenet9",
            "rules": {"exact": {"views": {"crop": view}, "filters": filters}},
            "variants": {"plus": {"view": "crop", "ground": "source"}},
        }
    )


def test_a_photo_that_a_window_refuses_leaves_the_recipe_with_the_reason() -> None:
    halves = [square_mask((100, 120), box) for box in ((0, 0, 20, 20), (60, 0, 90, 30))]
    record = object_record("two", "a", mask=halves[0] | halves[1], instances=tuple(map(encode_coco_rle, halves)))
    for take, expected in (("single", "several_instances"), ("union", None)):
        recipe = _recipe({"take": take})
        taken, refused = select_objects([record], recipe, recipe.rules["exact"], CLASSES)
        assert [refusal.reason for refusal in refused] == ([expected] if expected else [])
        assert len(taken) == (0 if expected else 1)


def test_full_masks_are_kept_where_the_filter_allows_them() -> None:
    record = object_record("full", "a", mask=np.ones((100, 120), dtype=np.bool_))
    results: dict[bool, list[MeasuredObject] | list[Refusal]] = {}
    for allowed in (True, False):
        recipe = _recipe({}, full_mask=not allowed)
        taken, refused = select_objects([record], recipe, recipe.rules["exact"], CLASSES)
        results[allowed] = taken if allowed else refused
    (candidate,), (refusal,) = results[True], results[False]
    assert isinstance(candidate, MeasuredObject)
    assert "no_context" in candidate.crops["crop"][0].flags
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "mask_full"


def test_box_of_a_window_is_the_tight_box_of_the_mask() -> None:
    mask = square_mask((60, 60), (10, 20, 30, 31))
    (crop,) = place_window(Window(), mask, [], seed=0)
    assert crop.box_xyxy_px == tight_box(mask)
    assert crop.box_share == pytest.approx(20 * 11 / 3600)
