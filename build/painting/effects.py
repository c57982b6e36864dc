"""Effects of a layer, in canvas pixels: a mask that grows, a blur that stays within a region, a figure that moves."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.build.geometry.views import Canvas, half_covered
from figureground.schemas.rasters.masks import Mask, tight_box
from figureground.schemas.recipes import Move

_TAPS: Final = 1 << 12
"""Sum of a blur's taps, which are whole: every sum is a whole number below 2^53, so equal on all machines."""
_REACH: Final = 4.0
"""Half-width of a blur in standard deviations."""


def grow_matte(matte_hw: Mask, radius_px: int) -> Mask:
    """Dilate a matte by a disc, or erode it where ``radius_px`` is negative; the canvas's rim does not erode."""
    if radius_px == 0 or matte_hw.all() or not matte_hw.any():
        return matte_hw
    from scipy import ndimage  # type: ignore[import-untyped]  # ships no annotations; takes half a second to load

    if radius_px > 0:
        return np.asarray(ndimage.distance_transform_edt(~matte_hw) <= radius_px)
    return np.asarray(ndimage.distance_transform_edt(matte_hw) > -radius_px)


def blur_within(canvas_rgb: Canvas, region_hw: Mask, sigma: float) -> Canvas:
    """Gaussian blur that takes colours from a region only: Σ w·r·c ÷ Σ w·r, with w the Gaussian and r the region.

    Where no pixel of the region is within reach, the region's mean colour stands; an empty region blurs nothing.

    Args:
        canvas_rgb: ``(H, W, 3)`` uint8 RGB.
        region_hw: ``(H, W)`` bool.
        sigma: Standard deviation in pixels.
    """
    if not region_hw.any():
        return canvas_rgb
    taps = _taps(sigma)
    weights = _smoothed(region_hw, taps)[..., None]
    sums = _smoothed(np.where(region_hw[..., None], canvas_rgb, 0), taps)
    mean = np.rint(canvas_rgb[region_hw].mean(axis=0))
    divided = (2 * sums + weights) // np.maximum(2 * weights, 1)  # rounds half up, in whole numbers
    return np.where(weights > 0, divided, mean).astype(np.uint8)


def move_canvas(canvas_rgb: Canvas, about_hw: Mask, move: Move) -> Canvas:
    """A canvas scaled and moved about the middle of the box of ``about_hw``, antialiased; black beyond its rim."""
    size_wh, corner = _destination(about_hw, move)
    return _placed(Image.fromarray(canvas_rgb).resize(size_wh, Image.Resampling.BILINEAR), corner, about_hw)


def move_matte(matte_hw: Mask, about_hw: Mask, move: Move) -> Mask:
    """A matte that goes with ``move_canvas``: covered by half or more; nothing beyond its rim."""
    size_wh, corner = _destination(about_hw, move)
    if move.matte == "area":
        scaled = half_covered(matte_hw, size_wh[::-1], (0, 0, *size_wh))
        return _placed(Image.fromarray(scaled.view(np.uint8)), corner, about_hw).view(np.bool_)
    covered = Image.fromarray(matte_hw.view(np.uint8) * np.uint8(255)).resize(size_wh, Image.Resampling.BOX)
    return _placed(covered, corner, about_hw) >= 128  # Pillow rounds half up


def _destination(about_hw: Mask, move: Move) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height of the scaled canvas, and where its left upper corner goes, in pixels."""
    height, width = about_hw.shape
    box = tight_box(about_hw) or (0, 0, width, height)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    to_x, to_y = (x, y) if move.to is None else (move.to[0] * width, move.to[1] * height)
    size_wh = max(1, round(width * move.scale)), max(1, round(height * move.scale))
    return size_wh, (round(to_x - x * move.scale), round(to_y - y * move.scale))


def _placed(image: Image.Image, corner: tuple[int, int], like_hw: Mask) -> NDArray[np.uint8]:
    canvas = Image.new(image.mode, (like_hw.shape[1], like_hw.shape[0]))
    canvas.paste(image, corner)
    return np.asarray(canvas)


@lru_cache(maxsize=8)
def _taps(sigma: float) -> NDArray[np.float64]:
    reach = max(1, math.ceil(_REACH * sigma))
    weights = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(-reach, reach + 1)]
    return np.array([float(round(_TAPS * weight / sum(weights))) for weight in weights])


def _smoothed(values: NDArray[np.generic], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both axes; beyond the rim there is nothing."""
    smoothed = cv2.sepFilter2D(values.astype(np.float64), cv2.CV_64F, taps, taps, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(smoothed, dtype=np.float64)
