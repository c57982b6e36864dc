"""How far two masks of one photo are the same: IoU, Dice, and the IoU of their boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from figureground.schemas.rasters.masks import Mask, tight_box

BOUNDARY_RATIO: Final = 0.02
"""Width of a boundary as a share of the photo's diagonal, as Boundary IoU's authors have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOverlap:
    """Three shares in [0, 1] of two masks; each is 1 where both masks are empty."""

    iou: float
    """Pixels of both over pixels of either."""
    dice: float
    """Twice the pixels of both over the pixels of the one and of the other, summed."""
    boundary_iou: float
    """IoU of the pixels near the rim of each."""


def compare_masks(first_hw: Mask, second_hw: Mask) -> MaskOverlap:
    """Compare two ``(H, W)`` bool masks of one photo.

    Raises:
        ValueError: if they have different sizes.
    """
    if first_hw.shape != second_hw.shape:
        raise ValueError(f"masks of one size are compared; got {first_hw.shape} and {second_hw.shape}")
    width_px = boundary_width_px((first_hw.shape[0], first_hw.shape[1]))
    box = tight_box(first_hw | second_hw)
    if box is None:
        return MaskOverlap(iou=1.0, dice=1.0, boundary_iou=1.0)
    x0, y0, x1, y1 = map(int, box)
    # Outside the box both are empty, so that nothing is lost by leaving that out; it is most of a photo.
    first, second = first_hw[y0:y1, x0:x1], second_hw[y0:y1, x0:x1]
    both, either = int(np.count_nonzero(first & second)), int(np.count_nonzero(first | second))
    rims = mask_boundary(first, width_px), mask_boundary(second, width_px)
    shared, painted = int(np.count_nonzero(rims[0] & rims[1])), int(np.count_nonzero(rims[0] | rims[1]))
    return MaskOverlap(iou=both / either, dice=2 * both / (both + either), boundary_iou=shared / painted)


def boundary_width_px(size_hw: tuple[int, int]) -> int:
    """Width of a boundary in pixels of a photo of that size, at least 1."""
    return max(1, round(BOUNDARY_RATIO * float(np.hypot(*size_hw))))


def mask_boundary(mask_hw: Mask, width_px: int) -> Mask:
    """Pixels of a mask that are at most ``width_px`` from a pixel outside it, ``(H, W)`` bool.

    The boundary of Boundary IoU (Cheng, Girshick, Dollár, Berg, Kirillov, "Boundary IoU: Improving Object-Centric Image
    Segmentation Evaluation", CVPR 2021, section 4): distance is the greater of the steps along rows and columns, and
    what lies beyond the raster is outside. One erosion by a square is as many erosions by 3x3.
    """
    square = np.ones((2 * width_px + 1, 2 * width_px + 1), dtype=np.uint8)
    eroded = cv2.erode(mask_hw.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask_hw & (eroded == 0))
