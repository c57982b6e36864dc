"""Damage that decoders swallow: they fill what they cannot read and hand the picture over as if it were whole.

PNG has checksums, which Pillow skips in the pixels' chunks (PNG, Third Edition, 5.3) and in what they unpack to. JPEG
has none, but libjpeg warns of entropy-coded data that does not fit, which Pillow does not pass on and simplejpeg does.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import deflate
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from figureground.schemas.rasters.jpeg_files import jpeg_end, jpeg_excess
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
_WIDTH, _HEIGHT, _BITS, _SAMPLES = 256, 257, 258, 277  # tags of TIFF 6.0 and its technical notes
_COMPRESSION: Final = 259
_STRIPS: Final = (273, 279)  # offsets and lengths
_TILES: Final = (324, 325)
_TILE_SIDES: Final = (322, 323)
_JPEG_TABLES: Final = 347
_TIFF_LZW: Final = 5
_TIFF_ZLIB: Final = (8, 32946)
_TIFF_JPEG: Final = 7
_AT_A_TIME: Final = 1 << 20
_SLACK: Final = 1 << 20
"""Bytes more than a picture has that are no bomb yet."""
_TOO_MUCH: Final = "unpacks to more than the picture"
_PNG_BITS: Final = 24  # offset of IHDR's bit depth; the colour type follows
_MOST_DEFLATE: Final = 1032
"""Bytes that one byte unpacks to at most (zlib, Technical Details, "Maximum Compression Factor")."""
_MOST_LZW: Final = 4096
"""Likewise: a code of 9 to 12 bits stands for as many bytes as there are codes at most."""
_COLOURS: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
"""Pillow's mode to simplejpeg's name of it."""
_HARMFUL: Final = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
"""Beginnings of libjpeg's warnings (jerror.h) of pixels that are guessed."""
_HARMLESS: Final = "bad ICC marker"  # of the colour profile, which is never applied


def png_damage(data: bytes, *, most_bytes: int | None = None) -> str:
    """What is wrong with a PNG: a checksum, pixels that are not all there, an end that is none; else nothing.

    Args:
        data: The file.
        most_bytes: Pixels that unpack to more are left to the caller, who refuses them by their header; None for no
            bound beside that of all photos.
    """
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
            return _png_pixel_damage(parts, most_bytes)
        start = end + _LENGTH
    return "cut off: no chunk IEND"


def _png_pixel_damage(parts: Mapping[bytes, Sequence[memoryview]], most_bytes: int | None) -> str:
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
    expected = sum(count * stride for count, stride in sizes)
    if most_bytes is not None and expected > most_bytes:
        return ""
    packed = b"".join(parts[b"IDAT"])
    if expected > _MOST_DEFLATE * len(packed):
        return f"cut off: {len(packed)} bytes cannot hold {expected} of pixels"
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
    tables = bytes(tags.get(_JPEG_TABLES) or b"\xff\xd8\xff\xd9")
    view, room = memoryview(data), padded_pixels(tags) * max(1, _pixel_bits(tags) // 8) + _SLACK
    # A file may list a part any number of times, and a part may unpack to any size: nothing is read that needs more
    # bytes than the file has, or gives more than the picture.
    packed_room = 2 * len(data) + _SLACK
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=False)):
        part = view[offset : offset + count]
        packed_room -= len(part)
        if packed_room < 0:
            return "parts that lie over each other"
        if compression == _TIFF_JPEG:
            taken, damage = _jpeg_part_damage(tables[:-2] + bytes(part[2:]), room)
        else:
            taken, damage = _zlib_part_damage(part, room)
        if damage:
            return f"part {number} {damage}"
        room -= taken
    return ""


