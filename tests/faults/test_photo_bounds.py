"""Photos that ask for far more time or memory than they hold are refused before they are decoded."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import pytest
from photo_samples import draw_pixels, encode
from PIL import Image

from figureground.errors import DataError
from figureground.schemas.rasters.jpeg_files import MOST_SCANS, jpeg_end, jpeg_excess, lacks_scans
from figureground.schemas.rasters.masks import decode_png1
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo, read_photo
from figureground.schemas.rasters.sizes import MOST_PIXELS

PLAIN: Final = draw_pixels(1, 64, 64)
JPEG: Final = encode(PLAIN, "JPEG")
STEPS: Final = encode(PLAIN, "JPEG", progressive=True)
END: Final = b"\xff\xd9"
EXIF: Final = b"\xff\xe1\0\x12Exif\0\0II*\0\0\0\0\0xx"
FLAT: Final = zlib.compress(bytes(64 * 64 * 3))


def tiff(parts: Sequence[tuple[int, int]], data: bytes, *, packing: int = 8, **tags: int) -> bytes:
    """A TIFF of 64x64 pixels RGB whose parts, strips or tiles, are given as offset into the data, and length."""
    tiled = "across" in tags
    own = {256: 64, 257: 64, 258: 8, 259: packing, 262: 2, 277: 3}
    own |= {322: tags["across"], 323: tags["down"]} if tiled else {278: 64}
    places, lengths = (324, 325) if tiled else (273, 279)
    begin = 8 + 2 + 12 * (len(own) + 2) + 4
    many = len(parts) > 1
    behind = begin + (8 * len(parts) if many else 0)
    values: dict[int, list[int]] = {tag: [value] for tag, value in own.items()}
    values |= {places: [behind + start for start, _ in parts], lengths: [length for _, length in parts]}
    entries, more = b"", b""
    for tag, numbers in sorted(values.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        entries += struct.pack("<HHI", tag, 4, len(numbers))
        entries += packed if not many or len(numbers) == 1 else struct.pack("<I", begin + len(more))
        more += packed if len(numbers) > 1 else b""
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(values)) + entries + bytes(4) + more + data


def png(width: int, height: int, *, bits: int = 8, colour: int = 2, packed: bytes = FLAT) -> bytes:
    """A PNG of a size whose pixels are packed so."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    )
    sealed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(sealed)


def bmp_of_runs(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 1078) + head + bytes(1024) + b"\0\0" * 3 + b"\0\1"


BOMB: Final = zlib.compress(bytes(60_000_000), 9)
NOTHING: Final = b"\x78\x01" + b"\0\0\0\xff\xff" * 40_000 + b"\3\0\0\0\0\1"
"""Packed blocks of no byte."""
BOMBS: Final[dict[str, tuple[bytes, str, str]]] = {
    "a JPEG of 100,000 scans": (JPEG[:-2] + b"\xff\xda\0\2" * 100_000 + END + b"x", "too_large", "64 scans"),
    "scans that are whole": (STEPS[:-2] + STEPS[STEPS.rfind(b"\xff\xda") : -2] * 60 + END, "too_large", "64 scans"),
    "100,000 segments": (JPEG[:2] + b"\xff\xe9\0\2" * 100_000 + JPEG[2:], "too_large", "4096 segments"),
    "Exif in 20,000 pieces": (JPEG[:2] + EXIF * 20_000 + JPEG[2:], "too_large", "64 segments of Exif"),
    "Exif behind an end": (JPEG[:2] + END + EXIF * 20_000 + JPEG[2:], "too_large", "64 segments of Exif"),
    "filling of 3 MB": (JPEG[:2] + b"\xff" * 3_000_000 + JPEG[2:], "too_large", "65536 bytes between"),
    "a GIF of 100,000 comments": (b"GIF89a" + bytes(7) + b"!\xfe\1x\0" * 100_000, "too_large", "1000 comments"),
    "a BMP of runs": (bmp_of_runs(40_000_000, 2), "too_large", "packed by runs"),
    "a PNG that cannot be": (png(9_000, 10_000), "truncated", "bytes cannot hold 9000x10000"),
    "a TIFF whose tile is huge": (tiff([(0, len(FLAT))], FLAT, across=16_384, down=16_384), "too_large", "tiles"),
    "a strip of 60 MB": (tiff([(0, len(BOMB))], BOMB), "damaged", "unpacks to more than the picture"),
    "one strip 50,000 times": (tiff([(0, len(FLAT))] * 50_000, FLAT), "damaged", "unpacks to more than the picture"),
    "strips of nothing": (
        tiff([(0, len(FLAT)), *[(len(FLAT), len(NOTHING))] * 2_000], FLAT + NOTHING),
        "damaged",
        "parts that lie over each other",
    ),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_photo_of_more_work_than_pixels_is_refused_at_once(case: str) -> None:
    data, reason, words = BOMBS[case]
    began = time.process_time()
    with pytest.raises(PhotoRejected, match=words) as refused:
        read_photo(data)
    assert time.process_time() - began < 1
    assert refused.value.reason == reason


def test_a_jpeg_is_walked_in_the_time_of_its_bytes() -> None:
    filled, scanned = (STEPS[:-2] + more for more in (b"\xff" * 2_000_000 + b"\0", b"\xff\xda\0\2" * 100_000 + b"x"))
    began = time.process_time()
    assert not lacks_scans(filled)
    assert jpeg_end(filled) == jpeg_end(scanned) == -1
    assert (jpeg_excess(filled), jpeg_excess(scanned)) == ("", f"more than {MOST_SCANS} scans")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("width", "height", "bits", "colour"), [(9_000, 10_000, 16, 6), (13_000, 13_000, 8, 0), (9_000, 10_000, 1, 0)]
)
def test_a_mask_that_cannot_be_is_not_unpacked(width: int, height: int, bits: int, colour: int) -> None:
    packed = zlib.compress(bytes(9_000), 1) * 80 if bits == 16 else FLAT
    began = time.process_time()
    with pytest.raises(DataError, match=r"mode RGBA|mode L|bytes cannot hold"):
        decode_png1(png(width, height, bits=bits, colour=colour, packed=packed))
    assert time.process_time() - began < 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_photo_of_one_colour_and_nearly_the_most_pixels_is_read(kind: str) -> None:
    width, height = 10_000, MOST_PIXELS // 10_000 // 5
    stream = io.BytesIO()
    Image.new("P" if kind == "GIF" else "RGB", (width, height)).save(stream, kind)
    facts, pixels = read_photo(stream.getvalue())
    assert (facts.height, facts.width) == pixels.shape[:2] == (height, width)


@pytest.mark.parametrize("packing", ["tiff_adobe_deflate", "jpeg", "tiff_lzw"])
def test_sound_tiffs_have_room_for_what_they_hold(packing: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(draw_pixels(2, 333, 1111)).save(stream, "TIFF", compression=packing)
    np.testing.assert_array_equal(read_photo(stream.getvalue())[1], decode_photo(stream.getvalue()))
    facts, _ = read_photo(tiff([(0, len(FLAT))], FLAT, across=64, down=64))
    assert (facts.width, facts.height) == (64, 64)
