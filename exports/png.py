"""PNG files of published images: one encoder, whose bytes are the same on every machine (docs/adr/0009)."""

from __future__ import annotations

import struct
from typing import Final

import deflate
import numpy as np

from figureground.build.views import Canvas

_LEVEL: Final = 1
PNG_ENCODER: Final = {"library": "libdeflate", "level": _LEVEL, "filter": "average"}
"""The one encoder of every published image, named in recipe.lock.json: equal lock, equal file bytes."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_AVERAGE: Final = 3
_DEPTH_BITS: Final = 8
_RGB: Final = 2


def encode_png(image_rgb: Canvas) -> bytes:
    """Encode a ``(H, W, 3)`` uint8 RGB canvas as PNG with ``PNG_ENCODER``."""
    height, width = image_rgb.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, _DEPTH_BITS, _RGB, 0, 0, 0)  # deflate, filters, not interlaced
    pixels = deflate.zlib_compress(filtered_rows(image_rgb), _LEVEL)
    return b"".join([_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")])


def filtered_rows(image_rgb: Canvas) -> bytes:
    """Rows of a ``(H, W, 3)`` uint8 RGB canvas as PNG compresses them: each behind its filter's number.

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


def _chunk(kind: bytes, data: bytes | bytearray) -> bytes:
    checksum = deflate.crc32(data, deflate.crc32(kind))
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)])