def padded_pixels(tags: Mapping[int, Any]) -> int:
    """Pixels of a TIFF with those that its tiles hold beyond its edges, by its tags."""
    width, height = (int(tags.get(tag) or 0) for tag in (_WIDTH, _HEIGHT))
    across, down = (int(tags.get(tag) or 0) for tag in _TILE_SIDES)
    if across < 1 or down < 1:
        return width * height
    return -(-width // across) * across * -(-height // down) * down


def _pixel_bits(tags: Mapping[int, Any]) -> int:
    bits = tags.get(_BITS) or (1,)
    return int(tags.get(_SAMPLES) or 1) * max(bits)


def _jpeg_part_damage(part: bytes, room: int) -> tuple[int, str]:
    """Bytes of pixels that a JPEG in a TIFF has, and what is wrong with it."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(part)
    except ValueError as error:
        return 0, f"does not unpack: {error}"
    if height * width > room or jpeg_excess(part):
        return 0, _TOO_MUCH
    warning = decode_jpeg(part, "RGB")[1]
    harm = f"has pixels that are guessed, libjpeg says: {warning}" if is_harmful(warning) else ""
    return height * width, harm


def _zlib_part_damage(part: memoryview, room: int) -> tuple[int, str]:
    """Bytes that a packed part of a TIFF unpacks to, and what is wrong with it."""
    unpacker, taken = zlib.decompressobj(), 0
    try:
        for start in range(0, len(part), _AT_A_TIME):  # a piece at a time: what is left over is copied in each step
            rest: bytes | memoryview = part[start : start + _AT_A_TIME]
            while rest and not unpacker.eof:
                taken += len(unpacker.decompress(rest, _AT_A_TIME))
                rest = unpacker.unconsumed_tail
                if taken > room:
                    return taken, _TOO_MUCH
    except zlib.error as error:
        return taken, f"does not unpack: {error}"
    return taken, "" if unpacker.eof else "is cut off"


def cannot_hold(data: bytes, format_name: str, size_hw: tuple[int, int], tags: Mapping[int, Any]) -> bool:
    """Whether a picture of a size cannot be in a file of so few bytes, however it was packed.

    Deflate gives 1032 bytes for one at most, LZW of 12 bits 4096. There is no such bound for WebP, nor for JPEG.

    Args:
        data: The file.
        format_name: Pillow's name of its format.
        size_hw: Height and width that its header tells.
        tags: Of a TIFF; empty for other formats.
    """
    bits, most = 8, _MOST_LZW
    if format_name == "PNG":
        bits, most = data[_PNG_BITS] * _CHANNELS.get(data[_PNG_BITS + 1], 1), _MOST_DEFLATE
    elif format_name == "TIFF":
        bits = _pixel_bits(tags)
        most = {_TIFF_LZW: _MOST_LZW, **dict.fromkeys(_TIFF_ZLIB, _MOST_DEFLATE)}.get(tags.get(_COMPRESSION, 1), 0)
    elif format_name != "GIF":
        return False
    return most > 0 and size_hw[0] * size_hw[1] * bits // 8 > most * len(data)


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
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if height * width > MOST_PIXELS:  # of a header that Pillow passed over
            return None, f"{_HARMFUL[0]}: {width} times {height} pixels"
        pixels = simplejpeg.decode_jpeg(data, _COLOURS[mode], strict=True)
    except ValueError as error:
        return None, str(error)
    if mode == "CMYK":
        return None, ""
    return (np.repeat(pixels, 3, axis=2) if mode == "L" else pixels), ""


def is_harmful(warning: str) -> bool:
    """Whether a warning of libjpeg's is about pixels; others are of headers and profiles."""
    return warning.startswith(_HARMFUL) and _HARMLESS not in warning


def says_cut_off(warning: str) -> bool:
    """Whether a warning of libjpeg's is that the file ends too early."""
    return warning.startswith("Premature end")


def ends_oddly(data: bytes, format_name: str) -> bool:
    """Whether bytes follow the end of a picture, or its end is not marked; False for TIFF, which has no order."""
    if format_name == "JPEG":
        return jpeg_end(data) != len(data)
    if format_name == "PNG":
        return not data.endswith(b"\0\0\0\0IEND\xae\x42\x60\x82") or data.find(b"\0\0\0\0IEND") != len(data) - 12
    if format_name == "WEBP":
        length = int.from_bytes(data[4:8], "little") + 8
        return length + length % 2 < len(data)
    if format_name == "BMP":
        return 0 < int.from_bytes(data[2:6], "little") < len(data)
    return format_name == "GIF" and not data.endswith(b";")
