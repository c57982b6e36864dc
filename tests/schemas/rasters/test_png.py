"""How images are stored: losslessly, by the encoder that the lock names."""

from __future__ import annotations

import hashlib
import io
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from figureground.schemas.rasters.png import PNG_ENCODER, encode_bits, encode_png

AVERAGE = 3
"""The number of that filter in PNG."""


def filters(png: bytes, size_hw: tuple[int, int]) -> set[int]:
    """Filters of a PNG's rows, read from its compressed data (PNG specification, sections 5.3 and 9.2)."""
    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    return set(zlib.decompress(data)[:: 1 + 3 * size_hw[1]])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.booleans())
def test_an_image_comes_back_pixel_by_pixel(height: int, width: int, seed: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    image = (
        np.full((height, width, 3), (1, 2, 3), np.uint8) if flat else rng.integers(0, 256, (height, width, 3), np.uint8)
    )
    png = encode_png(image)
    with Image.open(io.BytesIO(png)) as decoded:
        assert (decoded.format, decoded.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(decoded), image)
    assert encode_png(image.copy()) == png


def test_the_lock_names_the_filter_that_is_used() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert PNG_ENCODER["filter"] == "average"
    assert filters(encode_png(photo), (50, 60)) == {AVERAGE}


def test_file_bytes_are_those_of_every_machine_and_day() -> None:
    ramps = np.add.outer(np.arange(64) * 3, np.arange(96) * 5)
    image = ((ramps[..., None] + np.array([0, 40, 90])) % 256).astype(np.uint8)
    files = {"image": encode_png(image), "mask": encode_bits(ramps % 101 < 40)}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in files.items()} == {
        "image": "88867672b719db1e58da76c1786ee34d253566f48b8a741381af3b15c2428507",
        "mask": "831e641abca3484b43427cca45be9ed949c90b1f272b1b53284be3ccad5be03e",
    }
