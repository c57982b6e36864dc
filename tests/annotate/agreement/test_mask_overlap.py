"""IoU, Dice and boundary IoU: counted by hand, held against the words of their definitions, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import masks, square_mask

from figureground.annotate.agreement.mask_overlap import MaskOverlap, boundary_width_px, compare_masks, mask_boundary
from figureground.schemas.rasters.masks import Mask

SAME = MaskOverlap(iou=1.0, dice=1.0, boundary_iou=1.0)


def test_two_squares_are_counted_by_hand() -> None:
    # 10x10 and the same moved by 2 columns, on a photo whose diagonal of 50 px makes a boundary of 1 px.
    first, second = square_mask((30, 40), (10, 10, 20, 20)), square_mask((30, 40), (12, 10, 22, 20))
    measured = compare_masks(first, second)
    assert measured.iou == 80 / 120
    assert measured.dice == 160 / 200
    # Rims of 36 px each; they share two rows of 8 px, and no column: 10 and 19 against 12 and 21.
    assert measured.boundary_iou == 16 / (36 + 36 - 16)


def test_a_hole_counts_little_of_the_area_and_much_of_the_boundary() -> None:
    whole = square_mask((300, 400), (100, 50, 300, 250))
    holed = whole & ~square_mask((300, 400), (195, 145, 205, 155))
    measured = compare_masks(whole, holed)
    assert measured.iou == 39900 / 40000
    rim, ring = 200 * 200 - 180 * 180, 30 * 30 - 10 * 10  # a diagonal of 500 px makes 10 px
    assert measured.boundary_iou == rim / (rim + ring)


@pytest.mark.parametrize(("size_hw", "width_px"), [((30, 40), 1), ((300, 400), 10), ((3000, 4000), 100), ((2, 2), 1)])
def test_a_boundary_is_as_wide_as_the_diagonal_asks(size_hw: tuple[int, int], width_px: int) -> None:
    assert boundary_width_px(size_hw) == width_px


def test_the_border_of_the_photo_is_a_boundary() -> None:
    assert mask_boundary(np.ones((5, 6), np.bool_), 1).sum() == 30 - 12


@given(mask=masks(), width_px=st.integers(1, 5))
def test_a_boundary_is_what_lies_near_the_outside(mask: Mask, width_px: int) -> None:
    outside = np.pad(~mask, width_px, constant_values=True)
    height, width = mask.shape
    near = np.zeros_like(mask)
    for row in range(2 * width_px + 1):
        for column in range(2 * width_px + 1):
            near |= outside[row : row + height, column : column + width]
    np.testing.assert_array_equal(mask_boundary(mask, width_px), mask & near)


@given(mask=masks())
def test_a_mask_agrees_with_itself(mask: Mask) -> None:
    assert compare_masks(mask, mask) == SAME


@given(data=st.data(), first=masks())
def test_the_measures_are_symmetric_shares_and_dice_follows_from_iou(data: st.DataObject, first: Mask) -> None:
    second = data.draw(hnp.arrays(np.bool_, first.shape))
    measured = compare_masks(first, second)
    assert measured == compare_masks(second, first)
    assert all(0 <= share <= 1 for share in (measured.iou, measured.dice, measured.boundary_iou))
    assert measured.dice == pytest.approx(2 * measured.iou / (1 + measured.iou))
    assert (measured.iou == 1) == bool((first == second).all())


@given(data=st.data(), first=masks())
def test_ground_around_both_changes_nothing_but_the_width(data: st.DataObject, first: Mask) -> None:
    """What is computed in the box of both is what is computed of the whole photo."""
    second = data.draw(hnp.arrays(np.bool_, first.shape))
    assume(first.any() or second.any())
    width_px = boundary_width_px((first.shape[0], first.shape[1]))
    rims = mask_boundary(first, width_px), mask_boundary(second, width_px)
    expected = (rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum()
    assert compare_masks(first, second).boundary_iou == expected


def test_nothing_and_nothing_agree_and_nothing_and_something_do_not() -> None:
    empty, full = np.zeros((4, 5), np.bool_), np.ones((4, 5), np.bool_)
    assert compare_masks(empty, empty) == SAME
    assert compare_masks(empty, full) == MaskOverlap(iou=0.0, dice=0.0, boundary_iou=0.0)


def test_masks_of_two_photos_are_not_compared() -> None:
    with pytest.raises(ValueError, match="one size"):
        compare_masks(np.zeros((4, 5), np.bool_), np.zeros((5, 4), np.bool_))
