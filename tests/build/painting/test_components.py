"""Object ablations by component, on canvases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import masks, square_mask

from figureground.build.geometry.views import Canvas
from figureground.build.painting.components import (
    component_box_matte,
    component_boxes,
    fill_mean,
    mask_box_matte,
    random_matte,
    tile_adjacent,
)
from figureground.schemas.rasters.masks import Mask


def ramp(height: int, width: int) -> Canvas:
    """Every pixel holds its position: (row, column, 7)."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, 7)], axis=2).astype(np.uint8)


def test_components_touch_by_their_sides_only() -> None:
    mask = np.zeros((6, 8), dtype=np.bool_)
    mask[0, 0] = mask[1, 1] = True  # corner to corner: two
    mask[3:5, 3:7] = True
    assert component_boxes(mask) == [(0, 0, 1, 1), (1, 1, 2, 2), (3, 3, 7, 5)]
    assert component_box_matte(mask).sum() == 1 + 1 + 8


@given(masks())
def test_boxes_cover_the_mask(mask: Mask) -> None:
    assert not (mask & ~component_box_matte(mask)).any()
    assert not (component_box_matte(mask) & ~mask_box_matte(mask)).any()
    assert mask_box_matte(mask).any() == mask.any()


@pytest.mark.parametrize(
    ("box", "from_box"),
    [
        pytest.param((2, 4, 4, 6), (4, 4, 6, 6), id="all four fit, right comes first"),
        pytest.param((8, 4, 10, 6), (6, 4, 8, 6), id="at the right rim, left"),
        pytest.param((0, 0, 10, 3), (0, 3, 10, 6), id="whole width, below"),
        pytest.param((0, 7, 10, 10), (0, 4, 10, 7), id="whole width at the bottom, above"),
    ],
)
def test_a_box_gets_the_tile_beside_it(box: tuple[int, ...], from_box: tuple[int, ...]) -> None:
    canvas, mask = ramp(10, 10), square_mask((10, 10), (box[0], box[1], box[2], box[3]))
    x0, y0, x1, y1 = from_box
    tiled = tile_adjacent(canvas, mask)
    assert np.array_equal(tiled[mask].reshape(y1 - y0, x1 - x0, 3), canvas[y0:y1, x0:x1])
    assert np.array_equal(tiled[~mask], canvas[~mask])


def test_a_tile_ends_where_the_object_is_met_again_and_is_repeated() -> None:
    canvas, mask = ramp(4, 12), np.zeros((4, 12), dtype=np.bool_)
    mask[:, 0:5] = mask[1, 7] = True  # two free columns between the components
    tiled = tile_adjacent(canvas, mask)
    assert tiled[0, :5, 1].tolist() == [5, 6, 5, 6, 5]


def test_a_tile_from_the_left_is_repeated_from_the_right() -> None:
    canvas, mask = ramp(4, 8), square_mask((4, 8), (3, 0, 8, 4))
    assert tile_adjacent(canvas, mask)[0, 3:, 1].tolist() == [1, 2, 0, 1, 2]


def test_where_nothing_is_free_the_box_is_grey() -> None:
    canvas, full = ramp(4, 4), np.ones((4, 4), dtype=np.bool_)
    assert (tile_adjacent(canvas, full) == 128).all()


def test_the_released_reading_takes_the_transposed_place() -> None:
    # Half-open box (2, 1, 7, 5); two rows and columns are lost: (2, 1, 5, 3). Its last tile, at rows 1..5 of the
    # transposed columns, reaches across the box and is the largest.
    canvas, mask = ramp(20, 20), square_mask((20, 20), (12, 1, 17, 5))
    tiled = tile_adjacent(canvas, mask, "released")
    changed = (tiled != canvas).any(axis=2)
    assert np.argwhere(changed).min(axis=0).tolist() == [1, 12]
    assert np.argwhere(changed).max(axis=0).tolist() == [2, 14]
    assert tiled[1, 12].tolist() == [12, 1, 7]  # what stands at row 12, column 1


def test_mean_is_of_what_is_no_object_in_the_box_of_each_component() -> None:
    canvas = np.full((20, 20, 3), 10, dtype=np.uint8)
    mask = square_mask((20, 20), (2, 2, 14, 14))
    mask[2:4, 2:14] = False
    mask[3, 5] = True  # a component of one row and column more: the box is (2, 3, 14, 14)
    canvas[3, 2:14] = 50
    filled = fill_mean(canvas, mask)
    assert (filled[5, 5] == 50).all()
    assert (filled[~component_box_matte(mask)] == canvas[~component_box_matte(mask)]).all()


def test_mean_leaves_small_boxes_and_greys_full_ones() -> None:
    canvas = ramp(30, 30)
    small = square_mask((30, 30), (0, 0, 9, 11))  # 99 pixels
    assert np.array_equal(fill_mean(canvas, small), canvas)
    assert (fill_mean(canvas, square_mask((30, 30), (0, 0, 10, 10)))[:10, :10] == 128).all()


@given(masks(), st.integers(0, 2000), st.integers(0, 2**64 - 1))
def test_a_random_matte_is_as_large_as_asked_and_inside_the_object(mask: Mask, area: int, seed: int) -> None:
    matte = random_matte(mask, area, seed)
    assert matte.sum() == min(area, mask.sum())
    assert not (matte & ~mask).any()


def test_a_random_matte_is_compact_and_goes_with_its_seed() -> None:
    mask = square_mask((50, 50), (5, 5, 45, 45))
    first, second = (random_matte(mask, 100, seed) for seed in (3, 900))
    assert not np.array_equal(first, second)
    for matte in (first, second):
        rows, columns = np.nonzero(matte)
        assert np.ptp(rows) <= 19
        assert np.ptp(columns) <= 19
