"""Facts of masks and boxes read off their runs are those of their pixels."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import masks, square_mask

from figureground.build.geometry.tiles import box_matte
from figureground.build.geometry.views import resize_matte, view_geometry, view_matte, whole_frame
from figureground.build.planning.mask_facts import MaskFacts, bound_box, canvas_px, reach
from figureground.errors import DataError
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, encode_coco_rle, tight_box
from figureground.schemas.recipe_views import View

views = st.builds(
    lambda resize, crop, matte: View(resize=resize, size=32, crop=crop, matte=matte),
    st.sampled_from(["short_side", "squash"]),
    st.sampled_from([None, 7, 28]),
    st.sampled_from(["nearest", "area", "bilinear", "box_filter"]),
)


def facts_of(mask: Mask) -> MaskFacts:
    return MaskFacts(encode_coco_rle(mask), size_hw=(mask.shape[0], mask.shape[1]), record="x")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(masks(), views)
def test_facts_are_those_of_the_pixels(mask: Mask, view: View) -> None:
    facts = facts_of(mask)
    assert facts.area_px == mask.sum()
    assert facts.full == mask.all()
    assert facts.tight_box == tight_box(mask)
    on_canvas = view_matte(mask, view)
    assert facts.is_on(view) == on_canvas.any()
    assert facts.fills(view) == on_canvas.all()


@settings(max_examples=300, deadline=None)
@given(st.tuples(st.integers(2, 60), st.integers(2, 60)), st.data(), views, st.booleans())
def test_a_box_has_as_many_pixels_as_its_bounds_say(
    size_hw: tuple[int, int], data: st.DataObject, view: View, cropped: bool
) -> None:
    x0, x1 = sorted(data.draw(st.tuples(st.integers(0, size_hw[1]), st.integers(0, size_hw[1]))))
    y0, y1 = sorted(data.draw(st.tuples(st.integers(0, size_hw[0]), st.integers(0, size_hw[0]))))
    matte = box_matte((x0, y0, x1, y1), size_hw)
    count = (view_matte if cropped else resize_matte)(matte, view).sum()
    bounds = bound_box((x0, y0, x1, y1), size_hw, view, cropped=cropped)
    assert bounds.least <= count <= bounds.most


sizes_hw = st.tuples(st.integers(1, 60), st.integers(1, 60))


@st.composite
def scaled_views(draw: st.DrawFn) -> View:
    """Views that shrink and enlarge up to some tenfold, whole or cropped, with every matte."""
    size = draw(st.integers(1, 64))
    crop = draw(st.none() | st.integers(1, size))
    resize: Literal["short_side", "squash"] = draw(st.sampled_from(["short_side", "squash"]))
    matte: Literal["nearest", "area", "bilinear", "box_filter"] = draw(
        st.sampled_from(["nearest", "area", "bilinear", "box_filter"])
    )
    return View(resize=resize, size=size, crop=crop, matte=matte)


@st.composite
def blobs(draw: st.DrawFn) -> Mask:
    """A rectangle, large enough to be seen on most canvases, with a few pixels turned."""
    height, width = draw(sizes_hw)
    rows = sorted(draw(st.tuples(st.integers(0, height), st.integers(0, height))))
    columns = sorted(draw(st.tuples(st.integers(0, width), st.integers(0, width))))
    mask = square_mask((height, width), (columns[0], rows[0], columns[1], rows[1]))
    for _ in range(draw(st.integers(0, 3))):
        row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        mask[row, column] = not mask[row, column]
    return mask


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(sizes_hw, scaled_views(), st.data())
def test_a_canvas_pixel_sees_no_farther_than_its_reach(
    size_hw: tuple[int, int], view: View, data: st.DataObject
) -> None:
    """Of one stored pixel, every canvas pixel that shows any of it lies within reach, along both axes."""
    row, column = data.draw(st.integers(0, size_hw[0] - 1)), data.draw(st.integers(0, size_hw[1] - 1))
    pixel = square_mask(size_hw, (column, row, column + 1, row + 1))
    geometry = view_geometry(view, whole_frame(size_hw))
    sx, tx, sy, ty = geometry.affine()
    ys, xs = np.nonzero(view_matte(pixel, view))
    for centres, scale, offset, stored in ((xs + 0.5, sx, tx, column), (ys + 0.5, sy, ty, row)):
        assert (centres >= scale * stored + offset - reach(scale)).all()
        assert (centres <= scale * (stored + 1) + offset + reach(scale)).all()


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(masks() | blobs(), scaled_views())
def test_what_is_surely_so_is_so_on_the_canvas(mask: Mask, view: View) -> None:
    facts, on_canvas = facts_of(mask), view_matte(mask, view)
    assert on_canvas.any() or not facts.surely_on(view)
    assert not on_canvas.all() or not facts.surely_beside(view)


@pytest.mark.parametrize("matte", ["nearest", "area", "bilinear"])
@pytest.mark.parametrize("size", [32, 64])
def test_the_bounds_spare_most_drawing(size: int, matte: Literal["nearest", "area", "bilinear"]) -> None:
    """They would prove nothing if they were never sure."""
    view = View(size=size, crop=size * 7 // 8, matte=matte)
    sure = np.zeros(2)
    for left, top in product(range(0, 50, 5), repeat=2):
        facts = facts_of(square_mask((60, 80), (left, top, left + 24, top + 20)))
        sure += facts.surely_on(view), facts.surely_beside(view)
    assert sure.min() >= 50, sure  # of 100


@settings(max_examples=300, deadline=None)
@given(masks() | blobs(), st.data())
def test_a_mask_holds_the_boxes_that_are_all_figure(mask: Mask, data: st.DataObject) -> None:
    height, width = mask.shape
    x0, y0 = data.draw(st.integers(-2, width)), data.draw(st.integers(-2, height))
    x1, y1 = x0 + data.draw(st.integers(1, 6)), y0 + data.draw(st.integers(1, 6))
    inside = x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height
    if mask.any():
        assert facts_of(mask).holds((x0, y0, x1, y1)) == (inside and bool(mask[y0:y1, x0:x1].all()))


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(sizes_hw, scaled_views(), st.booleans(), st.data())
def test_bounds_of_boxes_hold_at_every_scale(
    size_hw: tuple[int, int], view: View, cropped: bool, data: st.DataObject
) -> None:
    x0, x1 = sorted(data.draw(st.tuples(st.integers(0, size_hw[1]), st.integers(0, size_hw[1]))))
    y0, y1 = sorted(data.draw(st.tuples(st.integers(0, size_hw[0]), st.integers(0, size_hw[0]))))
    drawn = (view_matte if cropped else resize_matte)(box_matte((x0, y0, x1, y1), size_hw), view)
    bounds = bound_box((x0, y0, x1, y1), size_hw, view, cropped=cropped)
    assert 0 <= bounds.least <= drawn.sum() <= bounds.most <= drawn.size
    assert not cropped or canvas_px(size_hw, view) == drawn.size


def test_a_usual_mask_is_judged_without_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(square_mask((375, 500), (150, 100, 350, 300)))
    monkeypatch.delattr(MaskFacts, "pixels")
    assert facts.is_on(View())
    assert not facts.fills(View())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"size_hw": (9, 9)}, id="another size"),
        pytest.param({"counts": ""}, id="nothing"),
        pytest.param({"counts": "2"}, id="cut off"),
        pytest.param({"counts": "ö"}, id="no RLE text"),
        pytest.param({"counts": "oooooooooo1"}, id="an endless number"),
        pytest.param({"counts": "Z"}, id="a negative run"),
    ],
)
def test_damage_is_told_as_by_the_codec(changes: dict[str, object]) -> None:
    rle: CocoRle = replace(encode_coco_rle(square_mask((10, 12), (2, 2, 6, 6))), **changes)  # type: ignore[arg-type]
    with pytest.raises(DataError) as by_codec:
        decode_coco_rle(rle, size_hw=(10, 12), record="x")
    with pytest.raises(DataError) as by_facts:
        MaskFacts(rle, size_hw=(10, 12), record="x")
    assert str(by_facts.value) == str(by_codec.value)
