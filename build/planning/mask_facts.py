"""What the filters ask of masks and boxes, answered from runs and edges where those suffice.

Three bounds spare drawing a mask on the canvas. Each is a one-sided claim, which ``tests/build/planning`` holds against
drawn canvases: ``MaskFacts.surely_on`` and ``surely_beside`` never say yes wrongly, ``bound_box`` never leaves out the
true number. All three rest on one fact of how mattes are resampled: ``reach``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from figureground.build.geometry.views import Geometry, view_geometry, view_matte, whole_frame
from figureground.schemas.rasters.masks import Box, CocoRle, Mask, coco_runs, decode_coco_rle
from figureground.schemas.recipe_views import View


class MaskFacts:
    """A mask of a photo as the runs of its figure, column after column; decoded only where its pixels are needed."""

    def __init__(self, rle: CocoRle, *, size_hw: tuple[int, int], record: str) -> None:
        """Read the runs.

        Raises:
            DataError: as ``coco_runs``.
        """
        self._rle, self._size_hw, self._record = rle, size_hw, record
        stops = np.cumsum(coco_runs(rle, size_hw=size_hw, record=record))
        figure = stops[1::2] > stops[: stops.size - 1 : 2]
        self._starts: NDArray[np.int64] = stops[: stops.size - 1 : 2][figure]
        self._stops: NDArray[np.int64] = stops[1::2][figure]

    @cached_property
    def area_px(self) -> int:
        """Pixels of the figure."""
        return int((self._stops - self._starts).sum())

    @property
    def full(self) -> bool:
        """Whether there is no ground."""
        return self.area_px == self._size_hw[0] * self._size_hw[1]

    def pixels(self) -> Mask:
        """The mask itself, ``(H, W)`` bool."""
        return decode_coco_rle(self._rle, size_hw=self._size_hw, record=self._record)

    @cached_property
    def tight_box(self) -> Box | None:
        """Smallest half-open box that holds the figure, or None for an empty mask."""
        if not self._starts.size:
            return None
        height, last = self._size_hw[0], self._stops - 1
        left, right = int(self._starts[0]) // height, int(last[-1]) // height
        top, bottom = self._starts % height, last % height
        if (top > bottom).any() or int((last - self._starts).max()) >= height:
            return left, 0, right + 1, height  # a run that goes on in the next column touches both edges
        return left, int(top.min()), right + 1, int(bottom.max()) + 1

    def is_on(self, view: View) -> bool:
        """Whether anything of the mask is left on the canvas of a view that takes whole photos."""
        return self.surely_on(view) or bool(view_matte(self.pixels(), view).any())

    def fills(self, view: View) -> bool:
        """Whether the mask leaves nothing of the ground on the canvas of a view that takes whole photos."""
        return not self.surely_beside(view) and bool(view_matte(self.pixels(), view).all())

    def surely_on(self, view: View) -> bool:
        """Whether there is a square of figure so large that some canvas pixel sees nothing else; False where unsure.

        Looked for in the middle of two runs only: the one that holds the middle pixel of the figure, and the longest.
        """
        if not self._starts.size:
            return False
        lengths = self._stops - self._starts
        middle = np.searchsorted(np.cumsum(lengths), self.area_px // 2, side="right")
        return self._is_on_around(int(middle), view) or self._is_on_around(int(lengths.argmax()), view)

    def _is_on_around(self, run: int, view: View) -> bool:
        """Whether there is such a square about the middle of the first column of a run.

        A canvas pixel sees ``reach`` to each side of its centre. Within a stretch of that and one pixel more there is
        a centre whose pixel sees nothing outside of it, wherever the pixels lie; half a pixel is to spare.
        """
        geometry = _geometry(view, self._size_hw)
        sx, _, sy, _ = geometry.affine()
        height = self._size_hw[0]
        column, top = divmod(int(self._starts[run]), height)
        middle = (top + min(int(self._stops[run]) - column * height, height)) // 2
        wide, high = (math.ceil((2 * reach(scale) + 1.5) / scale) for scale in (sx, sy))
        square = (column - wide // 2, middle - high // 2, column - wide // 2 + wide, middle - high // 2 + high)
        return geometry.keeps(square) and self.holds(square)

    def surely_beside(self, view: View) -> bool:
        """Whether an edge of the canvas sees nothing of the tight box, so nothing of the mask; False where unsure."""
        box = self.tight_box
        if box is None:
            return True
        geometry = _geometry(view, self._size_hw)
        sx, tx, sy, ty = geometry.affine()
        height, width = geometry.canvas_hw
        return (
            sx * box[0] + tx >= 1 + reach(sx)
            or sx * box[2] + tx <= width - 1 - reach(sx)
            or sy * box[1] + ty >= 1 + reach(sy)
            or sy * box[3] + ty <= height - 1 - reach(sy)
        )

    def holds(self, box: Box) -> bool:
        """Whether a box of stored pixels, not empty, lies inside the photo and is all figure."""
        height, width = self._size_hw
        x0, y0, x1, y1 = box
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            return False
        first = np.arange(x0, x1) * height + y0
        run = np.searchsorted(self._stops, first, side="right").clip(max=self._stops.size - 1)
        return bool(((self._starts[run] <= first) & (self._stops[run] >= first + (y1 - y0))).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Smallest and largest number of canvas pixels that there may be."""

    least: float
    most: float


