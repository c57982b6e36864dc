"""ImageNet-9's own figures: GrabCut inside the annotated box, rule for rule.

Source: the build script of "Noise or Signal" (Xiao et al. 2020; rabbit-abacus/roleofimagebackgrounds, ``main.py``) and
the paper's appendix A; MadryLab/backgrounds_challenge holds the evaluation only. No morphology, no hole
filling, no largest component. The authors' OpenCV version is not known, so their masks are not bit-identical.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.annotate.segmenters.protocol import Candidate, Photo, SegmentationRejected, require_photo
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import Box, Mask, tight_box
from figureground.schemas.records import Prompt

ITERATIONS: Final = 5
MIN_MASK_OVER_BOX: Final = 0.1
RIM_ITERATIONS: Final = 2
_NO_RECT: Final = (0, 0, 0, 0)
_NEIGHBOURHOOD: Final = 5
"""How far around a mask ground is looked at where its rim is cut, in halves of the band."""
MOST_PIXELS: Final = 4_000_000
"""GrabCut takes 160 bytes and two microseconds for each pixel: 16 GB for a photo of 100 megapixels. A larger photo is
cut at this size, and its mask enlarged."""
NO_ESTIMATE: Final = 1.0
"""Score and stability of every mask: GrabCut has no estimate of its own quality, and a constant ranks nothing."""


class GrabCutSegmenter:
    """Takes box prompts only; a photo is rejected as soon as one of its boxes is."""

    name: str = "grabcut"
    checkpoint_sha256: str = ""

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """One candidate for each box.

        Raises:
            UsageError: for a prompt that is no box.
            SegmentationRejected: ``grabcut_failed`` or ``mask_under_box_share``.
        """
        require_photo(photo_rgb)
        return [
            Candidate(mask_hw=_cut(photo_rgb, _box(prompt)), score=NO_ESTIMATE, stability=NO_ESTIMATE, prompt=prompt)
            for prompt in prompts
        ]


def grabcut_rect(box_xyxy_px: Box) -> tuple[int, int, int, int]:
    """The rectangle (x, y, width, height) that ImageNet-9's code gives to GrabCut for a half-open box.

    The code takes Pascal VOC's inclusive corners as they are, ``(x0, y0, x1 - x0, y1 - y0)``, so that the last column
    and row of the box lie outside; a half-open box has them at ``x1 - 1`` and ``y1 - 1``.
    """
    x0, y0, x1, y1 = box_xyxy_px
    return x0, y0, x1 - 1 - x0, y1 - 1 - y0


def cut_rim(photo_rgb: Photo, mask_hw: Mask, *, band_px: int) -> Mask:
    """A mask whose rim GrabCut has moved to where colours change, by no more than ``band_px``.

    What lies deeper inside is figure, what lies further outside is ground; colours are learned on both, in the box
    around the mask and its neighbourhood alone. A mask too thin to have an inside, one without ground around it, and
    one whose neighbourhood has more than ``MOST_PIXELS`` come back as they are.

    Args:
        photo_rgb: ``(H, W, 3)`` uint8 RGB.
        mask_hw: ``(H, W)`` bool.
        band_px: Half of the band's width, 1 or more, stored pixels.
    """
    box = tight_box(mask_hw)
    if box is None:
        return mask_hw
    height, width = mask_hw.shape
    margin = _NEIGHBOURHOOD * band_px
    rows = slice(max(0, box[1] - margin), min(height, box[3] + margin))
    columns = slice(max(0, box[0] - margin), min(width, box[2] + margin))
    labels = _rim_labels(np.ascontiguousarray(mask_hw[rows, columns]).view(np.uint8), band_px)
    if not np.any(labels == cv2.GC_FGD) or not np.any(labels == cv2.GC_BGD) or labels.size > MOST_PIXELS:
        return mask_hw
    ground = np.zeros((1, 65), dtype=np.float64)
    figure = np.zeros((1, 65), dtype=np.float64)
    cv2.setRNGSeed(0)
    try:
        patch_rgb = np.ascontiguousarray(photo_rgb[rows, columns])
        cv2.grabCut(patch_rgb, labels, _NO_RECT, ground, figure, RIM_ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return mask_hw
    moved = np.zeros_like(mask_hw)
    moved[rows, columns] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return moved


def _rim_labels(mask: NDArray[np.uint8], band_px: int) -> NDArray[np.uint8]:
    """GrabCut's four labels: sure inside and outside of the band, probable within it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band_px + 1, 2 * band_px + 1))
    labels = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode(mask, disc) > 0] = cv2.GC_FGD  # what is cut off at the photo's edge has no rim there
    labels[cv2.dilate(mask, disc) == 0] = cv2.GC_BGD
    return labels


def _cut(photo_rgb: Photo, box: Box) -> Mask:
    height, width = photo_rgb.shape[:2]
    if height * width <= MOST_PIXELS:
        return _cut_whole(photo_rgb, box)
    scale = math.sqrt(MOST_PIXELS / (height * width))
    small_hw = max(1, int(height * scale)), max(1, int(width * scale))
    if small_hw[0] * small_hw[1] > MOST_PIXELS:  # so narrow that one side is a pixel already
        small_hw = min(small_hw[0], MOST_PIXELS), min(small_hw[1], MOST_PIXELS)
    small_rgb = np.asarray(cv2.resize(photo_rgb, small_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    down, across = small_hw[0] / height, small_hw[1] / width
    x0, y0, x1, y1 = box
    small_box = (int(x0 * across), int(y0 * down), math.ceil(x1 * across), math.ceil(y1 * down))
    small = _cut_whole(small_rgb, small_box)
    enlarged = cv2.resize(small.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(enlarged).view(np.bool_)


def _cut_whole(photo_rgb: Photo, box: Box) -> Mask:
    rect = grabcut_rect(box)
    labels = np.zeros(photo_rgb.shape[:2], dtype=np.uint8)
    ground = np.zeros((1, 65), dtype=np.float64)
    figure = np.zeros((1, 65), dtype=np.float64)
    cv2.setRNGSeed(0)  # its k-means starts from OpenCV's own generator: equal input, equal mask
    try:
        cv2.grabCut(np.ascontiguousarray(photo_rgb), labels, rect, ground, figure, ITERATIONS, cv2.GC_INIT_WITH_RECT)
    except cv2.error as error:
        raise SegmentationRejected("grabcut_failed") from error
    mask: Mask = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    area = rect[2] * rect[3]
    if area <= 0 or np.count_nonzero(mask) / area < MIN_MASK_OVER_BOX:
        raise SegmentationRejected("mask_under_box_share")
    return mask


def _box(prompt: Prompt) -> Box:
    if prompt.box_xyxy_px is None:
        raise UsageError(f"grabcut needs a box, got a prompt of kind {prompt.kind!r}")
    return prompt.box_xyxy_px
