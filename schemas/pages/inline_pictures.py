"""Pictures of a page: small JPEGs and coloured masks; as data URLs, a page of them is one file, which loads nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageColor

from figureground.schemas.rasters.masks import Mask

_JPEG_QUALITY: Final = 85


def photo_url(photo: Image.Image) -> str:
    """A photo as JPEG, in a URL."""
    return _data_url("jpeg", photo_jpeg(photo))


def photo_jpeg(photo: Image.Image) -> bytes:
    """A photo as JPEG."""
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def mask_url(mask_hw: Mask, colour: str) -> str:
    """The same as ``mask_png``, in a URL."""
    return _data_url("png", mask_png(mask_hw, colour))


def mask_png(mask_hw: Mask, colour: str) -> bytes:
    """A mask as PNG, opaque, with nothing beside it.

    Args:
        mask_hw: ``(H, W)`` bool.
        colour: Its colour, such as ``#56B4E9``.
    """
    image = Image.fromarray(mask_hw.astype(np.uint8)).convert("P")
    levels: Sequence[int] = ImageColor.getrgb(colour)
    image.putpalette([0, 0, 0, *levels[:3]])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=1, transparency=0)
    return buffer.getvalue()


def _data_url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
