"""Boxes and ImageNet-9's tiled backgrounds, in stored pixels (arXiv 2006.09994, Appendix A)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from figureground.schemas.rasters.masks import Box, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The largest margin beside a box, from which the box is tiled."""

    side: Literal["left", "right", "top", "bottom"]
    box_xyxy_px: Box
    """The strip itself, half-open, stored pixels; it spans the photo's other dimension."""

    @property
    def width_px(self) -> int:
        """Extent across the margin in pixels; 1 gives streaks."""
        x0, y0, x1, y1 = self.box_xyxy_px
        return x1 - x0 if self.side in {"left", "right"} else y1 - y0


def hull(boxes: list[Box]) -> Box:
    """Smallest box that holds all ``boxes`` (at least one)."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def clip_box(box: Box, size_hw: tuple[int, int]) -> Box:
    """The part of a box that lies inside the photo."""
    height, width = size_hw
    x0, x1 = (min(max(x, 0), width) for x in (box[0], box[2]))
    y0, y1 = (min(max(y, 0), height) for y in (box[1], box[3]))
    return x0, y0, x1, y1


def box_matte(box: Box, size_hw: tuple[int, int]) -> Mask:
    """``(H, W)`` bool matte of a half-open box."""
    matte = np.zeros(size_hw, dtype=np.bool_)
    x0, y0, x1, y1 = box
    matte[y0:y1, x0:x1] = True
    return matte


def largest_strip(box: Box, size_hw: tuple[int, int], *, overlap_px: int = 0) -> Strip | None:
    """The margin that tiles the box, or None where the box leaves none.

    Vertical strips span the height, horizontal ones the width; the larger area wins, ties go to horizontal, then to
    right and bottom, as in the released script. ``overlap_px`` = 1 lets right and bottom strips begin on the box's
    last column or row: the script's rectangles include their far corner, its strips start at it.
    """
    height, width = size_hw
    x0, y0, x1, y1 = box
    right_start, bottom_start = x1 - overlap_px, y1 - overlap_px
    left, right, top, bottom = x0, width - right_start, y0, height - bottom_start
    vertical, horizontal = max(left, right) * height, max(top, bottom) * width
    if max(vertical, horizontal) <= 0:
        return None
    if vertical > horizontal:
        if left > right:
            return Strip(side="left", box_xyxy_px=(0, 0, x0, height))
        return Strip(side="right", box_xyxy_px=(right_start, 0, width, height))
    if top > bottom:
        return Strip(side="top", box_xyxy_px=(0, 0, width, y0))
    return Strip(side="bottom", box_xyxy_px=(0, bottom_start, width, height))


def tile_box(photo_rgb: NDArray[np.uint8], box: Box, strip: Strip) -> NDArray[np.uint8]:
    """A copy of the ``(H, W, 3)`` photo with its box filled by the strip, repeated on a grid from the origin."""
    x0, y0, x1, y1 = strip.box_xyxy_px
    source = photo_rgb[y0:y1, x0:x1]
    tiled = photo_rgb.copy()
    for top, bottom, from_row in _stretches(box[1], box[3], source.shape[0]):
        for left, right, from_column in _stretches(box[0], box[2], source.shape[1]):
            tiled[top:bottom, left:right] = source[from_row:, from_column:][: bottom - top, : right - left]
    return tiled


def _stretches(start: int, stop: int, period: int) -> list[tuple[int, int, int]]:
    """One axis of the box, cut at the lines of the grid: where each part starts, stops, and begins in the strip."""
    cuts = [start, *range(start - start % period + period, stop, period), stop]
    return [(left, right, left % period) for left, right in pairwise(cuts)]
