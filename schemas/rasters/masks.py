"""Masks and their lossless codecs.

Inside the program a mask is a ``(H, W)`` bool array in stored-pixel coordinates, ``[row, column]``, True on the
figure. Every other form lives at an edge and is reached through an ``encode_``/``decode_`` pair below.
"""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from pycocotools import mask as coco_mask

from figureground.errors import DataError
from figureground.schemas.rasters.arrays import read_array
from figureground.schemas.rasters.brush_rle import pack_mask, stream_bytes, unpack_alpha, zero_one_mask
from figureground.schemas.rasters.damage import png_damage
from figureground.schemas.rasters.png import encode_bits
from figureground.schemas.rasters.sizes import MOST_PIXELS, ORDER, spell_size

Mask = NDArray[np.bool_]
"""``(H, W)`` bool, ``[row, column]``, True on the figure."""

Box = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)`` in pixels, half-open: x0 ≤ x < x1, y0 ≤ y < y1."""

BRUSH_ALPHA = 128
"""Alpha, 0 to 255, from which a pixel that was painted in Label Studio is figure. Its brush leaves partial alpha at the
rim of a stroke: on thin structures >0, ≥128 and >254 give 1.53, 1.00 and 0.47 times the true area."""

_DATA_URL = "data:image/png;base64,"

_MOST_PNG1_BYTES = 2 * MOST_PIXELS
"""Of the unpacked rows of a 1-bit PNG: two each where they are one pixel wide."""

_MOST_DIGITS = 7
"""Base-32 digits of a run in COCO RLE: enough for 2**32 pixels either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoRle:
    """A mask as COCO compressed run-length encoding (column-major runs, LEB128-like text)."""

    size_hw: tuple[int, int]
    """Height and width of the mask in pixels."""
    counts: str
    """The runs as pycocotools writes them, ASCII."""


def encode_coco_rle(mask_hw: Mask) -> CocoRle:
    """Encode a mask as COCO RLE.

    Raises:
        TypeError: if ``mask_hw`` is not a two-dimensional bool array.
    """
    _require_mask(mask_hw)
    encoded = coco_mask.encode(np.asfortranarray(mask_hw.view(np.uint8)))
    counts = encoded["counts"]
    text = counts if isinstance(counts, str) else counts.decode("ascii")
    return CocoRle(size_hw=(mask_hw.shape[0], mask_hw.shape[1]), counts=text)


def decode_coco_rle(rle: CocoRle, *, size_hw: tuple[int, int] | None = None, record: str = "") -> Mask:
    """Decode COCO RLE to a ``(H, W)`` bool mask, C-contiguous. Arguments and errors are those of ``coco_runs``."""
    height, width = rle.size_hw
    runs = coco_runs(rle, size_hw=size_hw, record=record)
    values = np.arange(len(runs)) % 2 == 1  # runs alternate, the first is of ground
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def coco_runs(rle: CocoRle, *, size_hw: tuple[int, int] | None = None, record: str = "") -> NDArray[np.int64]:
    """Lengths of a COCO RLE's runs in pixels, column after column: ground, figure, ground and so on.

    Args:
        rle: The encoded mask.
        size_hw: The size that the mask must have (its photo's); None to trust the record.
        record: What to call the mask in an error.

    Raises:
        DataError: if the runs do not fill the size exactly, or the size is not ``size_hw``.
    """
    if size_hw is not None and tuple(rle.size_hw) != tuple(size_hw):
        raise DataError.single(
            "mask", record, expected=f"size {spell_size(size_hw)} {ORDER}", got=spell_size(rle.size_hw)
        )
    height, width = rle.size_hw
    runs = _runs(rle, record)
    if runs.sum() != height * width:
        raise DataError.single(
            "mask",
            record,
            expected=f"runs that fill {spell_size(rle.size_hw)} {ORDER}, {height * width} px",
            got=f"{runs.sum()} px",
            remedy="the RLE was cut off or belongs to another photo",
        )
    return runs


