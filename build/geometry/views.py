"""Views: how a photo and its mattes come from stored pixels onto the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.schemas.rasters.masks import Box, Mask
from figureground.schemas.rasters.resizing import crop_offset, short_side_hw
from figureground.schemas.recipe_views import View

Canvas = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 RGB."""

Scalar = TypeVar("Scalar", bound=np.generic)

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_PAD_RGB = {"black": (0, 0, 0), "grey": (128, 128, 128)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The part of a photo that a view takes, stored pixels."""

    frame_xyxy_px: Box
    """The rectangle taken, half-open; it may reach beyond the photo."""
    content_xyxy_px: Box
    """The part of it that shows the photo; the rest is padding."""
    pad: Literal["edge", "mean", "black", "grey"] = "black"

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        x0, y0, x1, y1 = self.frame_xyxy_px
        return y1 - y0, x1 - x0

    @property
    def pad_share(self) -> float:
        """Share of the frame that is padding."""
        x0, y0, x1, y1 = self.content_xyxy_px
        height, width = self.size_hw
        return 1 - (x1 - x0) * (y1 - y0) / (height * width)


def whole_frame(size_hw: tuple[int, int]) -> Frame:
    """The frame that takes all of a photo."""
    box = (0, 0, size_hw[1], size_hw[0])
    return Frame(frame_xyxy_px=box, content_xyxy_px=box)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Position of a frame of a photo on the canvas of a view."""

    frame_xyxy_px: Box
    """The frame, stored pixels, half-open."""
    resized_hw: tuple[int, int]
    """Its size after resizing, pixels."""
    crop_xyxy_px: Box
    """Part of the resized frame that becomes the canvas, half-open."""

    @property
    def canvas_hw(self) -> tuple[int, int]:
        """Height and width of the canvas in pixels."""
        x0, y0, x1, y1 = self.crop_xyxy_px
        return y1 - y0, x1 - x0

    def affine(self) -> tuple[float, float, float, float]:
        """``(sx, tx, sy, ty)`` with x_canvas = sx · x_stored + tx, likewise y; pixel edges, not centres."""
        left, top, right, bottom = self.frame_xyxy_px
        sx, sy = self.resized_hw[1] / (right - left), self.resized_hw[0] / (bottom - top)
        return sx, -float(self.crop_xyxy_px[0]) - sx * left, sy, -float(self.crop_xyxy_px[1]) - sy * top

    def box_on_canvas(self, box: Box) -> tuple[float, float, float, float]:
        """A stored-pixel box in canvas pixels, clipped to the canvas, half-open (x0, y0, x1, y1)."""
        sx, tx, sy, ty = self.affine()
        height, width = self.canvas_hw
        xs = [min(max(sx * x + tx, 0.0), float(width)) for x in (box[0], box[2])]
        ys = [min(max(sy * y + ty, 0.0), float(height)) for y in (box[1], box[3])]
        return xs[0], ys[0], xs[1], ys[1]

    def keeps(self, box: Box) -> bool:
        """Whether all of a stored-pixel box is on the canvas."""
        sx, tx, sy, ty = self.affine()
        height, width = self.canvas_hw
        x0, y0, x1, y1 = sx * box[0] + tx, sy * box[1] + ty, sx * box[2] + tx, sy * box[3] + ty
        return x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height


def view_geometry(view: View, frame: Frame) -> Geometry:
    """Geometry of a view for what it takes of a photo; short side and crop by the rules of ``rasters.resizing``."""
    height, width = frame.size_hw
    if view.resize == "squash":
        height = width = view.size
    elif view.resize == "short_side":
        height, width = short_side_hw(frame.size_hw, view.size)
    side_hw = (height, width) if view.crop is None else (view.crop, view.crop)
    top, left = (crop_offset(length, side) for length, side in zip((height, width), side_hw, strict=True))
    crop = (left, top, left + side_hw[1], top + side_hw[0])
    return Geometry(frame_xyxy_px=frame.frame_xyxy_px, resized_hw=(height, width), crop_xyxy_px=crop)


def view_photo(photo_rgb: Canvas, view: View, frame: Frame | None = None) -> Canvas:
    """Bring a ``(H, W, 3)`` uint8 RGB photo, or ``frame`` of it, onto the canvas."""
    frame = frame or whole_frame((photo_rgb.shape[0], photo_rgb.shape[1]))
    return _resized(Image.fromarray(_cut_frame(photo_rgb, frame)), view_geometry(view, frame), _RESAMPLING[view.image])


def view_matte(matte_hw: Mask, view: View, frame: Frame | None = None) -> Mask:
    """Bring a ``(H, W)`` bool matte onto the canvas, with the geometry of its photo; padding is outside of it."""
    frame = frame or whole_frame((matte_hw.shape[0], matte_hw.shape[1]))
    geometry, taken = view_geometry(view, frame), _cut_matte_frame(matte_hw, frame)
    if view.matte == "nearest":
        return _resized(Image.fromarray(taken.view(np.uint8)), geometry, Image.Resampling.NEAREST).view(np.bool_)
    if view.matte == "area":
        return half_covered(taken, geometry.resized_hw, geometry.crop_xyxy_px)
    resampling = Image.Resampling.BOX if view.matte == "box_filter" else Image.Resampling.BILINEAR
    covered = _resized(Image.fromarray(taken.view(np.uint8) * np.uint8(255)), geometry, resampling)
    # Pillow rounds half up, so a share of exactly one half arrives as 128.
    return covered >= (128 if view.matte == "box_filter" else 1)


def half_covered(matte_hw: Mask, resized_hw: tuple[int, int], part_xyxy_px: Box) -> Mask:
    """The pixels of a resized matte that the matte covers by one half of their area or more, in whole numbers.

    Along an axis on which ``n`` stored pixels become ``N``, stored pixel ``j`` covers ``[j·N, (j+1)·N)`` and resized
    pixel ``i`` covers ``[i·n, (i+1)·n)`` of one scale of whole numbers. Within a stored pixel, the matte's area up to a
    point grows evenly, so the area up to the edges of resized pixels follows from that up to the edges of stored ones
    (a summed-area table), and the area in a pixel from that at its corners. No figure is rounded.

    Args:
        matte_hw: ``(H, W)`` bool, at most 2^31 pixels.
        resized_hw: Its height and width after resizing, pixels; smaller or larger, by the same share or not.
        part_xyxy_px: The part of the resized matte that is asked for, half-open.

    Returns:
        ``(h, w)`` bool, the size of the part; a share of exactly one half counts as covered.
    """
    (height, width), (x0, y0, x1, y1) = matte_hw.shape, part_xyxy_px
    down, across = _edges(height, resized_hw[0], y0, y1), _edges(width, resized_hw[1], x0, x1)
    stored = np.ascontiguousarray(matte_hw[down.stored, across.stored])
    sums = np.asarray(cv2.integral(stored.view(np.uint8)), dtype=np.int32)
    areas = _between(_between(sums, down).T, across).T
    return np.asarray(2 * areas >= height * width)


def resize_matte(matte_hw: Mask, view: View) -> Mask:
    """The matte after the view's resize and before its crop, to judge how much the crop cuts away."""
    return view_matte(matte_hw, view.model_copy(update={"crop": None}))


class _Edges(NamedTuple):
    """Where the edges of resized pixels lie among stored pixels, along one axis."""

    stored: slice
    """The stored pixels that the resized ones see."""
    whole: NDArray[np.int64]
    """Number of those that lie before each edge entirely."""
    rest: NDArray[np.int64]
    """How much of the next one lies before it, in units of 1 ÷ ``unit``."""
    unit: int


def _edges(stored_px: int, resized_px: int, start: int, stop: int) -> _Edges:
    """Edges of the resized pixels ``[start, stop)`` where ``stored_px`` became ``resized_px``."""
    whole, rest = np.divmod(np.arange(start, stop + 1, dtype=np.int64) * stored_px, resized_px)
    first, last = int(whole[0]), int(whole[-1]) + int(rest[-1] > 0)
    return _Edges(stored=slice(first, last), whole=whole - first, rest=rest, unit=resized_px)


def _between(sums: NDArray[np.integer], edges: _Edges) -> NDArray[np.int64]:
    """What lies between neighbouring edges along the first axis, from the sums up to each stored pixel."""
    before = sums[edges.whole].astype(np.int64)
    after = sums[edges.whole + (edges.rest > 0)]
    return np.diff(before * edges.unit + (after - before) * edges.rest[:, None], axis=0)


def _cut_frame(photo_rgb: Canvas, frame: Frame) -> Canvas:
    content = _cut(photo_rgb, frame.content_xyxy_px)
    if frame.content_xyxy_px == frame.frame_xyxy_px:
        return content
    beside = _beside(frame)
    if frame.pad == "edge":
        return np.asarray(np.pad(content, [*beside, (0, 0)], mode="edge"))
    colour = _PAD_RGB.get(frame.pad) or tuple(np.rint(content.mean(axis=(0, 1))).astype(int))
    padded = np.full((*frame.size_hw, 3), colour, dtype=np.uint8)
    (top, _), (left, _) = beside
    padded[top : top + content.shape[0], left : left + content.shape[1]] = content
    return padded


def _cut_matte_frame(matte_hw: Mask, frame: Frame) -> Mask:
    content = _cut(matte_hw, frame.content_xyxy_px)
    return content if frame.content_xyxy_px == frame.frame_xyxy_px else np.asarray(np.pad(content, _beside(frame)))


def _cut(pixels: NDArray[Scalar], box: Box) -> NDArray[Scalar]:
    x0, y0, x1, y1 = box
    return np.ascontiguousarray(pixels[y0:y1, x0:x1])


def _beside(frame: Frame) -> list[tuple[int, int]]:
    """Padding above and below, left and right, in pixels."""
    (x0, y0, x1, y1), (left, top, right, bottom) = frame.content_xyxy_px, frame.frame_xyxy_px
    return [(y0 - top, bottom - y1), (x0 - left, right - x1)]


def _resized(image: Image.Image, geometry: Geometry, resampling: Image.Resampling) -> NDArray[np.uint8]:
    height, width = geometry.resized_hw
    if image.size != (width, height):
        image = image.resize((width, height), resampling)
    x0, y0, x1, y1 = geometry.crop_xyxy_px
    return np.ascontiguousarray(np.asarray(image)[y0:y1, x0:x1])
