"""Simulated annotators: masks and answers with errors of a known rate, by a seeded generator."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.schemas.rasters.masks import Mask


def drawn_masks(count: int, *, side_px: int = 96, seed: int = 0) -> list[Mask]:
    """Blobs with a bay or two: the union of some ellipses, less another."""
    generator = np.random.Generator(np.random.Philox(seed))
    masks = []
    for _ in range(count):
        canvas: NDArray[np.uint8] = np.zeros((side_px, side_px), np.uint8)
        for value in (1, 1, 1, 0):
            middle = [int(side_px * share) for share in generator.uniform(0.35, 0.65, 2)]
            axes = [int(side_px * share) for share in generator.uniform(0.08, 0.25, 2)]
            cv2.ellipse(canvas, middle, axes, float(generator.uniform(0, 180)), 0, 360, value, -1)
        masks.append(np.asarray(canvas > 0))
    return [mask for mask in masks if mask.sum() > side_px]


def paint(true_hw: Mask, error: float, generator: np.random.Generator) -> Mask:
    """What somebody paints of a true mask: the rim is wavy, and all of it too wide or too narrow.

    Args:
        true_hw: The true mask.
        error: Standard deviation of the rim's place, as a share of the root of the mask's area.
        generator: Draws the waves.
    """
    height, width = true_hw.shape
    inside = cv2.distanceTransform(true_hw.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~true_hw).astype(np.uint8), cv2.DIST_L2, 3)
    waves = cv2.resize(
        generator.standard_normal((9, 9)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    size = float(np.sqrt(true_hw.sum()))
    return np.asarray(inside - outside + (waves + 0.2 * generator.standard_normal()) * error * size > 0)


def answer_yes(true: Sequence[bool], wrong: Sequence[float], generator: np.random.Generator) -> list[list[bool]]:
    """What people say of items: for each item an answer of each person, wrong at his or her own rate."""
    return [[bool(value ^ (generator.random() < rate)) for rate in wrong] for value in true]
