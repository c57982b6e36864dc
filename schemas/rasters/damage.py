"""Damage that decoders swallow: they fill what they cannot read and hand the picture over as if it were whole.

PNG has checksums, which Pillow skips in the pixels' chunks (PNG, Third Edition, 5.3). JPEG has none, but libjpeg warns
of entropy-coded data that does not fit, which Pillow does not pass on and simplejpeg does.
"""

from __future__ import annotations

import re
from typing import Final

import deflate
import numpy as np
import simplejpeg
from numpy.typing import NDArray

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LENGTH: Final = 4  # bytes of a chunk's length, of its name and of its checksum
_MARKER: Final = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
"""The next marker behind entropy-coded data, where 0xFF is followed by 0 or a restart's number (ITU T.81, B.1.1)."""
_ALONE: Final = frozenset(b"\x01\xd8")  # markers without a segment: TEM and SOI
_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9
_COLOURS: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
"""Pillow's mode to simplejpeg's name of it."""
_HARMFUL: Final = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
"""Beginnings of libjpeg's warnings (jerror.h) of pixels that are guessed."""
_HARMLESS: Final = "bad ICC marker"  # of the colour profile, which is never applied


def png_damage(data: bytes) -> str:
    """What is wrong with the chunks of a PNG: a checksum, or an end that is not there; empty for a sound one."""
    view, start = memoryview(data), len(_PNG_SIGNATURE)
    if not data.startswith(_PNG_SIGNATURE):
        return "no PNG"
    while start + 3 * _LENGTH <= len(data):
        length = int.from_bytes(view[start : start + _LENGTH])
        name, end = bytes(view[start + _LENGTH : start + 2 * _LENGTH]), start + 2 * _LENGTH + length
        if end + _LENGTH > len(data):
            break
        if deflate.crc32(view[start + _LENGTH : end]) != int.from_bytes(view[end : end + _LENGTH]):
            return f"the checksum of the chunk {name.decode('ascii', 'backslashreplace')} at byte {start} is wrong"
        if name == b"IEND":
            return ""
        start = end + _LENGTH
    return "cut off: no chunk IEND"


def decode_jpeg(data: bytes, mode: str) -> tuple[NDArray[np.uint8] | None, str]:
    """Decode a JPEG and hear libjpeg's warnings; the pixels are those that Pillow decodes, bit for bit.

    Args:
        data: The file.
        mode: Pillow's mode of it.

    Returns:
        Pixels, ``(H, W, 3)`` uint8 RGB, and nothing; or None and the warning. None and nothing for a mode that is
        Pillow's own to convert, and no warning.
    """
    if mode not in _COLOURS:
        return None, ""
    try:
        pixels = simplejpeg.decode_jpeg(data, _COLOURS[mode], strict=True)
    except ValueError as error:
        return None, str(error)
    if mode == "CMYK":
        return None, ""
    return (np.repeat(pixels, 3, axis=2) if mode == "L" else pixels), ""


def is_harmful(warning: str) -> bool:
    """Whether a warning of libjpeg's is about pixels; others are of headers and profiles."""
    return warning.startswith(_HARMFUL) and _HARMLESS not in warning


def ends_oddly(data: bytes, format_name: str) -> bool:
    """Whether bytes follow the end of a picture, or its end is not marked; False for TIFF, which has no order."""
    if format_name == "JPEG":
        return _jpeg_end(data) != len(data)
    if format_name == "PNG":
        return not data.endswith(b"\0\0\0\0IEND\xae\x42\x60\x82") or data.find(b"\0\0\0\0IEND") != len(data) - 12
    if format_name == "WEBP":
        length = int.from_bytes(data[4:8], "little") + 8
        return length + length % 2 < len(data)
    if format_name == "BMP":
        return 0 < int.from_bytes(data[2:6], "little") < len(data)
    return format_name == "GIF" and not data.endswith(b";")


def _jpeg_end(data: bytes) -> int:
    """Offset of the first byte behind the first end-of-image marker; -1 where there is none."""
    start = 0
    while match := _MARKER.search(data, start):
        marker, start = data[match.end() - 1], match.end()
        if marker == _END_OF_IMAGE:
            return start
        if marker not in _ALONE:
            start += int.from_bytes(data[start : start + 2])  # the segment; behind that of a scan follow its data
        if marker == _START_OF_SCAN and data.find(b"\xff\xd9", start) == len(data) - 2:
            return len(data)  # the marker's bytes are nowhere else: most photos are done here, ten times as fast
    return -1
