"""Masks and their lossless codecs.

Inside the program a mask is a ``(H, W)`` bool array in stored-pixel coordinates, ``[row, column]``, True on the
figure. Every other form lives at an edge and is reached through an ``encode_``/``decode_`` pair below.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from figureground.errors import DataError

Mask = NDArray[np.bool_]
"""``(H, W)`` bool, ``[row, column]``, True on the figure."""

Box = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)`` in pixels, half-open: x0 ≤ x < x1, y0 ≤ y < y1."""


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
    """Decode COCO RLE to a ``(H, W)`` bool mask, C-contiguous.

    Args:
        rle: The encoded mask.
        size_hw: The size that the mask must have (its photo's); None to trust the record.
        record: What to call the mask in an error.

    Raises:
        DataError: if the runs do not fill the size exactly, or the size is not ``size_hw``.
    """
    if size_hw is not None and tuple(rle.size_hw) != tuple(size_hw):
        raise DataError.single(
            "mask",
            record,
            expected=f"size {size_hw[0]}x{size_hw[1]}",
            got=f"{rle.size_hw[0]}x{rle.size_hw[1]}",
        )
    height, width = rle.size_hw
    runs = _runs(rle, record)
    if sum(runs) != height * width:
        raise DataError.single(
            "mask",
            record,
            expected=f"runs that fill {height}x{width} = {height * width} px",
            got=f"{sum(runs)} px",
            remedy="the RLE was cut off or belongs to another photo",
        )
    values = np.arange(len(runs)) % 2 == 1  # runs alternate, the first is of ground
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def _runs(rle: CocoRle, record: str) -> list[int]:
    """Run lengths of a COCO RLE (format: cocoapi, ``rleFrString``).

    Read here because pycocotools decodes damaged runs without a word, even past the end of the mask.
    """
    runs: list[int] = []
    value = shift = 0
    for char in rle.counts:
        bits = ord(char) - 48
        if not 0 <= bits < 64:
            raise DataError.single("mask", record, expected="COCO RLE text", got=f"the character {char!r}")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value = shift = 0
    if shift or any(run < 0 for run in runs):
        raise DataError.single("mask", record, expected="whole, non-negative runs", got="RLE cut off or damaged")
    return runs


def encode_png1(mask_hw: Mask) -> bytes:
    """Encode a mask as a 1-bit PNG (0 ground, 1 figure)."""
    _require_mask(mask_hw)
    buffer = io.BytesIO()
    Image.fromarray(mask_hw).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def decode_png1(data: bytes, *, record: str = "") -> Mask:
    """Decode a 1-bit PNG to a ``(H, W)`` bool mask.

    Raises:
        DataError: if the bytes are not a PNG of mode 1: a grey mask would need a threshold, which is a choice.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode != "1":
                raise DataError.single("mask", record, expected="a 1-bit PNG", got=f"PNG of mode {image.mode}")
            return np.array(image, dtype=np.bool_)
    except (OSError, SyntaxError) as error:
        raise DataError.single("mask", record, expected="a 1-bit PNG", got=str(error)) from error


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
    try:
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError.single("mask", record, expected="a .npy array without pickle", got=str(error)) from error
    if array.ndim != 2 or not np.isin(array, (0, 1)).all():
        got = f"shape {array.shape}, dtype {array.dtype}"
        raise DataError.single("mask", record, expected="a two-dimensional array of 0 and 1", got=got)
    return array.astype(np.bool_)


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
    header = f"{height} {width} {channels}\0".encode("ascii")
    return hashlib.sha256(header + np.ascontiguousarray(image_rgb).tobytes()).hexdigest()


def _require_mask(mask_hw: Mask) -> None:
    if mask_hw.dtype != np.bool_ or mask_hw.ndim != 2:
        raise TypeError(f"a mask is a (H, W) bool array, got {mask_hw.dtype} of shape {mask_hw.shape}")