def _runs(rle: CocoRle, record: str) -> NDArray[np.int64]:
    """Run lengths of a COCO RLE (format: cocoapi, ``rleFrString``): numbers in base 32, lowest digit first.

    Read here because pycocotools decodes damaged runs without a word, even past the end of the mask.
    """
    codes = np.frombuffer(rle.counts.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64) - 48
    odd = (codes < 0) | (codes >= 64)
    if odd.any():
        char = rle.counts[int(odd.argmax())]
        raise DataError.single("mask", record, expected="COCO RLE text", got=f"the character {char!r}")
    ends = np.flatnonzero(codes & 0x20 == 0) + 1
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    digits = ends - starts
    runs: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    whole = ends[-1:].sum() == len(codes) and digits.max(initial=0) <= _MOST_DIGITS
    if whole and len(ends):
        exponents = np.arange(len(codes)) - np.repeat(starts, digits)
        runs = np.asarray(np.add.reduceat((codes & 0x1F) << (5 * exponents), starts), dtype=np.int64)
        runs -= np.where(codes[ends - 1] & 0x10, np.int64(1) << (5 * digits), 0)
        # From the third on, a run is stored as its difference from the one before the last.
        runs[1::2], runs[2::2] = runs[1::2].cumsum(), runs[2::2].cumsum()
    if not whole or (runs < 0).any():
        raise DataError.single("mask", record, expected="whole, non-negative runs", got="RLE cut off or damaged")
    return runs


def encode_png1(mask_hw: Mask) -> bytes:
    """Encode a mask as a 1-bit PNG (0 ground, 1 figure)."""
    _require_mask(mask_hw)
    return encode_bits(mask_hw)


def decode_png1(data: bytes, *, record: str = "") -> Mask:
    """Decode a 1-bit PNG to a ``(H, W)`` bool mask.

    Raises:
        DataError: if the bytes are not a whole PNG of mode 1: a grey mask would need a threshold, which is a choice.
    """
    if damage := png_damage(data, most_bytes=_MOST_PNG1_BYTES):
        raise DataError.single("mask", record, expected="a 1-bit PNG", got=damage)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a mask is as large as its photo
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if image.mode != "1":
                    raise DataError.single("mask", record, expected="a 1-bit PNG", got=f"PNG of mode {image.mode}")
                return np.array(image, dtype=np.bool_)
    except DataError:
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on odd chunks
        got = str(error) or type(error).__name__
        raise DataError.single("mask", record, expected="a 1-bit PNG", got=got) from error


def encode_npy(mask_hw: Mask) -> bytes:
    """Encode a mask as ``.npy`` (bool, C order), as ImageNet-9's evaluators read it."""
    _require_mask(mask_hw)
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(mask_hw), allow_pickle=False)
    return buffer.getvalue()


def decode_npy(data: bytes, *, record: str = "") -> Mask:
    """Decode ``.npy`` to a ``(H, W)`` bool mask; 0/1 numbers are accepted, other values are not.

    Raises:
        DataError: if the array is not two-dimensional, holds other values than 0 and 1, or needs pickle.
    """
    array = read_array(data, where="mask", record=record, expected="a two-dimensional array of 0 and 1")
    if array.ndim != 2 or not np.isin(array, (0, 1)).all():
        got = f"shape {array.shape}, dtype {array.dtype}"
        raise DataError.single("mask", record, expected="a two-dimensional array of 0 and 1", got=got)
    return array.astype(np.bool_)


def encode_brush_rle(mask_hw: Mask) -> list[int]:
    """Encode a mask as the ``rle`` of a Label Studio BrushLabels result: ``@thi.ng/rle-pack`` of RGBA 255 or 0.

    The numbers, 0 to 255, are those of ``label_studio_sdk.converter.brush.mask2rle`` for the mask times 255, but for
    one zero more that the SDK ends on where its bits fill the last byte exactly.

    Raises:
        TypeError: if ``mask_hw`` is not a two-dimensional bool array.
        ValueError: if it has 2**30 pixels or more, which the format cannot hold.
    """
    _require_mask(mask_hw)
    return list(pack_mask(mask_hw))


def decode_brush_rle(rle: Sequence[int], *, size_hw: tuple[int, int], record: str = "") -> Mask:
    """Decode the ``rle`` of a Label Studio BrushLabels result to a ``(H, W)`` bool mask: alpha ≥ ``BRUSH_ALPHA``.

    Reads what the browser, the SDK and ``encode_brush_rle`` write; colour is ignored.

    Args:
        rle: The numbers, 0 to 255.
        size_hw: Height and width of the picture. The RLE holds the number of pixels only, so that a mask of another
            shape and the same area cannot be noticed.
        record: What to call the mask in an error.

    Raises:
        DataError: if the RLE is of another number of pixels, cut off, damaged or followed by more data, or if its
            alpha is 1 wherever it is not 0: a 0/1 mask, which Label Studio shows as nothing and keeps.
    """
    data = stream_bytes(rle, record)
    return unpack_alpha(data, size_hw=size_hw, threshold=BRUSH_ALPHA, record=record)


