"""What is measured of each of a photo's masks by several segmenters, before a rule ranks them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.annotate.segmenters.mask_measures import border_share, pack_masks
from figureground.schemas.rasters.masks import Mask, decode_coco_rle
from figureground.schemas.records import CONSENSUS, ProposalRecord

SHAPE_SIDE: Final = 256
"""Pixels of the longer side that shapes are measured at: a rim's length must not grow with a photo's resolution."""
SALIENCY: Final = "saliency"

FEATURES: Final[Mapping[str, str]] = {
    "agreement": "mean IoU with the first choices of the other segmenters; one that has none counts as 0",
    "nearest": "greatest of these IoUs",
    "saliency": "IoU with the saliency model's mask; its own mask, and one without it, has the mean of these IoUs",
    "score": "the segmenter's own score",
    "stability": "the segmenter's own stability",
    "area": "share of the photo's pixels",
    "border": "share of the photo's four sides that it covers",
    "compactness": "4 pi area / perimeter^2, 1 for a disc, holes counting as rim (Cox, J. Paleontology 1(3), 1927)",
    "largest": "share of its largest 4-connected part",
}
"""Name to meaning of every feature; all lie in [0, 1]."""


def photo_features(proposals: Sequence[ProposalRecord], asked: int) -> list[dict[str, float]]:
    """Features of every mask of one photo, by name, in the order of the masks, whatever that is.

    Args:
        proposals: All masks of the photo, of one size; those of rank 0 are their segmenters' first choices.
        asked: How many segmenters were asked for masks of this photo, those that found none among them.
    """
    masks = [decode_coco_rle(proposal.rle, record=proposal.proposal_id) for proposal in proposals]
    iou = _pairwise_iou(masks)
    runs = [proposal.run_id for proposal in proposals]
    # A consensus is of these first choices, and no further voice.
    firsts = [index for index, one in enumerate(proposals) if one.rank == 0 and one.segmenter != CONSENSUS]
    features = []
    for index, proposal in enumerate(proposals):
        others = sorted(float(iou[index, first]) for first in firsts if runs[first] != runs[index])
        agreement = math.fsum(others) / max(asked - (proposal.segmenter != CONSENSUS), 1)
        salient = [
            float(iou[index, first])
            for first in firsts
            if proposals[first].segmenter == SALIENCY and proposal.segmenter != SALIENCY
        ]
        features.append(
            {
                "agreement": agreement,
                "nearest": max(others, default=0.0),
                "saliency": max(salient, default=agreement),
                "score": proposal.score,
                "stability": proposal.stability,
                **shape_features(masks[index]),
            }
        )
    return features


def shape_features(mask_hw: Mask) -> dict[str, float]:
    """``area``, ``border``, ``compactness`` and ``largest`` of one mask; 0 each for an empty one.

    Args:
        mask_hw: ``(H, W)`` bool.
    """
    area = float(mask_hw.mean())
    border = border_share(mask_hw)
    small = _reduced(mask_hw)
    pixels = int(np.count_nonzero(small))
    if not pixels:
        return {"area": area, "border": border, "compactness": 0.0, "largest": 0.0}
    _, _, stats, _ = cv2.connectedComponentsWithStats(small, connectivity=4)
    contours, _ = cv2.findContours(cv2.copyMakeBorder(small, 1, 1, 1, 1, cv2.BORDER_CONSTANT), *_ALL_RIMS)
    perimeter = math.fsum(cv2.arcLength(contour, True) for contour in contours)
    # A contour runs through the centres of the outermost pixels, so that a speck has next to none.
    compactness = min(1.0, 4 * math.pi * pixels / max(perimeter, 1.0) ** 2)
    largest = int(stats[1:, cv2.CC_STAT_AREA].max()) / pixels
    return {"area": area, "border": border, "compactness": compactness, "largest": largest}


_ALL_RIMS: Final = (cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)


def _reduced(mask_hw: Mask) -> NDArray[np.uint8]:
    """The mask with its longer side brought down to ``SHAPE_SIDE`` where that is longer: 1 where half is covered."""
    height, width = mask_hw.shape
    scale = SHAPE_SIDE / max(height, width)
    values = mask_hw.astype(np.uint8)
    if scale >= 1:
        return values
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return (cv2.resize(values * 255, size_wh, interpolation=cv2.INTER_AREA) >= 128).astype(np.uint8)


def _pairwise_iou(masks: Sequence[Mask]) -> NDArray[np.float64]:
    """``(K, K)``: IoU of every two masks, 1 for two empty ones."""
    bits = pack_masks(masks)
    areas = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    common = np.array([np.bitwise_count(bits & row).sum(axis=1, dtype=np.int64) for row in bits])
    union = areas[:, None] + areas[None, :] - common
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)