def bound_box(box: Box, size_hw: tuple[int, int], view: View, *, cropped: bool) -> Bounds:
    """Bounds of the number of canvas pixels that a box of the photo covers, without drawing it.

    Args:
        box: Half-open, stored pixels.
        size_hw: Height and width of the photo.
        view: A view that takes whole photos.
        cropped: Whether to count after the view's crop, or before it.
    """
    geometry = _geometry(view, size_hw)
    sx, tx, sy, ty = geometry.affine()
    height, width = geometry.canvas_hw
    if not cropped:
        (height, width), tx, ty = geometry.resized_hw, 0.0, 0.0
    across = _bound_stretch(sx * box[0] + tx, sx * box[2] + tx, width, reach(sx))
    down = _bound_stretch(sy * box[1] + ty, sy * box[3] + ty, height, reach(sy))
    return Bounds(least=across[0] * down[0], most=across[1] * down[1])


def canvas_px(size_hw: tuple[int, int], view: View) -> int:
    """Pixels of the canvas of a view that takes whole photos."""
    height, width = _geometry(view, size_hw).canvas_hw
    return height * width


def resized_px(size_hw: tuple[int, int], view: View) -> int:
    """Pixels of a whole photo as a view resizes it, before anything is cropped away."""
    height, width = _geometry(view, size_hw).resized_hw
    return height * width


def _bound_stretch(start: float, stop: float, side: int, reach_px: float) -> tuple[float, float]:
    """Smallest and largest number of pixels of a side that a stretch of it may cover.

    Args:
        start: Where it begins, canvas pixels.
        stop: Where it ends.
        side: Length of the side in pixels.
        reach_px: Distance from a pixel's centre within which the pixel may see the stretch, or what is beside it.
    """
    least = min(stop - reach_px, side) - max(start + reach_px, 0) - 1
    most = min(stop + reach_px, side) - max(start - reach_px, 0) + 1
    return max(least, 0.0), min(max(most, 0.0), float(side))


@lru_cache(maxsize=4096)
def _geometry(view: View, size_hw: tuple[int, int]) -> Geometry:
    return view_geometry(view, whole_frame(size_hw))


def reach(scale: float) -> float:
    """Farthest that a canvas pixel sees from its centre, along one axis, in canvas pixels.

    The widest filter for mattes is Pillow's triangle: one stored pixel to each side of the centre where it enlarges,
    which is ``scale`` canvas pixels, and one canvas pixel where it shrinks; ``area`` sees half a canvas pixel. Half as
    much again is for the extent of the stored pixel itself and for rounding.

    Args:
        scale: Canvas pixels per stored pixel.
    """
    return 1.5 * max(1.0, scale)
