"""Photos: stored bytes to pixels, without ever applying an EXIF rotation, and what makes a photo unusable."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from figureground.errors import FigureGroundError
from figureground.schemas.rasters.damage import (
    cannot_hold,
    decode_jpeg,
    ends_oddly,
    is_harmful,
    padded_pixels,
    png_damage,
    says_cut_off,
    tiff_damage,
)
from figureground.schemas.rasters.jpeg_files import jpeg_excess, lacks_scans
from figureground.schemas.rasters.sizes import MOST_PIXELS, ORDER, spell_size

_MOST_WHOLE_PIXELS: Final = 40_000_000
"""Photos of more are converted strip by strip: 1.2 GB become 0.7 at 100 megapixels."""
_STRIP_PIXELS: Final = 4_000_000
_MOST_RUN_PIXELS: Final = 4_000_000
"""Of a BMP that is packed by runs: Pillow unpacks those in Python, pixel by pixel."""
_MOST_COMMENTS: Final = 1000
"""Of a GIF: Pillow joins them one by one, which takes the square of their number."""

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_FOREIGN_FORMATS: Final = (
    (0, b"8BPS", "PSD"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "EPS"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"ftyp", "HEIF, AVIF or video"),
)
_SIXTEEN_BIT_MODES: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_MODE_FLAGS: Final = {
    "1": ("grey",),
    "L": ("grey",),
    "LA": ("alpha", "grey"),
    "P": ("palette",),
    "PA": ("alpha", "palette"),
    "RGB": (),
    "RGBX": (),
    "RGBA": ("alpha",),
    "CMYK": ("cmyk",),
    "YCbCr": (),
}

_JPEG_BEGINNING: Final = b"\xff\xd8"
_EXIF_ORIENTATION: Final = 0x0112
_TIFF_WIDTH: Final = 256
_TIFF_HEIGHT: Final = 257
_TIFF_BITS: Final = 258
_PNG_BIT_DEPTH: Final = 24  # offset of IHDR's bit depth

_UNDO_ROTATION: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""Orientation to the inverse of what Pillow does for it."""


class PhotoRejected(FigureGroundError):
    """A photo that cannot be used.

    ``reason`` is a stable code: ``zero_byte``, ``unreadable``, ``truncated``, ``damaged``, ``sixteen_bit``,
    ``animated``, ``too_large`` or ``unsupported_format``; ``detail`` says more.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it survives the way out of a worker process
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        """Code and detail."""
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFacts:
    """Facts of a photo that its header holds."""

    width: int
    """Stored width in pixels, before any EXIF rotation."""
    height: int
    """Stored height in pixels, before any EXIF rotation."""
    exif_orientation: int
    """1 to 8; 1 where there is none or a senseless one."""
    format: str
    """Pillow's name of the format, such as ``JPEG``."""
    flags: tuple[str, ...]
    """Unusual but usable: ``alpha``, ``cmyk``, ``grey``, ``palette``; ``odd_end`` where bytes follow the photo's end or
    the end is not marked, ``scans_missing`` where a progressive JPEG ends before its last scan, ``jpeg_warning`` where
    libjpeg warns of something else than pixels. Sorted."""


def read_photo(data: bytes) -> tuple[PhotoFacts, NDArray[np.uint8]]:
    """Facts and pixels of a photo, from one decode: ``(H, W, 3)`` uint8 RGB, stored orientation.

    CMYK, palette, grey and alpha go through Pillow's ``convert("RGB")`` and are flagged. Damage that Pillow swallows is
    looked for: checksums of PNG, pixels that do not unpack, warnings of libjpeg, bytes behind the end.

    Raises:
        PhotoRejected: if it cannot be used, for any reason.
    """
    with _opened(data) as image:
        facts = _inspect(image, data)
        pixels, warning = decode_jpeg(data, image.mode) if facts.format in ("JPEG", "MPO") else (None, "")
        if is_harmful(warning):
            if says_cut_off(warning):
                _convert(image, facts)  # Pillow says how much is missing
            raise PhotoRejected("damaged", f"pixels are guessed, libjpeg says: {warning}")
        pixels = _convert(image, facts) if pixels is None else pixels
        if damage := _damage(image, data):
            raise PhotoRejected("truncated" if damage.startswith("cut off") else "damaged", damage)
        odd = {"jpeg_warning": bool(warning), "odd_end": ends_oddly(data, facts.format)}
        odd["scans_missing"] = facts.format in ("JPEG", "MPO") and lacks_scans(data)
    flags = {*facts.flags, *(flag for flag, is_there in odd.items() if is_there)}
    return replace(facts, flags=tuple(sorted(flags))), pixels


def _damage(image: Image.Image, data: bytes) -> str:
    """What is wrong with the pixels of a PNG or TIFF that was decoded; empty where nothing is known to be."""
    if image.format == "TIFF":
        return tiff_damage(getattr(image, "tag_v2", {}), data)
    if image.format != "PNG":
        return ""
    if image.mode == "P" and image.palette is not None:
        last, colours = int(np.asarray(image).max()), len(image.palette.palette) // len(image.palette.mode)
        if last >= colours:
            return f"pixels of colour {last}, and a palette of {colours}"
    return png_damage(data)


def decode_photo(data: bytes) -> NDArray[np.uint8]:
    """Pixels of a photo that was read before, ``(H, W, 3)`` uint8 RGB in stored orientation, as Pillow decodes them.

    Raises:
        PhotoRejected: if it cannot be decoded; damage that Pillow swallows is not looked for again.
    """
    with _opened(data) as image:
        return _convert(image, _inspect(image, data))


