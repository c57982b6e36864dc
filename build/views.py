"""Views: how a photo and its mattes come from stored pixels onto the canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.schemas.masks import Box, Mask
from figureground.schemas.recipes import View

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where a photo of one size lands under one view."""

    resized_hw: tuple[int, int]
    """Size after resizing, pixels."""
    crop_xyxy_px: Box
    """Part of the resized photo that becomes the canvas, half-open."""

    @property
    def canvas_hw(self) -> tuple[int, int]:
        """Height and width of the canvas in pixels."""
        x0, y0, x1, y1 = self.crop_xyxy_px
        return y1 - y0, x1 - x0

    def affine(self, stored_hw: tuple[int, int]) -> tuple[float, float, float, float]:
        """``(sx, tx, sy, ty)`` with x_canvas = sx · x_stored + tx, likewise y; pixel edges, not centres."""
        x0, y0, _, _ = self.crop_xyxy_px
        return self.resized_hw[1] / stored_hw[1], -float(x0), self.resized_hw[0] / stored_hw[0], -float(y0)

    def box_on_canvas(self, box: Box, stored_hw: tuple[int, int]) -> tuple[float, float, float, float]:
        """A stored-pixel box in canvas pixels, clipped to the canvas, half-open (x0, y0, x1, y1)."""
        sx, tx, sy, ty = self.affine(stored_hw)
        height, width = self.canvas_hw
        xs = [min(max(sx * x + tx, 0.0), float(width)) for x in (box[0], box[2])]
        ys = [min(max(sy * y + ty, 0.0), float(height)) for y in (box[1], box[3])]
        return xs[0], ys[0], xs[1], ys[1]


def view_geometry(view: View, stored_hw: tuple[int, int]) -> Geometry:
    """Geometry of a view for a photo of ``stored_hw``.

    The short-side rule and the rounding of the centre crop are torchvision's ``Resize`` and ``CenterCrop``:
    the long side is truncated, the crop offset rounded half to even.
    """
    height, width = stored_hw
    if view.resize == "squash":
        height = width = view.size
    elif view.resize == "short_side":
        short, long = sorted(stored_hw)
        scaled = int(view.size * long / short)
        height, width = (view.size, scaled) if height <= width else (scaled, view.size)
    side_hw = (height, width) if view.crop is None else (view.crop, view.crop)
    top, left = (round((have - want) / 2) for have, want in zip((height, width), side_hw, strict=True))
    crop = (left, top, left + side_hw[1], top + side_hw[0])
    return Geometry(resized_hw=(height, width), crop_xyxy_px=crop)


def view_photo(photo_rgb: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Bring a ``(H, W, 3)`` uint8 RGB photo onto the canvas."""
    geometry = view_geometry(view, (photo_rgb.shape[0], photo_rgb.shape[1]))
    return _resized(Image.fromarray(photo_rgb), geometry, _RESAMPLING[view.image])


def view_matte(matte_hw: Mask, view: View) -> Mask:
    """Bring a ``(H, W)`` bool matte onto the canvas, with the geometry of its photo."""
    geometry = view_geometry(view, (matte_hw.shape[0], matte_hw.shape[1]))
    if view.matte == "nearest":
        return _resized(Image.fromarray(matte_hw.view(np.uint8)), geometry, Image.Resampling.NEAREST).view(np.bool_)
    resampling = Image.Resampling.BOX if view.matte == "area" else Image.Resampling.BILINEAR
    covered = _resized(Image.fromarray(matte_hw.view(np.uint8) * np.uint8(255)), geometry, resampling)
    # Pillow rounds half up, so a share of exactly one half arrives as 128.
    return covered >= (128 if view.matte == "area" else 1)


def resize_matte(matte_hw: Mask, view: View) -> Mask:
    """The matte after the view's resize alone, before its crop: what the crop is judged against."""
    return view_matte(matte_hw, view.model_copy(update={"crop": None}))


def _resized(image: Image.Image, geometry: Geometry, resampling: Image.Resampling) -> NDArray[np.uint8]:
    height, width = geometry.resized_hw
    if image.size != (width, height):
        image = image.resize((width, height), resampling)
    x0, y0, x1, y1 = geometry.crop_xyxy_px
    return np.ascontiguousarray(np.asarray(image)[y0:y1, x0:x1])
