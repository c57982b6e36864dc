"""Damage that decoders swallow: they fill what they cannot read and hand the picture over as if it were whole.

PNG has checksums, which Pillow skips in the pixels' chunks (PNG, Third Edition, 5.3) and in what they unpack to. JPEG
has none, but libjpeg warns of entropy-coded data that does not fit, which Pillow does not pass on and simplejpeg does.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import deflate
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from figureground.schemas.rasters.sizes import MOST_PIXELS

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LENGTH: Final = 4  # bytes of a chunk's length, of its name and of its checksum
_HEADER: Final = struct.Struct(">IIBBBBB")  # width, height, bits, colour, compression, filter, interlace
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type (PNG, Third Edition, table 11.1)
_PALETTE: Final = 3
_LAST_FILTER: Final = 4
_ADAM7: Final = (  # first column and row of each pass, and the steps (PNG, Third Edition, 8.1)
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_COMPRESSION: Final = 259  # tags of TIFF 6.0 and its technical notes
_STRIPS: Final = (273, 279)  # offsets and lengths
_TILES: Final = (324, 325)
_JPEG_TABLES: Final = 347
_TIFF_ZLIB: Final = (8, 32946)
_TIFF_JPEG: Final = 7
_AT_A_TIME: Final = 1 << 20
_MARKER: Final = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
"""The next marker behind entropy-coded data, where 0xFF is followed by 0 or a restart's number (ITU T.81, B.1.1)."""
_ALONE: Final = frozenset(b"\x01\xd8")  # markers without a segment: TEM and SOI
_START_OF_SCAN: Final = 0xDA
_FRAMES: Final = (0xC0, 0xC1, 0xC2)
_PROGRESSIVE: Final = 0xC2
_BANDS: Final = 64  # coefficients of a block
_END_OF_IMAGE: Final = 0xD9
_COLOURS: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
"""Pillow's mode to simplejpeg's name of it."""
_HARMFUL: Final = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
"""Beginnings of libjpeg's warnings (jerror.h) of pixels that are guessed."""
_HARMLESS: Final = "bad ICC marker"  # of the colour profile, which is never applied


def png_damage(data: bytes) -> str:
    """What is wrong with a PNG: a checksum, pixels that are not all there, an end that is none; else nothing."""
    view, start, parts = memoryview(data), len(_PNG_SIGNATURE), dict[bytes, list[memoryview]]()
    if not data.startswith(_PNG_SIGNATURE):
        return "no PNG"
    while start + 3 * _LENGTH <= len(data):
        length = int.from_bytes(view[start : start + _LENGTH])
        name, end = bytes(view[start + _LENGTH : start + 2 * _LENGTH]), start + 2 * _LENGTH + length
        if end + _LENGTH > len(data):
            break
        if deflate.crc32(view[start + _LENGTH : end]) != int.from_bytes(view[end : end + _LENGTH]):
            return f"the checksum of the chunk {name.decode('ascii', 'backslashreplace')} at byte {start} is wrong"
        parts.setdefault(name, []).append(view[start + 2 * _LENGTH : end])
        if name == b"IEND":
            return _png_pixel_damage(parts)
        start = end + _LENGTH
    return "cut off: no chunk IEND"


