"""What raters see of a row: its canvas, or the 224 pixels that classifiers see, as a PNG without any other data."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import FigureGroundError
from figureground.schemas.pages.human_tasks import Arm
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo
from figureground.schemas.rasters.resizing import CROP_PX, SHORT_SIDE_PX, crop_offset, short_side_hw
from figureground.schemas.rasters.sizes import MOST_PIXELS, ORDER, spell_size

_PNG_LEVEL: Final = 6

Pixels = NDArray[np.uint8]


def make_picture(stored: bytes | None, arm: Arm) -> bytes:
    """The picture of a stored image as PNG: new bytes, so that no name or comment of the old ones is served.

    Raises:
        FigureGroundError: if it cannot be decoded, or is too narrow to be resized.
    """
    if stored is None:
        raise FigureGroundError("the dataset holds a path instead of the image")
    canvas = decode_photo(stored)
    buffer = io.BytesIO()
    Image.fromarray(canvas if arm == "full" else model_view(canvas)).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def model_view(canvas: Pixels) -> Pixels:
    """``(H, W, 3)`` as ``(224, 224, 3)``: such a canvas as it is, another resized to a short side of 256, then cropped.

    Bilinear with antialias, sizes by ``rasters.resizing``: torchvision's Resize(256) and CenterCrop(224), as eval.py of
    hendrycks/natural-adv-examples has it.
    """
    size_hw = (canvas.shape[0], canvas.shape[1])
    if size_hw == (CROP_PX, CROP_PX):
        return canvas
    height, width = short_side_hw(size_hw, SHORT_SIDE_PX)
    if height * width > MOST_PIXELS:
        resized_px = spell_size((height, width))
        raise PhotoRejected("too_narrow", f"{spell_size(size_hw)} {ORDER} would be resized to {resized_px}")
    resized = Image.fromarray(canvas).resize((width, height), Image.Resampling.BILINEAR)
    left, top = crop_offset(width, CROP_PX), crop_offset(height, CROP_PX)
    return np.asarray(resized.crop((left, top, left + CROP_PX, top + CROP_PX)))
