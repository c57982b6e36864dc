# NOTE-TO-HELPER-3: the lead wrote this file because yours had not appeared; do NOT overwrite it. Review it,
# improve it in place by small edits where yours was better or it has a fault, and write the tests against it.
"""Photos: stored bytes to pixels, without ever applying an EXIF rotation, and what makes a photo unusable."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from figureground.errors import FigureGroundError

MOST_PIXELS: Final = 100_000_000
"""Photos of more pixels are refused before they are decoded."""

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_EXIF_ORIENTATION: Final = 0x0112
_SIXTEEN_BIT_MODES: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_MODE_FLAGS: Final = {
    "1": ("grey",), "L": ("grey",), "LA": ("alpha", "grey"), "P": ("palette",), "PA": ("alpha", "palette"),
    "RGB": (), "RGBA": ("alpha",), "CMYK": ("cmyk",), "YCbCr": (),
}  # fmt: skip


class PhotoRejected(FigureGroundError):
    """A photo that cannot be used; ``reason`` is a stable code, ``detail`` says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFacts:
    """What a photo's bytes say of it."""

    width: int
    """Stored width in pixels."""
    height: int
    """Stored height in pixels."""
    exif_orientation: int
    """1 to 8; 1 where there is none or a senseless one."""
    format: str
    """Pillow's name of the format, such as ``JPEG``."""
    flags: tuple[str, ...]
    """Unusual but usable: ``alpha``, ``cmyk``, ``grey``, ``palette``, sorted."""


def read_photo(data: bytes) -> tuple[PhotoFacts, NDArray[np.uint8]]:
    """Facts and pixels of a photo, from one decode: ``(H, W, 3)`` uint8 RGB, stored orientation.

    CMYK, palette, grey and alpha go through Pillow's ``convert("RGB")`` and are flagged.

    Raises:
        PhotoRejected: ``zero_byte``, ``unreadable``, ``truncated``, ``sixteen_bit``, ``animated`` or ``too_large``.
    """
    if not data:
        raise PhotoRejected("zero_byte", "the file is empty")
    with warnings.catch_warnings():
        # Pillow warns of large photos and odd metadata; the size is judged below, the rest is not ours to judge.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                facts = _inspect(image)
                return facts, np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            reason = "too_large" if isinstance(error, Image.DecompressionBombError) else "unreadable"
            raise PhotoRejected(reason, str(error).replace("<_io.BytesIO object", "<bytes")) from error
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            message = str(error) or type(error).__name__
            cut_off = isinstance(error, EOFError) or "truncated" in message or "Truncated" in message
            raise PhotoRejected("truncated" if cut_off else "unreadable", message) from error


def decode_photo(data: bytes) -> NDArray[np.uint8]:
    """Pixels of a photo, ``(H, W, 3)`` uint8 RGB in stored orientation. Raises as ``read_photo``."""
    return read_photo(data)[1]


def perceptual_hash(photo_rgb: NDArray[np.uint8]) -> str:
    """64-bit perceptual hash, 16 hex digits (imagehash's DCT hash)."""
    return str(imagehash.phash(Image.fromarray(photo_rgb)))


def _inspect(image: Image.Image) -> PhotoFacts:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise PhotoRejected("too_large", f"{width}x{height} is more than {MOST_PIXELS:,} pixels")
    frames = getattr(image, "n_frames", 1)
    # A camera's MPO is a photo with previews behind it, not an animation.
    if frames > 1 and image.format != "MPO":
        raise PhotoRejected("animated", f"{frames} frames")
    if image.mode in _SIXTEEN_BIT_MODES or _declares_sixteen_bit(image):
        raise PhotoRejected("sixteen_bit", f"mode {image.mode}: conversion to 8 bit would be a choice")
    if image.mode not in _MODE_FLAGS:
        raise PhotoRejected("unreadable", f"unknown mode {image.mode}")
    flags = set(_MODE_FLAGS[image.mode])
    if "transparency" in image.info:
        flags.add("alpha")
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    valid = isinstance(orientation, int) and 1 <= orientation <= 8
    return PhotoFacts(
        width=width,
        height=height,
        exif_orientation=orientation if valid else 1,
        format=image.format or "",
        flags=tuple(sorted(flags)),
    )


def _declares_sixteen_bit(image: Image.Image) -> bool:
    """Whether a PNG or TIFF stores 16 bits a channel, which Pillow would cut to 8 without a word."""
    if image.format == "PNG":
        tile = getattr(image, "tile", [])
        return any(";16" in str(entry[3]) for entry in tile)
    tags = getattr(image, "tag_v2", {})
    return max(tags.get(258, (8,)), default=8) > 8
