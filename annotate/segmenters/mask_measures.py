"""What is measured of machine masks: which are nearly the same, and how stable one is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from figureground.schemas.rasters.masks import CocoRle, Mask, coco_overlap

PackedMasks = NDArray[np.uint64]
"""``(K, words)`` uint64: K masks as bits, padded with zeros; an eighth of the memory, and IoU by popcount."""


def border_share(mask_hw: Mask) -> float:
    """Share of the photo's four sides that a mask covers, in [0, 1]; the pixel of a corner is one of two sides."""
    return float(np.concatenate([mask_hw[0], mask_hw[-1], mask_hw[:, 0], mask_hw[:, -1]]).mean())


def distinct_masks(bits: PackedMasks, quality: NDArray[np.floating], *, same_iou: float) -> list[int]:
    """Greedy non-maximum suppression over masks: indices, best first, pairwise IoU at most ``same_iou``."""
    left = np.argsort(-quality, kind="stable")
    areas = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    chosen: list[int] = []
    while left.size:
        best = int(left[0])
        chosen.append(best)
        left = left[1:]
        common = np.bitwise_count(bits[left] & bits[best]).sum(axis=1, dtype=np.int64)
        union = areas[left] + areas[best] - common
        left = left[common <= same_iou * union]
    return chosen


def distinct_rles(rles: Sequence[CocoRle], quality: NDArray[np.floating], *, same_iou: float) -> list[int]:
    """``distinct_masks`` of encoded masks, none of which is unpacked."""
    left = [int(index) for index in np.argsort(-quality, kind="stable")]
    chosen: list[int] = []
    while left:
        best, *left = left
        chosen.append(best)
        overlaps = {index: coco_overlap(rles[index], rles[best]) for index in left}
        left = [index for index in left if overlaps[index][0] <= same_iou * overlaps[index][1]]
    return chosen


def pack_masks(masks_hw: Sequence[Mask] | NDArray[np.bool_]) -> PackedMasks:
    """Pack K masks of one size into bits, ``(K, words)``."""
    rows = [np.packbits(mask, axis=None) for mask in masks_hw]
    if not rows:
        return np.zeros((0, 0), dtype=np.uint64)
    packed = np.zeros((len(rows), -(-rows[0].size // 8) * 8), dtype=np.uint8)
    for target, row in zip(packed, rows, strict=True):
        target[: row.size] = row
    return packed.view(np.uint64)


def stability_score(map_hw: NDArray[np.float32], *, low: float, high: float) -> float:
    """IoU of ``map > high`` and ``map > low``, in [0, 1]; 0 where nothing is above ``low``.

    The upper mask lies inside the lower one, so the IoU is a ratio of areas (segment-anything,
    ``calculate_stability_score``).
    """
    union = int(np.count_nonzero(map_hw > low))
    return np.count_nonzero(map_hw > high) / union if union else 0.0
