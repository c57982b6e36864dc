"""Stored images and masks, decoded and brought to the size that a model takes."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from figureground.exports.evaluation.values import Bools, EvaluationError, Images, plain_line, require, spell_size

MAX_PIXELS: Final = 100_000_000  # of a stored photo, and of a resized one
FORMATS: Final = ("PNG", "JPEG", "WEBP")  # of stored images
MASK_FORMATS: Final = ("PNG",)


def stored_bytes(cell: Mapping[str, Any] | None) -> bytes | None:
    """Bytes of an image as a row holds it; None where the row has none, or a path in their place."""
    return (cell or {}).get("bytes")


def open_image(stored: bytes | None, record: str) -> Image.Image:
    """Decode a stored image to RGB; ``EvaluationError`` if that cannot be done.

    Only formats in which datasets hold images are tried: of others Pillow asks programs outside, Ghostscript for one.
    """
    if stored is None:
        raise EvaluationError(f"{record}: the dataset holds a path instead of the image, or none")
    return _decode(stored, record, "the image", FORMATS, "RGB")


def _decode(stored: bytes, record: str, what: str, formats: tuple[str, ...], mode: str) -> Image.Image:
    """An image of one of ``formats`` in a mode of Pillow's, whose size is looked at before it is decoded."""
    try:
        with Image.open(io.BytesIO(stored), formats=formats) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                got = spell_size((height, width))
                raise EvaluationError(f"{record}: {what}: expected at most {MAX_PIXELS:,} pixels, got {got}")
            return image.convert(mode)
    except EvaluationError:
        raise
    except Image.DecompressionBombError as error:
        raise EvaluationError(f"{record}: {what}: expected at most {MAX_PIXELS:,} pixels, got more") from error
    except UnidentifiedImageError as error:
        got = f"got {len(stored)} bytes of something else"
        raise EvaluationError(f"{record}: {what} cannot be decoded: expected {' or '.join(formats)}, {got}") from error
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged bytes
        words = plain_line(error, 120) or type(error).__name__
        raise EvaluationError(f"{record}: {what} cannot be decoded: {words}") from error


def decode_image(stored: bytes | None, size_hw: tuple[int, int], interpolation: str, record: str) -> Images:
    """Decode an image and resize it whole, antialiased, to ``(H, W, 3)`` uint8 RGB; nothing is cropped."""
    whole = Transform(size_hw=size_hw, crop_pct=1, crop_mode="squash", interpolation=interpolation)
    return np.asarray(whole.crops(stored, record)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """How a photo of any size becomes a model's input: resized, then cropped; the geometry is torchvision's and timm's.

    The short side is resized to the input ÷ ``crop_pct``, rounded down, and the long side truncated (``squash``: both
    sides, whatever the aspect); the crop's offset is rounded half to even. A ``crop_pct`` above 1 leaves a black rim.
    """

    size_hw: tuple[int, int]  # of the input, pixels; a square but for squash
    crop_pct: float
    crop_mode: str
    interpolation: str  # Pillow's name; always antialiased

    def resized_hw(self, stored_hw: tuple[int, int]) -> tuple[int, int]:
        """Size after resizing, pixels."""
        height, width = (math.floor(side / self.crop_pct) for side in self.size_hw)
        if self.crop_mode == "squash":
            return height, width
        short, long = sorted(stored_hw)
        scaled = int(height * long / short)
        return (height, scaled) if stored_hw[0] <= stored_hw[1] else (scaled, height)

    def crops(self, stored: bytes | None, record: str, *, five: bool = False) -> Images:
        """The centre crop ``(1, H, W, 3)`` of an encoded photo, or with ``five`` the corners and the centre."""
        return self.crop(open_image(stored, record), record, five=five)

    def crop(self, image: Image.Image, record: str, *, five: bool = False) -> Images:
        """The same of a decoded photo."""
        resized = self.resized_hw((image.height, image.width))
        words = f"{spell_size(image.size[::-1])} would be resized to {spell_size(resized)}"
        require(math.prod(resized) <= MAX_PIXELS, f"{record}: too narrow: {words}")
        if image.size != resized[::-1]:
            image = image.resize(resized[::-1], Image.Resampling[self.interpolation.upper()])
        rows, columns = _offsets(image.height, self.size_hw[0]), _offsets(image.width, self.size_hw[1])
        corners_yx = [(rows[1], columns[1])]
        if five:
            corners_yx = [*itertools.product((rows[0], rows[2]), (columns[0], columns[2])), *corners_yx]
        height, width = self.size_hw
        return np.stack([np.asarray(image.crop((x, y, x + width, y + height))) for y, x in corners_yx])


def _offsets(have: int, want: int) -> tuple[int, int, int]:
    """Where a crop begins at the near end, in the middle, at the far end; all in the middle where it is the larger."""
    if have < want:
        return (-((want - have) // 2),) * 3
    return 0, round((have - want) / 2), have - want


def decode_runs(size_hw: Sequence[int], counts: str, name: str) -> Bools:
    """Decode the counts of a COCO RLE, ``(H, W)``; ``EvaluationError`` unless its runs fill that size.

    Format of cocoapi (``rleFrString``): columns one after the other, runs of ground and figure by turns. Each is a
    number of base 32, lowest digit first, 0x20 on all digits but the last, 0x10 on the last of a negative one; from the
    fourth on it is the difference from the run before the last.
    """
    runs, value, shift = list[int](), 0, 0
    for code in (ord(char) - 48 for char in counts):
        require(0 <= code < 64 and shift < 60, f"{name}: expected a mask in COCO's RLE, got other text")
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            value -= (1 << shift) if code & 0x10 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    height, width = size_hw
    whole = not shift and min(runs, default=0) >= 0 and sum(runs) == height * width
    require(whole, f"{name}: expected runs that fill a mask of {spell_size(size_hw)}; got others")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def decode_mask(stored: bytes | None, name: str) -> Bools:
    """Decode an object mask, ``(H, W)``, True on the figure; ``EvaluationError`` if that cannot be done."""
    if stored is None:
        raise EvaluationError(f"{name}: has no object mask")
    return np.asarray(_decode(stored, name, "the object mask", MASK_FORMATS, "L")) > 0
