"""PNG files: one encoder, whose bytes are the same on every machine (docs/adr/0009)."""

from __future__ import annotations

import struct
from typing import Final

import deflate
import numpy as np
from numpy.typing import NDArray

_LEVEL: Final = 1
_MASK_LEVEL: Final = 6
PNG_ENCODER: Final = {"library": "libdeflate", "level": _LEVEL, "filter": "average", "mask_level": _MASK_LEVEL}
"""The one encoder of every published image, named in recipe.lock.json: equal lock, equal file bytes."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_AVERAGE: Final = 3


def encode_png(image_rgb: NDArray[np.uint8]) -> bytes:
    """Encode a ``(H, W, 3)`` uint8 RGB image as PNG with ``PNG_ENCODER``."""
    return _file(image_rgb.shape[:2], filtered_rows(image_rgb), depth_bits=8, colour=_RGB, level=_LEVEL)


def encode_bits(bits_hw: NDArray[np.bool_]) -> bytes:
    """Encode a ``(H, W)`` bool array as grey PNG of one bit a pixel, unfiltered, with ``PNG_ENCODER``."""
    rows = np.pad(np.packbits(bits_hw, axis=1), ((0, 0), (1, 0)))  # each behind its filter's number, 0 for none
    return _file(bits_hw.shape, rows.tobytes(), depth_bits=1, colour=_GREY, level=_MASK_LEVEL)


def filtered_rows(image_rgb: NDArray[np.uint8]) -> bytes:
    """Rows of a ``(H, W, 3)`` uint8 RGB image as PNG compresses them: each behind its filter's number.

    A byte less the mean, rounded down, of those to its left and above it: PNG (Third Edition), 9.2, filter type 3.
    """
    height, width, channels = image_rgb.shape
    framed = np.zeros((height + 1, (width + 1) * channels), dtype=np.uint8)  # beyond the edges all is 0
    framed[1:, channels:] = image_rgb.reshape(height, -1)
    left, above, own = framed[1:, :-channels], framed[:-1, channels:], framed[1:, channels:]
    rows = np.full((height, 1 + width * channels), _AVERAGE, dtype=np.uint8)
    mean = (left & above) + ((left ^ above) >> 1)  # of bytes, without a sum that needs a ninth bit
    np.subtract(own, mean, out=rows[:, 1:])
    return rows.tobytes()


def _file(size_hw: tuple[int, ...], rows: bytes, *, depth_bits: int, colour: int, level: int) -> bytes:
    height, width = size_hw
    header = struct.pack(">IIBBBBB", width, height, depth_bits, colour, 0, 0, 0)  # deflate, filters, not interlaced
    pixels = deflate.zlib_compress(rows, level)
    return b"".join([_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes | bytearray) -> bytes:
    checksum = deflate.crc32(data, deflate.crc32(kind))
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)])
