"""COCO's masks: runs without loss, as text or as numbers, polygons as pycocotools fills them, and nothing else."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from strategies import masks, sizes_hw

from figureground.errors import DataError
from figureground.schemas.rasters.coco_masks import decode_polygons, read_segmentation
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, encode_coco_rle

PLACE = {"where": "file.json", "record": "annotation 7"}
SQUARE = [2, 2, 6, 2, 6, 6, 2, 6]


def runs_of(mask: Mask) -> list[int]:
    """Runs down the columns, ground first."""
    runs = [(value, len(list(run))) for value, run in groupby(mask.flatten(order="F").tolist())]
    return [0] * bool(runs[0][0]) + [length for _, length in runs]


@given(masks())
def test_runs_as_numbers_give_the_mask(mask: Mask) -> None:
    rle, polygons = read_segmentation({"size": list(mask.shape), "counts": runs_of(mask)}, **PLACE)
    assert rle is not None
    assert polygons == ()
    assert rle == encode_coco_rle(mask)
    assert np.array_equal(decode_coco_rle(rle, size_hw=(mask.shape[0], mask.shape[1])), mask)


@given(masks())
def test_runs_as_text_give_the_mask(mask: Mask) -> None:
    theirs: Any = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    written = {"size": list(theirs["size"]), "counts": theirs["counts"].decode()}
    rle, _ = read_segmentation(written, **PLACE)
    assert rle is not None
    assert np.array_equal(decode_coco_rle(rle), mask)


@given(sizes_hw, st.data())
def test_a_rectangle_on_pixel_borders_is_filled_exactly(size_hw: tuple[int, int], data: st.DataObject) -> None:
    height, width = size_hw
    rectangles = []
    expected = np.zeros(size_hw, dtype=np.bool_)
    for _ in range(data.draw(st.integers(1, 3))):
        x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
        rectangles.append([x0, y0, x1, y0, x1, y1, x0, y1])
        expected[y0:y1, x0:x1] = True
    rle, outlines = read_segmentation(rectangles, **PLACE)
    assert rle is None
    assert np.array_equal(decode_polygons(outlines, size_hw=size_hw, **PLACE), expected)


def test_a_box_alone_is_neither() -> None:
    assert read_segmentation([], **PLACE) == (None, ())


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ({"counts": [144, 48]}, "a size of"),
        ({"size": [12, 16]}, "counts that are text"),
        ({"size": [12], "counts": [192]}, "a size of"),
        ({"size": [12, 16.0], "counts": [192]}, "a size of"),
        ({"size": [True, 192], "counts": [192]}, "a size of"),
        ({"size": [-12, -16], "counts": [192]}, "a size of"),
        ({"size": [0, 16], "counts": []}, "a size of"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, "at most 100000000 pixels"),
        ({"size": [12, 16], "counts": [100, 91]}, r"fill 16x12 \(width x height\), 192 px, got 191 px"),
        ({"size": [12, 16], "counts": [100, 93]}, r"fill 16x12 \(width x height\), 192 px, got 193 px"),
        ({"size": [12, 16], "counts": [200, -8]}, "whole numbers from 0 on"),
        ({"size": [12, 16], "counts": [192.0]}, "whole numbers from 0 on"),
        ({"size": [12, 16], "counts": [True, 191]}, "whole numbers from 0 on"),
        ({"size": [12, 16], "counts": None}, "whole numbers from 0 on"),
        ({"size": [12, 16], "counts": "o" * 10**6}, "got a run without an end"),
        ([[2, 2, 6, 2]], "three corners or more"),
        ([[*SQUARE, 1]], "three corners or more"),
        ([SQUARE, "wrong"], "three corners or more"),
        ([[2, 2, 6, 2, None, 6]], "three corners or more"),
        ([[2, 2, 6, 2, 1e300, 6]], "three corners or more"),
        ([[2, 2, 6, 2, float("inf"), 6]], "three corners or more"),
        (SQUARE, "three corners or more"),
    ],
)
def test_what_is_no_segmentation_is_refused(drawn: Any, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as caught:
        read_segmentation(drawn, **PLACE)
    (fault,) = caught.value.faults
    assert (fault.where, fault.record) == ("file.json", "annotation 7")
    assert len(str(fault)) < 300


@given(st.text(st.characters(min_codepoint=40, max_codepoint=130), max_size=40))
def test_text_decodes_to_its_size_or_is_refused(counts: str) -> None:
    """pycocotools itself reads damaged text past the end of the mask."""
    try:
        rle, _ = read_segmentation({"size": [5, 7], "counts": counts}, **PLACE)
        assert rle is not None
        mask = decode_coco_rle(rle, size_hw=(5, 7))
    except DataError:
        return
    runs = runs_of(mask)
    assert sum(runs) == 35
    again = {"size": [5, 7], "counts": runs}
    assert read_segmentation(again, **PLACE)[0] == encode_coco_rle(mask)


@pytest.mark.parametrize(
    ("outline", "expected"),
    [
        ([0, 0, 10**6, 0, 10**6, 10**6], "polygons inside 16x12"),
        ([-40, 0, 5, 0, 5, 5], "polygons inside 16x12"),
        ([0, 0, 16, 12] * 1000, "an outline of at most 416 px, got"),
    ],
)
def test_polygons_that_would_fill_the_memory_are_refused(outline: list[int], expected: str) -> None:
    outlines = read_segmentation([outline], **PLACE)[1]
    with pytest.raises(DataError, match=expected):
        decode_polygons(outlines, size_hw=(12, 16), **PLACE)


def test_a_record_keeps_its_size() -> None:
    mask = np.zeros((3, 5), dtype=np.bool_)
    rle, _ = read_segmentation({"size": [5, 3], "counts": encode_coco_rle(mask).counts}, **PLACE)
    assert rle is not None
    assert rle == CocoRle(size_hw=(5, 3), counts=encode_coco_rle(mask).counts)
    with pytest.raises(DataError, match=r"size 5x3 \(width x height\), got 3x5"):
        decode_coco_rle(rle, size_hw=(3, 5))