def _convert(image: Image.Image, facts: PhotoFacts) -> NDArray[np.uint8]:
    # Pillow rotates TIFF, and only TIFF, while it decodes; the stored raster is what masks are drawn on.
    undo = _UNDO_ROTATION.get(facts.exif_orientation) if facts.format == "TIFF" else None
    if undo is None and image.width * image.height > _MOST_WHOLE_PIXELS:
        return _convert_in_strips(image)
    rgb = image.convert("RGB")
    return np.asarray(rgb if undo is None else rgb.transpose(undo))


def _convert_in_strips(image: Image.Image) -> NDArray[np.uint8]:
    """The same pixels with a few rows at a time: whole, a photo of 100 megapixels stands in memory four times."""
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)).convert("RGB"))
    return pixels


def perceptual_hash(photo_rgb: NDArray[np.uint8]) -> str:
    """64-bit perceptual hash of ``(H, W, 3)`` uint8 RGB, 16 hex digits (imagehash's DCT hash)."""
    import imagehash  # with SciPy a second, which workers that only render would pay

    return str(imagehash.phash(Image.fromarray(photo_rgb)))


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """An opened photo; whatever Pillow raises on hostile bytes, here or in the block, becomes ``PhotoRejected``."""
    if not data:
        raise PhotoRejected("zero_byte", "the file is empty")
    if excess := _excess(data):
        raise PhotoRejected("too_large", excess)
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False  # others switch it on globally
    try:
        with warnings.catch_warnings():
            # Pillow warns of large photos and odd metadata; the size is judged here, the rest is not ours to judge.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                yield image
    except PhotoRejected:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoRejected("too_large", f"more than {MOST_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged bytes, struct.error to KeyError
        message = str(error) or type(error).__name__
        cut_off = isinstance(error, EOFError) or "truncated" in message.lower() or _ends_early(data)
        raise PhotoRejected("truncated" if cut_off else "unreadable", message) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _excess(data: bytes) -> str:
    """Why a file would take Pillow far more time than its pixels do, before it is opened; empty where it would not."""
    if data.startswith(_JPEG_BEGINNING):
        return jpeg_excess(data)
    # By chance these two bytes stand once in 65,536 packed ones.
    if data.startswith(b"GIF8") and data.count(b"!\xfe") > _MOST_COMMENTS + len(data) // 16_384:
        return f"a GIF of more than {_MOST_COMMENTS} comments"
    return ""


def _unidentified(data: bytes) -> PhotoRejected:
    for offset, magic, name in _FOREIGN_FORMATS:
        if data.startswith(magic, offset):
            return PhotoRejected("unsupported_format", f"{name}; give one of {', '.join(_FORMATS)}")
    if _ends_early(data):
        return PhotoRejected("truncated", f"the header speaks of more than {len(data)} bytes")
    return PhotoRejected("unreadable", f"not one of {', '.join(_FORMATS)}")


def _ends_early(data: bytes) -> bool:
    """Whether a WebP's declared length, or a TIFF's first directory, lies beyond the end of the bytes."""
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if data.startswith((b"II*\0", b"MM\0*")):
        return int.from_bytes(data[4:8], "little" if data.startswith(b"I") else "big") >= len(data)
    return False


def _inspect(image: Image.Image, data: bytes) -> PhotoFacts:
    tags = getattr(image, "tag_v2", {})  # TIFF only; there image.size is the rotated size
    width, height = tags.get(_TIFF_WIDTH, image.size[0]), tags.get(_TIFF_HEIGHT, image.size[1])
    if width * height > MOST_PIXELS:
        raise PhotoRejected("too_large", f"{spell_size((height, width))} is more than {MOST_PIXELS:,} pixels")
    if padded_pixels(tags) > 2 * MOST_PIXELS:
        raise PhotoRejected("too_large", f"tiles of more than {2 * MOST_PIXELS:,} pixels")
    parts = getattr(image, "tile", ())  # of files; what Pillow makes itself has none
    if parts and parts[0][0] == "bmp_rle" and width * height > _MOST_RUN_PIXELS:
        detail = f"a BMP that is packed by runs may have {_MOST_RUN_PIXELS:,} pixels, this one has more; save it as PNG"
        raise PhotoRejected("too_large", detail)
    if cannot_hold(data, image.format or "", (height, width), tags):
        detail = f"{len(data)} bytes cannot hold {spell_size((height, width))} {ORDER} pixels"
        raise PhotoRejected("truncated", detail)
    # A camera's MPO is a photo with previews behind it, not an animation.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise PhotoRejected("animated", "more than one frame or page")
    if image.mode in _SIXTEEN_BIT_MODES or _stores_sixteen_bit(image, data, tags.get(_TIFF_BITS, (8,))):
        raise PhotoRejected("sixteen_bit", f"mode {image.mode}: conversion to 8 bit would be a choice")
    if image.mode not in _MODE_FLAGS:
        raise PhotoRejected("unsupported_format", f"{image.format} of mode {image.mode}")
    flags = {*_MODE_FLAGS[image.mode], *(["alpha"] if "transparency" in image.info else [])}
    return PhotoFacts(
        width=width,
        height=height,
        exif_orientation=_orientation(image),
        format=image.format or "",
        flags=tuple(sorted(flags)),
    )


def _stores_sixteen_bit(image: Image.Image, data: bytes, tiff_bits: tuple[int, ...]) -> bool:
    """Whether a colour PNG or TIFF stores 16 bits a channel, which Pillow would cut to 8 without a word."""
    return (image.format == "PNG" and data[_PNG_BIT_DEPTH] == 16) or max(tiff_bits) > 8


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged EXIF: the photo itself is whole, and nothing of EXIF is ever applied
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
