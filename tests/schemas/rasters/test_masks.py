"""Every codec gives back the very mask, and refuses what is not one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from strategies import masks

from figureground.errors import DataError
from figureground.schemas.rasters.masks import (
    CocoRle,
    Mask,
    decode_coco_rle,
    decode_npy,
    decode_png1,
    encode_coco_rle,
    encode_npy,
    encode_png1,
    pixels_sha256,
    tight_box,
)


@given(masks())
def test_coco_rle_round_trip(mask: Mask) -> None:
    decoded = decode_coco_rle(encode_coco_rle(mask), size_hw=(mask.shape[0], mask.shape[1]))
    assert decoded.dtype == np.bool_
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, mask)


@given(masks())
def test_coco_rle_is_what_pycocotools_reads(mask: Mask) -> None:
    rle = encode_coco_rle(mask)
    theirs = coco_mask.decode({"size": list(rle.size_hw), "counts": rle.counts.encode()})
    np.testing.assert_array_equal(theirs.astype(np.bool_), mask)


@given(masks())
def test_png1_round_trip_and_bit_depth(mask: Mask) -> None:
    data = encode_png1(mask)
    assert data[24] == 1  # IHDR: bit depth
    np.testing.assert_array_equal(decode_png1(data), mask)


@given(masks())
def test_npy_round_trip(mask: Mask) -> None:
    np.testing.assert_array_equal(decode_npy(encode_npy(mask)), mask)


@given(masks())
def test_tight_box_holds_every_pixel_and_no_margin(mask: Mask) -> None:
    box = tight_box(mask)
    if box is None:
        assert not mask.any()
        return
    x0, y0, x1, y1 = box
    inside = mask[y0:y1, x0:x1]
    assert inside.sum() == mask.sum()
    assert inside[0].any()
    assert inside[-1].any()
    assert inside[:, 0].any()
    assert inside[:, -1].any()


def _grey_png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((3, 4), 200, dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


GOOD = encode_coco_rle(np.eye(12, 9, dtype=np.bool_))


@pytest.mark.parametrize(
    ("rle", "expected"),
    [
        pytest.param(
            CocoRle(size_hw=(12, 9), counts=GOOD.counts[:-3]), "runs that fill 9x12 (width x height)", id="cut off"
        ),
        pytest.param(CocoRle(size_hw=(9, 12), counts=GOOD.counts + GOOD.counts), "runs that fill", id="too long"),
        pytest.param(CocoRle(size_hw=(13, 9), counts=GOOD.counts), "runs that fill 9x13", id="wrong height"),
        pytest.param(CocoRle(size_hw=(12, 9), counts="a b"), "the character ' '", id="not RLE"),
        pytest.param(CocoRle(size_hw=(12, 9), counts=GOOD.counts + "o"), "RLE cut off or damaged", id="open run"),
        pytest.param(CocoRle(size_hw=(12, 9), counts="@"), "RLE cut off or damaged", id="negative run"),
        pytest.param(CocoRle(size_hw=(12, 9), counts="\\S" + "P" * 11 + "1"), "RLE cut off", id="108 and 2**65"),
        pytest.param(CocoRle(size_hw=(12, 9), counts="0\ud800"), "the character", id="half a character"),
        pytest.param(CocoRle(size_hw=(12, 9), counts=""), "runs that fill 9x12 (width x height)", id="no runs"),
    ],
)
def test_damaged_rle_is_refused(rle: CocoRle, expected: str) -> None:
    with pytest.raises(DataError, match="object 7") as caught:
        decode_coco_rle(rle, record="object 7")
    assert expected in str(caught.value)


def test_rle_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected size 12x9 \(width x height\), got 9x12"):
        decode_coco_rle(GOOD, size_hw=(9, 12))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(_grey_png(), "PNG of mode L", id="grey"),
        pytest.param(b"", "a 1-bit PNG", id="nothing"),
        pytest.param(encode_png1(np.ones((50, 50), dtype=np.bool_))[:45], "a 1-bit PNG", id="truncated"),
    ],
)
def test_png_that_is_no_mask_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        decode_png1(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(_npy(np.full((2, 2), 255, dtype=np.uint8)), "array of 0 and 1", id="255"),
        pytest.param(_npy(np.zeros((2, 2, 3), dtype=np.uint8)), "shape \\(2, 2, 3\\)", id="colour"),
        pytest.param(_npy(np.array([{}], dtype=object)), "without pickle", id="pickle"),
        pytest.param(b"nonsense", "a .npy file", id="nonsense"),
    ],
)
def test_npy_that_is_no_mask_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        decode_npy(data)


def test_encoders_take_bool_only() -> None:
    grey: Any = np.zeros((2, 2), dtype=np.uint8)
    for encode in (encode_coco_rle, encode_png1, encode_npy):
        with pytest.raises(TypeError, match="bool"):
            encode(grey)


def test_pixels_sha256_tells_shape_and_order() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert pixels_sha256(image) == pixels_sha256(np.asfortranarray(image))
    assert pixels_sha256(image) != pixels_sha256(image.reshape(4, 2, 3))
    # sha256 of b"2 4 3\0" + bytes(range(24)), computed with coreutils
    assert pixels_sha256(image) == "758ee357d3a4c0a7f59f8bae9b2cae4f93864896098e73c91b6a5d09699f8de5"
