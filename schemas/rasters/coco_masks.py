"""Masks as COCO files hold them: RLE as text or as numbers, and polygons, which are lossy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from figureground.errors import DataError
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle
from figureground.schemas.rasters.sizes import MOST_PIXELS, ORDER, spell_size

Outline = NDArray[np.float64]
"""A polygon: x, y, x, y … in pixels, from the upper left corner of the image."""

_ENDLESS: Final = re.compile(r"[P-o]{7}")  # a run of 32 bits has at most six characters that call for another
_FARTHEST: Final = 1e9
_LONGEST: Final = 10**7
"""Pixels of an outline, however large the image: filling takes some 80 bytes for each."""


def read_segmentation(
    drawn: Mapping[str, Any] | Sequence[Any], *, where: str, record: str
) -> tuple[CocoRle | None, tuple[Outline, ...]]:
    """Read the ``segmentation`` of an annotation: an RLE, compressed or not, or polygons; neither for a box alone.

    The runs of a text are checked where it is decoded.

    Raises:
        DataError: for what is none of them.
    """
    if not isinstance(drawn, Mapping):
        return None, tuple(_outline(corners, where, record) for corners in drawn)
    height, width = _size_hw(drawn.get("size"), where, record)
    counts = drawn.get("counts")
    if isinstance(counts, str):
        if _ENDLESS.search(counts):
            raise DataError.single(where, record, expected="COCO RLE text", got="a run without an end")
        return CocoRle(size_hw=(height, width), counts=counts), ()
    if not isinstance(counts, list) or not all(type(run) is int and run >= 0 for run in counts):
        expected = "counts that are text, or whole numbers from 0 on"
        raise DataError.single(where, record, expected=expected, got=f"{counts!r:.60}")
    if sum(counts) != height * width:
        expected = f"runs that fill {spell_size((height, width))} {ORDER}, {height * width} px"
        raise DataError.single(where, record, expected=expected, got=f"{sum(counts)} px")
    runs: Any = {"size": [height, width], "counts": counts}
    return CocoRle(size_hw=(height, width), counts=_text(coco_mask.frPyObjects(runs, height, width)["counts"])), ()


def decode_polygons(outlines: Sequence[Outline], *, size_hw: tuple[int, int], where: str, record: str) -> Mask:
    """Fill polygons as pycocotools does, ``(H, W)`` bool: lossy, for an outline has no holes and no exact rim.

    Raises:
        DataError: for corners further outside the image than its own size, or an outline that is longer than the image
            has pixels; filling takes time and memory by its length.
    """
    height, width = size_hw
    longest = min(height * width, _LONGEST) + 8 * (height + width)
    for outline in outlines:
        x, y = outline[0::2], outline[1::2]
        if x.min() < -width or x.max() > 2 * width or y.min() < -height or y.max() > 2 * height:
            got = f"x {x.min():g} to {x.max():g}, y {y.min():g} to {y.max():g}"
            raise DataError.single(where, record, expected=f"polygons inside {spell_size(size_hw)} {ORDER}", got=got)
        length = sum(float(np.abs(np.diff(along, append=along[0])).sum()) for along in (x, y))
        if length > longest:
            expected = f"an outline of at most {longest} px"
            raise DataError.single(where, record, expected=expected, got=f"{length:.0f} px")
    merged = coco_mask.merge(coco_mask.frPyObjects([outline.tolist() for outline in outlines], height, width))
    return decode_coco_rle(CocoRle(size_hw=size_hw, counts=_text(merged["counts"])), size_hw=size_hw, record=record)


def _size_hw(size: Any, where: str, record: str) -> tuple[int, int]:  # noqa: ANN401  any JSON value
    whole = isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)
    if not whole or size[0] * size[1] > MOST_PIXELS:
        expected = f"a size of [height, width], at most {MOST_PIXELS} pixels"
        raise DataError.single(where, record, expected=expected, got=f"{size!r:.60}")
    return size[0], size[1]


def _outline(corners: Any, where: str, record: str) -> Outline:  # noqa: ANN401  any JSON value
    numbers = isinstance(corners, list) and all(type(number) in (int, float) for number in corners)
    if not numbers or len(corners) < 6 or len(corners) % 2 or max(map(abs, corners)) > _FARTHEST:
        expected = "an RLE, or polygons of three corners or more, x, y, x, y ..."
        raise DataError.single(where, record, expected=expected, got=f"{corners!r:.60}")
    return np.array(corners, dtype=np.float64)


def _text(counts: str | bytes) -> str:
    return counts if isinstance(counts, str) else counts.decode("ascii")
