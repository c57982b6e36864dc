"""The masks of a published row, checked against its image: a dataset that somebody passed on is hostile input."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

from PIL import Image

from figureground.errors import DataError
from figureground.schemas.attributes import OBJECT
from figureground.schemas.masks import CocoRle, Mask, decode_coco_rle, decode_png1
from figureground.schemas.photos import MOST_PIXELS


def read_row_masks(row: Mapping[str, Any], name: str) -> dict[str, Mask]:
    """The masks of a row's object (``object``) and of its attributes, ``(H, W)`` bool in canvas pixels.

    Args:
        row: With the columns ``image``, ``object_mask`` and ``attribute_masks``.
        name: What to call it in an error.

    Raises:
        DataError: unless image and masks are whole and of one size, and no two masks are of one name.
    """
    size_hw = _png_size_hw(row["image"], "RGB", "image", name)
    mask_hw = _png_size_hw(row["object_mask"], "1", "object_mask", name)
    if mask_hw != size_hw:
        wanted, got = (f"{height}x{width}" for height, width in (size_hw, mask_hw))
        raise DataError.single("object_mask", name, expected=f"{wanted} as its image", got=got)
    masks = {OBJECT: decode_png1(row["object_mask"]["bytes"], record=name)}
    for each in row["attribute_masks"] or []:
        record = f"{name}: {each['attribute']}"
        if each["attribute"] in masks:
            raise DataError.single("attribute_masks", record, expected="one mask of this name", got="two")
        rle = CocoRle(size_hw=(each["size"][0], each["size"][1]), counts=each["counts"])
        masks[each["attribute"]] = decode_coco_rle(rle, size_hw=size_hw, record=record)
    return masks


def _png_size_hw(cell: Mapping[str, Any] | None, mode: str, where: str, name: str) -> tuple[int, int]:
    """Height and width of a PNG by its header alone: a bomb is refused before it is unpacked."""
    expected = f"a PNG of mode {mode} and at most {MOST_PIXELS} pixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is judged here
            with Image.open(io.BytesIO((cell or {}).get("bytes") or b""), formats=["PNG"]) as picture:
                size_hw, found = (picture.height, picture.width), picture.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError.single(where, name, expected=expected, got=str(error)) from error
    if found != mode or size_hw[0] * size_hw[1] > MOST_PIXELS:
        raise DataError.single(where, name, expected=expected, got=f"{size_hw[0]}x{size_hw[1]} of mode {found}")
    return size_hw
