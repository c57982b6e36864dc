"""What the pixels along a mask's rim show: the figure, or the ground of the photo that it was cut from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.schemas.rasters.masks import Mask, tight_box
from figureground.schemas.rasters.resizing import SHORT_SIDE_PX

_MOST_SHORT_PX: Final = 2 * SHORT_SIDE_PX
"""Short side that larger photos are reduced to: two pixels to one of the canvas, on which rows are painted."""
_SURE_PX: Final = 2.0
"""Distance from the outline, in pixels of the canvas, beyond which a pixel surely shows what its side is said to be."""
_NEAR_PX: Final = 6.0
"""Distance from the outline, in pixels of the canvas, up to which those pixels are looked at."""
_REACH_PX: Final = 8.0
"""Distance within which they lend a pixel at the outline their mean colour, in pixels of the canvas along each axis."""
_FEWEST: Final = 8
"""Pixels that a mean colour needs."""
_LEAST_SHARE: Final = 0.25
"""Share of the rim that must lie between colours that can be told apart."""

Levels = NDArray[np.float32]
"""``(H, W)`` or ``(H, W, 3)`` float32, grey levels from 0 to 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RimColours:
    """How far two bands along a mask's outline, each one canvas pixel wide, look like the other side."""

    rim_leak: float
    """How much of the mask's outermost pixels is of the ground's colour, [0, 1]."""
    ring_leak: float
    """How much of the pixels around the mask is of the figure's colour, [0, 1]."""
    rim_hw: Mask
    """The outermost pixels of the mask that look like ground, stored pixels."""
    ring_hw: Mask
    """The pixels around it that look like figure, stored pixels."""


def measure_rim(photo_rgb: NDArray[np.uint8], mask_hw: Mask, *, contrast: float) -> RimColours | None:
    """Measure both bands; None where figure and ground look alike along most of the outline, or one is too small.

    A pixel c at the outline is taken for a mixture of the figure's colour F and the ground's G beside it, c = a F +
    (1 - a) G, whose share a is the projection a = (c - G)·(F - G) / |F - G|² (the compositing equation and its
    projection on the line between the two colours: Wang and Cohen, "Image and Video Matting: A Survey", 2007, sections
    1.1 and 2). F and G are the mean colours of the pixels that lie 2 to 6 canvas pixels inside and outside of the mask
    and at most 8 from c along each axis. The leak of the rim is the mean of 1 - a over it, that of the ring the mean of
    a, both clipped to [0, 1]. A mask that fits leaves some of both, since photos are blurred. One that is too wide has
    a rim that looks like ground, which a row with another ground carries along as a halo; one that is too tight leaves
    figure in the ring, which shows in rows without the figure.

    Args:
        photo_rgb: ``(H, W, 3)`` uint8.
        mask_hw: ``(H, W)`` bool.
        contrast: Least distance of F and G, in grey levels (Euclidean, RGB), from which c is looked at.
    """
    photo, mask = _reduced(photo_rgb, mask_hw)
    unit = max(1.0, min(mask.shape) / SHORT_SIDE_PX)
    box = tight_box(mask)
    if box is None:
        return None
    margin = int(np.ceil((_NEAR_PX + _REACH_PX) * unit))
    rows = slice(max(box[1] - margin, 0), box[3] + margin)
    columns = slice(max(box[0] - margin, 0), box[2] + margin)
    photo, mask = photo[rows, columns], mask[rows, columns]
    inside, outside = _distances(mask), _distances(~mask)
    side = 2 * int(np.ceil(_REACH_PX * unit)) + 1
    sure, near = _SURE_PX * unit, _NEAR_PX * unit
    figure, figure_px = _local_mean(photo, (inside > sure) & (inside <= near), side)
    ground, ground_px = _local_mean(photo, (outside > sure) & (outside <= near), side)
    across = figure - ground
    squared = (across * across).sum(axis=2)
    decided = (figure_px >= _FEWEST) & (ground_px >= _FEWEST) & (squared >= contrast**2)
    share = ((photo - ground) * across).sum(axis=2) / np.maximum(squared, 1.0)
    share = np.clip(share, 0.0, 1.0)
    rim, ring = (inside > 0) & (inside <= unit), (outside > 0) & (outside <= unit)
    if min(_share_of(rim, decided), _share_of(ring, decided)) < _LEAST_SHARE:
        return None
    whole = np.zeros((2, *_reduced_hw(mask_hw)), np.bool_)
    whole[0, rows, columns], whole[1, rows, columns] = rim & decided & (share < 0.5), ring & decided & (share >= 0.5)
    return RimColours(
        rim_leak=float(1.0 - share[rim & decided].mean()),
        ring_leak=float(share[ring & decided].mean()),
        rim_hw=_stored(whole[0], mask_hw),
        ring_hw=_stored(whole[1], mask_hw),
    )


def edge_strength(photo_rgb: NDArray[np.uint8], mask_hw: Mask) -> float:
    """Mean steepness of the photo along a mask's outline: grey levels a canvas pixel, by Sobel's filter.

    A mask that lies on its figure follows the photo's edges; the same mask turned or mirrored crosses them.
    """
    photo, mask = _reduced(photo_rgb, mask_hw)
    inside = _distances(mask)
    outline = (inside > 0) & (inside <= 1.5)
    if not outline.any():
        return 0.0
    grey = cv2.GaussianBlur(photo.mean(axis=2), (5, 5), 0)
    steep: Any = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) / 8
    return float(steep[outline].mean())


def _reduced_hw(mask_hw: Mask) -> tuple[int, int]:
    height, width = mask_hw.shape
    scale = min(1.0, _MOST_SHORT_PX / min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _reduced(photo_rgb: NDArray[np.uint8], mask_hw: Mask) -> tuple[Levels, Mask]:
    """Photo and mask at no more than two pixels to one of the canvas; a pixel is figure if half or more of it is."""
    height, width = _reduced_hw(mask_hw)
    if (height, width) == mask_hw.shape:
        return photo_rgb.astype(np.float32), mask_hw
    photo = cv2.resize(photo_rgb, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    covered = cv2.resize(mask_hw.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return photo, np.asarray(covered >= 0.5)


def _stored(mask: Mask, like_hw: Mask) -> Mask:
    """A mask of the reduced photo in stored pixels."""
    if mask.shape == like_hw.shape:
        return mask
    size_wh = like_hw.shape[1], like_hw.shape[0]
    return cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST).astype(np.bool_)


def _distances(mask_hw: Mask) -> Levels:
    """Distance of each pixel of a mask from the nearest pixel outside it; beyond the raster nothing is outside."""
    if mask_hw.all():
        return np.full(mask_hw.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(mask_hw.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)


def _local_mean(photo: Levels, chosen_hw: Mask, side: int) -> tuple[Levels, Levels]:
    """Mean colour of the chosen pixels in the square around each pixel, ``(H, W, 3)``, and how many these are."""
    weights = chosen_hw.astype(np.float32)
    size, flat = (side, side), cv2.BORDER_CONSTANT
    count = cv2.boxFilter(weights, cv2.CV_32F, size, normalize=False, borderType=flat)
    total = cv2.boxFilter(photo * weights[..., None], cv2.CV_32F, size, normalize=False, borderType=flat)
    pixels = np.asarray(np.rint(count), np.float32)
    return np.asarray(total / np.maximum(pixels, 1.0)[..., None], np.float32), pixels


def _share_of(band_hw: Mask, decided_hw: Mask) -> float:
    pixels = int(np.count_nonzero(band_hw))
    return np.count_nonzero(band_hw & decided_hw) / pixels if pixels else 0.0
