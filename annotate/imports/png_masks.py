"""PNG masks that people and tools write: black and white, of the photo's stored size, or refused with what to do."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFile

from figureground.annotate.imports.answers import size_remedy
from figureground.errors import DataError
from figureground.schemas.rasters.damage import png_damage
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.rasters.sizes import ORDER, spell_size
from figureground.schemas.records import ImageRecord

_MOST_BYTES: Final = 100_000_000  # a PNG mask of 100 megapixels has less than 13 MB; more would only exhaust memory
_MAGIC: Final = b"\x89PNG"
_MODES: Final = {
    "P": "its numbers are colours of a palette: save the number of the object as 255 and all others as 0",
    "PA": "its numbers are colours of a palette: save the number of the object as 255 and all others as 0",
    "RGB": "it has colours: save the colour of the object as 255 and all others as 0",
    "RGBA": "it has colours and alpha: save the one that is the mask",
    "LA": "it has grey and alpha: save the one that is the mask",
    "I": "it has 16 bits: save the number of the object as 255 and all others as 0, in 8 bits",
}
"""Pillow's mode to what the choice is that a person must make."""


def read_png_mask(path: Path, photo: ImageRecord) -> Mask:
    """Read a PNG mask, ``(H, W)`` bool: 1-bit, or 8-bit grey that holds 0 and one other value.

    Args:
        path: The file.
        photo: The photo, whose stored size it must have.

    Raises:
        DataError: if it is no such PNG: other greys would need a threshold, which is a choice.
    """
    where = str(path)
    expected = f"a 1-bit or black-and-white PNG of {spell_size(photo.size_hw)} {ORDER}"
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False  # others switch it on globally
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError.single(where, "", expected=expected, got=f"{path.stat().st_size} bytes")
        data = path.read_bytes()
        if damage := _damage(data, photo):
            raise DataError.single(where, "", expected=expected, got=damage, remedy="save it again as PNG")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is judged here
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                _check_form(image, photo, where, expected)
                pixels = np.array(image)
    except DataError:
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged bytes
        got = f"a damaged one: {error or type(error).__name__}"
        raise DataError.single(where, "", expected=expected, got=got) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    if ((pixels != 0) & (pixels != pixels.max())).any():  # not by np.unique, which sorts all pixels
        raise DataError.single(
            where,
            "",
            expected="0 and one other value",
            got=f"{len(np.unique(pixels))} greys",
            remedy="choose a threshold and save the mask in black and white",
        )
    return pixels.astype(np.bool_)


def _damage(data: bytes, photo: ImageRecord) -> str:
    """What is wrong with the bytes of a PNG; empty where nothing is, and for one that is larger than the photo."""
    if not data:
        return "an empty file"
    if not data.startswith(_MAGIC[: len(data)]):
        return "bytes of another format"
    damage = png_damage(data, most_bytes=2 * (photo.width + 8) * (photo.height + 8))  # of 8 bits, also in passes
    return f"a damaged one: {damage}" if damage else ""


def _check_form(image: Image.Image, photo: ImageRecord, where: str, expected: str) -> None:
    """Raise ``DataError`` for another size or mode."""
    size_hw = image.height, image.width
    got = f"{spell_size(size_hw)} of mode {image.mode}"
    if image.mode not in ("1", "L"):
        remedy = _MODES.get(image.mode.partition(";")[0], "save it in 8-bit grey")
        raise DataError.single(where, "", expected=expected, got=got, remedy=remedy)
    if size_hw != photo.size_hw:
        raise DataError.single(where, "", expected=expected, got=got, remedy=size_remedy(photo, size_hw))
