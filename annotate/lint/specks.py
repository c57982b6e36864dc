"""Specks: parts of a mask, and holes in it, that are too small to be meant."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.annotate.lint.settings import LintSettings
from figureground.schemas.rasters.masks import Mask


class Specks(NamedTuple):
    """Specks of one kind on one mask."""

    pixels_hw: Mask
    """Their pixels, ``(H, W)`` bool."""
    number: int
    """How many there are."""


class Pieces(NamedTuple):
    """Connected parts of a mask, or of what is not mask."""

    labels_hw: NDArray[np.int32]
    """``(H, W)``: number of the part that a pixel belongs to; 0 for none."""
    areas_px: NDArray[np.int64]
    """Pixels of each part, by its number; of number 0 those of no part."""

    def specks(self, numbers: NDArray[Any]) -> Specks | None:
        """Some of the parts; None of none."""
        if not len(numbers):
            return None
        chosen = np.zeros(len(self.areas_px), np.bool_)
        chosen[numbers] = True
        return Specks(np.asarray(chosen[self.labels_hw]), len(numbers))


def islands_of(mask_hw: Mask, settings: LintSettings) -> Specks | None:
    """The 8-connected parts of a mask that are small, but never the largest, the first of equal ones; None for none."""
    pieces = _pieces(mask_hw, 8)
    areas = pieces.areas_px.copy()
    areas[0] = 0
    small = (areas < settings.island_px) & (areas < settings.island_share * areas.sum())
    small[0] = small[int(np.argmax(areas))] = False
    return pieces.specks(np.flatnonzero(small))


def pinholes_of(mask_hw: Mask, settings: LintSettings) -> Specks | None:
    """The holes of a mask that are small; None for none."""
    pieces, numbers = _holes(mask_hw)
    areas, figure_px = pieces.areas_px[numbers], int(np.count_nonzero(mask_hw))
    small = (areas < settings.pinhole_px) & (areas < settings.pinhole_share * figure_px)
    return pieces.specks(numbers[small])


def hole_px(mask_hw: Mask) -> int:
    """Pixels of all holes of a mask together."""
    pieces, numbers = _holes(mask_hw)
    return int(pieces.areas_px[numbers].sum())


def _holes(mask_hw: Mask) -> tuple[Pieces, NDArray[np.int64]]:
    """Parts of what is not mask, and the numbers of those that do not reach the photo's border.

    They are 4-connected, the dual of 8-connected figures: a diagonal line of mask parts what it runs through.
    """
    pieces = _pieces(~mask_hw, 4)
    labels = pieces.labels_hw
    outer = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return pieces, np.setdiff1d(np.arange(1, len(pieces.areas_px)), outer)


def _pieces(mask_hw: Mask, connectivity: int) -> Pieces:
    count, labels = cv2.connectedComponents(mask_hw.astype(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S)
    return Pieces(np.asarray(labels, np.int32), np.bincount(labels.ravel(), minlength=count).astype(np.int64))
