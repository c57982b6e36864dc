"""Effects of a layer: dilation by a disc, blur that stays in its region, figures that move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage  # type: ignore[import-untyped]  # ships no annotations
from strategies import masks, square_mask

from figureground.build.geometry.views import Canvas
from figureground.build.painting.effects import blur_within, grow_matte, move_canvas, move_matte
from figureground.schemas.rasters.masks import Mask, tight_box
from figureground.schemas.recipes import Move


def _noise(seed: int, size_hw: tuple[int, int]) -> Canvas:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


@given(masks(), st.integers(1, 6))
def test_dilation_and_erosion_are_those_of_a_disc(mask: Mask, radius: int) -> None:
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = rows**2 + columns**2 <= radius**2
    np.testing.assert_array_equal(grow_matte(mask, radius), ndimage.binary_dilation(mask, disc))
    np.testing.assert_array_equal(grow_matte(mask, -radius), ndimage.binary_erosion(mask, disc, border_value=1))
    assert grow_matte(mask, 0) is mask


@given(masks(), st.integers(0, 9), st.floats(0.5, 6))
def test_blur_of_a_region_does_not_know_what_lies_outside_of_it(mask: Mask, seed: int, sigma: float) -> None:
    inside = _noise(seed, (mask.shape[0], mask.shape[1]))
    other = np.where(mask[..., None], inside, 255 - inside).astype(np.uint8)
    blurred = blur_within(inside, mask, sigma)
    if mask.any():
        np.testing.assert_array_equal(blurred, blur_within(other, mask, sigma))
        low, high = inside[mask].min(axis=0), inside[mask].max(axis=0)
        assert ((blurred >= low) & (blurred <= high)).all()
    else:
        np.testing.assert_array_equal(blurred, inside)


def test_blur_of_everything_is_the_gaussian_filter_of_scipy_with_rims_normalised() -> None:
    canvas = _noise(3, (60, 80))
    filtered = [
        ndimage.gaussian_filter(channel.astype(float), 3.0, mode="constant")
        / ndimage.gaussian_filter(np.ones((60, 80)), 3.0, mode="constant")
        for channel in np.moveaxis(canvas, 2, 0)
    ]
    blurred = blur_within(canvas, np.ones((60, 80), dtype=np.bool_), 3.0)
    assert np.abs(blurred - np.stack(filtered, axis=2)).max() <= 1.0  # taps are rounded to 1/4096


def test_blur_far_from_its_region_is_the_regions_mean_colour() -> None:
    canvas = _noise(1, (100, 100))
    region = square_mask((100, 100), (0, 0, 10, 10))
    blurred = blur_within(canvas, region, 1.0)
    np.testing.assert_array_equal(blurred[80, 80], np.rint(canvas[:10, :10].reshape(-1, 3).mean(axis=0)))


def test_blur_keeps_its_bytes() -> None:
    """A golden value: recipes promise equal pixels on every machine."""
    blurred = blur_within(_noise(0, (32, 32)), square_mask((32, 32), (8, 8, 20, 28)), 2.5)
    assert blurred[[0, 10, 31], [0, 12, 31]].tolist() == GOLDEN_BLUR


GOLDEN_BLUR = [[79, 180, 73], [112, 135, 131], [123, 134, 123]]


@pytest.mark.parametrize(
    ("move", "box"),
    [
        pytest.param(Move(), (20, 30, 40, 50), id="nothing"),
        pytest.param(Move(scale=0.5), (25, 35, 35, 45), id="half as large about its middle"),
        pytest.param(Move(scale=2), (10, 20, 50, 60), id="twice as large"),
        pytest.param(Move(to=(0.5, 0.5)), (40, 40, 60, 60), id="to the middle"),
        pytest.param(Move(scale=0.5, to=(0.25, 0.75)), (20, 70, 30, 80), id="half as large, elsewhere"),
        pytest.param(Move(to=(0, 0)), (0, 0, 10, 10), id="over the rim"),
    ],
)
def test_a_figure_and_its_mask_move_together(move: Move, box: tuple[int, int, int, int]) -> None:
    mask = square_mask((100, 100), (20, 30, 40, 50))
    canvas = np.zeros((100, 100, 3), dtype=np.uint8)
    canvas[mask] = (200, 100, 50)
    moved = move_matte(mask, mask, move)
    assert tight_box(moved) == box
    inner = grow_matte(moved, -1)
    assert (move_canvas(canvas, mask, move)[inner] == (200, 100, 50)).all()


def test_moving_nothing_changes_no_pixel() -> None:
    canvas, mask = _noise(5, (50, 70)), square_mask((50, 70), (10, 10, 30, 40))
    np.testing.assert_array_equal(move_canvas(canvas, mask, Move()), canvas)
    np.testing.assert_array_equal(move_matte(mask, mask, Move()), mask)
