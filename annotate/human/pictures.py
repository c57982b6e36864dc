"""What raters see of a row: its canvas, or the 224 pixels that classifiers see, as a PNG that says nothing else."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import FigureGroundError
from figureground.schemas.pages.human_tasks import Arm
from figureground.schemas.rasters.photos import MOST_PIXELS, PhotoRejected, decode_photo

SIDE_PX: Final = 224
SHORT_SIDE_PX: Final = 256
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

    Bilinear with antialias, the long side truncated, the crop's offset rounded half to even: Resize(256) and
    CenterCrop(224) of torchvision, as eval.py of hendrycks/natural-adv-examples has it.
    """
    height, width = canvas.shape[:2]
    if (height, width) == (SIDE_PX, SIDE_PX):
        return canvas
    short, long = sorted((height, width))
    scaled = int(SHORT_SIDE_PX * long / short)
    if SHORT_SIDE_PX * scaled > MOST_PIXELS:
        raise PhotoRejected("too_narrow", f"{width}x{height} would be resized to {SHORT_SIDE_PX}x{scaled}")
    size_wh = (scaled, SHORT_SIDE_PX) if height <= width else (SHORT_SIDE_PX, scaled)
    resized = Image.fromarray(canvas).resize(size_wh, Image.Resampling.BILINEAR)
    left, top = (round((side - SIDE_PX) / 2) for side in size_wh)
    return np.asarray(resized.crop((left, top, left + SIDE_PX, top + SIDE_PX)))
