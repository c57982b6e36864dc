"""Hypothesis strategies for masks and boxes, and object records made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from figureground.schemas.rasters.masks import Box, Mask, encode_coco_rle
from figureground.schemas.records import ObjectRecord

sizes_hw = st.tuples(st.integers(1, 40), st.integers(1, 40))


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Masks of any shape: noise, blobs with holes, islands, single pixels, empty, full, non-square."""
    height, width = draw(sizes_hw)
    kind = draw(st.sampled_from(["noise", "blob", "empty", "full", "pixel"]))
    mask = np.zeros((height, width), dtype=np.bool_)
    if kind == "noise":
        return draw(hnp.arrays(np.bool_, (height, width)))
    if kind == "full":
        return ~mask
    if kind == "pixel":
        mask[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = True
    if kind == "blob":
        for value in (True, True, False):  # two rectangles, then a hole
            rows = sorted(draw(st.tuples(st.integers(0, height), st.integers(0, height))))
            columns = sorted(draw(st.tuples(st.integers(0, width), st.integers(0, width))))
            mask[rows[0] : rows[1], columns[0] : columns[1]] = value
    return mask


def square_mask(size_hw: tuple[int, int], box: Box) -> Mask:
    """A mask that is True inside ``box``."""
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def object_record(
    name: str, label: str, *, mask: Mask | None = None, boxes: Sequence[Box] = (), **changes: Any
) -> ObjectRecord:
    """A frozen object whose ids and perceptual hash derive from ``name``; 100 x 120 with a box in the middle."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    mask = square_mask((100, 120), (40, 30, 80, 70)) if mask is None else mask
    rle = encode_coco_rle(mask)
    fields: dict[str, Any] = {
        "object_id": f"{digest[:32]}.0",
        "image_id": digest[:32],
        "source": "photos",
        "uri": f"{label}/{name}.png",
        "sha256": digest,
        "width": mask.shape[1],
        "height": mask.shape[0],
        "exif_orientation": 1,
        "label": label,
        "source_split": "",
        "boxes_xyxy_px": tuple(boxes),
        "phash": digest[:16],
        "image_flags": (),
        "mask": rle,
        "state": "unreviewed",
        "mask_origin": "test",
        "segmenter": "drawn",
    }
    return ObjectRecord(**{**fields, **changes})