def _png_pixel_damage(parts: Mapping[bytes, Sequence[memoryview]]) -> str:
    """What is wrong with the pixels in whole chunks: decoders leave rows that are not there, or not known, black.

    Headers that are none, and pictures of more pixels than are read anyway, are left to the decoder.
    """
    header = bytes((parts.get(b"IHDR") or [memoryview(b"")])[0])
    if len(header) != _HEADER.size or b"IDAT" not in parts:
        return ""
    width, height, bits, colour, *_, interlace = _HEADER.unpack(header)
    if colour not in _CHANNELS or not 0 < width * height <= MOST_PIXELS:
        return ""
    if colour == _PALETTE and b"PLTE" not in parts:
        return "no palette: a chunk PLTE"
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    rows = [(-(-(height - y) // dy), -(-(width - x) // dx)) for x, y, dx, dy in passes if height > y and width > x]
    sizes = [(count, 1 + (columns * _CHANNELS[colour] * bits + 7) // 8) for count, columns in rows]
    expected, packed = sum(count * stride for count, stride in sizes), b"".join(parts[b"IDAT"])
    try:
        pixels = deflate.zlib_decompress(packed, expected)
    except deflate.DeflateError:
        return _unpacking_damage(packed, expected)
    if len(pixels) < expected:
        return f"cut off: {len(pixels)} of {expected} bytes of pixels"
    levels, start = np.frombuffer(pixels, np.uint8), 0
    for count, stride in sizes:
        if levels[start : start + count * stride : stride].max() > _LAST_FILTER:
            return "a row of pixels has a filter that PNG does not know"
        start += count * stride
    return ""


def _unpacking_damage(packed: bytes, expected: int) -> str:
    """What is wrong with packed pixels that did not unpack to a number of bytes; nothing where there are only more."""
    unpacker = zlib.decompressobj()
    try:
        pixels = unpacker.decompress(packed, expected + 1)
    except zlib.error as error:
        return f"pixels that do not unpack: {error}"
    if len(pixels) > expected:
        return ""
    return f"cut off: {len(pixels)} of {expected} bytes of pixels, and no checksum of them"


def tiff_damage(tags: Mapping[int, Any], data: bytes) -> str:
    """What is wrong with the packed pixels of a TIFF, by its tags; empty for a sound one, and for other packings.

    Of those that are read, libtiff itself refuses LZW; nothing tells a changed byte of pixels that are not packed.
    """
    compression = tags.get(_COMPRESSION)
    offsets, counts = (tags.get(_STRIPS[0]) or tags.get(_TILES[0])), (tags.get(_STRIPS[1]) or tags.get(_TILES[1]))
    if compression not in (*_TIFF_ZLIB, _TIFF_JPEG) or not offsets or not counts:
        return ""
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=False)):
        part = data[offset : offset + count]
        if compression == _TIFF_JPEG:
            tables = bytes(tags.get(_JPEG_TABLES) or b"\xff\xd8\xff\xd9")
            warning = decode_jpeg(tables[:-2] + part[2:], "RGB")[1]
            if is_harmful(warning):
                return f"part {number}: pixels are guessed, libjpeg says: {warning}"
            continue
        unpacker, rest = zlib.decompressobj(), part
        try:
            while rest and not unpacker.eof:
                unpacker.decompress(rest, _AT_A_TIME)
                rest = unpacker.unconsumed_tail
        except zlib.error as error:
            return f"part {number} does not unpack: {error}"
        if not unpacker.eof:
            return f"part {number} is cut off"
    return ""


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


def lacks_scans(data: bytes) -> bool:
    """Whether a progressive JPEG ends before all bits of its coefficients came (ITU T.81, G.1.1.1).

    A file that was cut between two scans and closed with an end marker is a coarser picture, of which libjpeg says
    nothing.
    """
    start, left = 0, dict[tuple[int, int], int]()
    progressive = False
    while match := _MARKER.search(data, start):
        marker, start = data[match.end() - 1], match.end()
        if marker in _FRAMES and not progressive:
            if marker != _PROGRESSIVE or len(data) < start + 8:
                return False
            progressive = True
            parts = data[start + 8 : start + 8 + 3 * data[start + 7] : 3]
            left = {(part, band): 1 for part in parts for band in range(_BANDS)}
        if marker == _START_OF_SCAN and progressive:
            count = int.from_bytes(data[start + 2 : start + 3])
            parts, tail = data[start + 3 : start + 3 + 2 * count : 2], data[start + 3 + 2 * count :][:3]
            if len(tail) < 3:
                break
            first, last, bits = tail
            left.update({(part, band): bits & 15 for part in parts for band in range(first, min(last, _BANDS - 1) + 1)})
        if marker == _END_OF_IMAGE:
            break
        if marker not in _ALONE:
            start += int.from_bytes(data[start : start + 2])
    return any(left.values())


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