def encode_bitmask(mask_hw: Mask) -> str:
    """Encode a mask as the ``imageDataURL`` of a Label Studio BitmaskLabels result: RGBA PNG, black, alpha 255 or 0.

    Raises:
        TypeError: if ``mask_hw`` is not a two-dimensional bool array.
    """
    _require_mask(mask_hw)
    rgba = np.zeros((*mask_hw.shape, 4), dtype=np.uint8)
    rgba[:, :, 3] = mask_hw * np.uint8(255)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, format="PNG", compress_level=6)
    return _DATA_URL + base64.b64encode(buffer.getvalue()).decode("ascii")


def decode_bitmask(url: str, *, size_hw: tuple[int, int], record: str = "") -> Mask:
    """Decode the ``imageDataURL`` of a Label Studio BitmaskLabels result to a ``(H, W)`` bool mask.

    A pixel is True from an alpha of ``BRUSH_ALPHA`` on; colour is ignored.

    Args:
        url: ``data:image/png;base64,`` and a PNG with alpha.
        size_hw: Height and width that the PNG must have.
        record: What to call the mask in an error.

    Raises:
        DataError: if it is no such URL, damaged, of another size or without alpha, or if its alpha is 1 wherever it is
            not 0.
    """
    alpha = _png_alpha(_data_url_bytes(url, record), size_hw, record)
    if alpha.max(initial=0) == 1:
        raise zero_one_mask(record)
    return alpha >= BRUSH_ALPHA


def _data_url_bytes(url: str, record: str) -> bytes:
    # The URL may be megabytes of someone's data: an error quotes its beginning only.
    if not isinstance(url, str) or not url.startswith(_DATA_URL):
        raise DataError.single("mask", record, expected=f"a URL that begins with {_DATA_URL}", got=f"{url!r:.40}")
    try:
        return base64.b64decode(url[len(_DATA_URL) :], validate=True)
    except ValueError as error:
        raise DataError.single("mask", record, expected="a data URL in base64", got=str(error)) from error


def _png_alpha(data: bytes, size_hw: tuple[int, int], record: str) -> NDArray[np.uint8]:
    """Alpha, ``(H, W)``, of a PNG that has one and is of that size; a bomb is refused before it is unpacked."""
    expected = f"an RGBA PNG of {spell_size(size_hw)} {ORDER}"
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False  # others switch it on globally
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is judged here
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if (image.height, image.width) != tuple(size_hw) or image.mode not in ("RGBA", "LA"):
                    got = f"{spell_size((image.height, image.width))} of mode {image.mode}"
                    raise DataError.single("mask", record, expected=expected, got=got)
                return np.array(image.getchannel("A"))
    except DataError:
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged bytes
        got = f"a damaged one: {error or type(error).__name__}"
        raise DataError.single("mask", record, expected=expected, got=got) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def mask_iou(first_hw: Mask, second_hw: Mask) -> float:
    """Intersection over union of two masks of one size; 1 for two empty ones."""
    union = int(np.count_nonzero(first_hw | second_hw))
    return np.count_nonzero(first_hw & second_hw) / union if union else 1.0


def coco_overlap(first: CocoRle, second: CocoRle) -> tuple[int, int]:
    """Pixels that two encoded masks of one size have in common, and pixels of either; neither is unpacked."""
    both: list[Any] = [{"size": list(rle.size_hw), "counts": rle.counts.encode()} for rle in (first, second)]
    common = int(coco_mask.area(coco_mask.merge(both, intersect=True)))
    return common, sum(int(coco_mask.area(one)) for one in both) - common


def tight_box(mask_hw: Mask) -> Box | None:
    """Smallest half-open box that holds every True pixel, or None for an empty mask."""
    columns = np.flatnonzero(mask_hw.any(axis=0))
    if not columns.size:
        return None
    rows = np.flatnonzero(mask_hw.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def pixels_sha256(image_rgb: NDArray[np.uint8]) -> str:
    r"""SHA-256 of ``b"H W 3\0"`` and the row-major pixels of a ``(H, W, 3)`` uint8 RGB image."""
    height, width, channels = image_rgb.shape
    digest = hashlib.sha256(f"{height} {width} {channels}\0".encode("ascii"))
    digest.update(np.ascontiguousarray(image_rgb).data)
    return digest.hexdigest()


def _require_mask(mask_hw: Mask) -> None:
    if mask_hw.dtype != np.bool_ or mask_hw.ndim != 2:
        raise TypeError(f"a mask is a (H, W) bool array, got {mask_hw.dtype} of shape {mask_hw.shape}")
