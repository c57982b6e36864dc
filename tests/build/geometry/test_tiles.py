"""Strips and tiles: the released script's rule, case by case (boxes half-open)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.build.geometry.tiles import clip_box, hull, largest_strip, tile_box
from figureground.schemas.rasters.masks import Box

SIZE = (100, 200)  # height, width


@pytest.mark.parametrize(
    ("box", "side", "strip"),
    [
        pytest.param((120, 10, 180, 90), "left", (0, 0, 120, 100), id="widest margin is left"),
        pytest.param((20, 10, 80, 90), "right", (80, 0, 200, 100), id="widest margin is right"),
        pytest.param((10, 60, 190, 90), "top", (0, 0, 200, 60), id="highest margin is top"),
        pytest.param((10, 10, 190, 40), "bottom", (0, 40, 200, 100), id="highest margin is bottom"),
        pytest.param((60, 0, 140, 100), "right", (140, 0, 200, 100), id="left equals right: right"),
        pytest.param((0, 20, 200, 80), "bottom", (0, 80, 200, 100), id="top equals bottom: bottom"),
        pytest.param((40, 20, 180, 90), "bottom", None, id="equal areas: horizontal"),
        pytest.param((0, 0, 150, 100), "right", (150, 0, 200, 100), id="touches three borders"),
        pytest.param((0, 0, 199, 100), "right", (199, 0, 200, 100), id="one pixel left over"),
    ],
)
def test_the_largest_margin_wins(box: Box, side: str, strip: Box | None) -> None:
    if strip is None:  # left 40 x 100 = top 20 x 200: horizontal; top 20 > bottom 10
        largest = largest_strip(box, SIZE)
        assert largest is not None
        assert largest.side == "top"
        return
    largest = largest_strip(box, SIZE)
    assert largest is not None
    assert (largest.side, largest.box_xyxy_px) == (side, strip)


def test_no_margin_no_strip() -> None:
    assert largest_strip((0, 0, 200, 100), SIZE) is None


def test_reference_strips_begin_on_the_boxs_last_column_and_row() -> None:
    right = largest_strip((20, 10, 80, 90), SIZE, overlap_px=1)
    bottom = largest_strip((10, 10, 190, 40), SIZE, overlap_px=1)
    left = largest_strip((120, 10, 180, 90), SIZE, overlap_px=1)
    assert right is not None
    assert bottom is not None
    assert left is not None
    assert right.box_xyxy_px == (79, 0, 200, 100)
    assert bottom.box_xyxy_px == (0, 39, 200, 100)
    assert left.box_xyxy_px == (0, 0, 120, 100)
    # The released script finds a margin of one object column where the box touches the border.
    touching = largest_strip((0, 0, 200, 100), SIZE, overlap_px=1)
    assert touching is not None
    assert touching.box_xyxy_px == (0, 99, 200, 100)


def test_tiles_are_anchored_at_the_photos_origin() -> None:
    photo = np.arange(5 * 10 * 3, dtype=np.uint8).reshape(5, 10, 3)
    box = (3, 1, 9, 4)
    strip = largest_strip(box, (5, 10))
    assert strip is not None
    assert strip.side == "left"
    tiled = tile_box(photo, box, strip)
    grid = np.tile(photo[:, :3], (1, 4, 1))[:5, :10]  # the strip repeated from (0, 0), clipped
    np.testing.assert_array_equal(tiled[1:4, 3:9], grid[1:4, 3:9])
    outside = np.ones((5, 10), dtype=np.bool_)
    outside[1:4, 3:9] = False
    np.testing.assert_array_equal(tiled[outside], photo[outside])


@given(st.integers(2, 30), st.integers(2, 30), st.data())
def test_exact_tiles_hold_no_pixel_of_the_box(height: int, width: int, data: st.DataObject) -> None:
    x0, x1 = sorted(data.draw(st.lists(st.integers(0, width), min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(data.draw(st.lists(st.integers(0, height), min_size=2, max_size=2, unique=True)))
    photo = np.zeros((height, width, 3), dtype=np.uint8)
    photo[y0:y1, x0:x1] = 255  # the object fills its box
    strip = largest_strip((x0, y0, x1, y1), (height, width))
    if strip is None:
        assert (x0, y0, x1, y1) == (0, 0, width, height)
    else:
        assert not tile_box(photo, (x0, y0, x1, y1), strip).any()


def test_boxes_partly_outside_are_clipped() -> None:
    assert clip_box((-5, 10, 250, 120), SIZE) == (0, 10, 200, 100)
    assert hull([(1, 2, 3, 4), (0, 3, 2, 9)]) == (0, 2, 3, 9)


@given(st.tuples(*[st.integers(0, 60)] * 4), st.integers(0, 99))
def test_a_tiled_box_repeats_the_strip_from_the_origin_and_leaves_the_rest(corners: Box, seed: int) -> None:
    photo = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    box = clip_box((min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])), (40, 60))
    strip = largest_strip(box, (40, 60))
    if strip is None:
        return
    x0, y0, x1, y1 = strip.box_xyxy_px
    tiled = tile_box(photo, box, strip)
    for row, column in np.ndindex(40, 60):
        inside = box[0] <= column < box[2] and box[1] <= row < box[3]
        position = (y0 + row % (y1 - y0), x0 + column % (x1 - x0)) if inside else (row, column)
        assert (tiled[row, column] == photo[position]).all()
