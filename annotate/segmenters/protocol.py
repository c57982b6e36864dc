"""The protocol of segmenters: prompts in, candidate masks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from figureground.errors import FigureGroundError, UsageError
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.records import Prompt

Photo = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 RGB, stored pixels (no EXIF rotation applied)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One machine mask for one prompt; equal only to itself, since arrays have no single truth value."""

    mask_hw: Mask
    """``(H, W)`` bool in stored pixels."""
    score: float
    """The segmenter's own estimate of quality, in [0, 1]; each segmenter's docstring says what it measures."""
    stability: float
    """IoU of the masks at a raised and a lowered threshold, in [0, 1]."""
    prompt: Prompt
    """The prompt that it answers."""
    instances: tuple[Mask, ...] = ()
    """Masks of the single things that it unites, ``(H, W)`` bool; empty where it shows one."""


class SegmentationRejected(FigureGroundError):
    """A photo that a segmenter's own rules refuse: a result to be recorded, not a fault of the run."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """Stable code: ``grabcut_failed``, ``mask_under_box_share``, ``no_box``, ``no_detection`` (of anything, or of
        what was named), ``no_class_name`` or ``no_salient_object``."""


class Segmenter(Protocol):
    """Anything that turns prompts into masks."""

    name: str
    """Name that ``load_segmenter`` knows it by."""
    checkpoint_sha256: str
    """SHA-256 of the weights (``Checkpoint.sha256``); empty for a segmenter without any."""

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """Candidates of all prompts, unranked, in the order of the prompts; the photo is encoded once.

        Raises:
            UsageError: for a kind of prompt that the segmenter cannot take, or a photo that is no RGB array.
            SegmentationRejected: if the segmenter's own rules refuse the photo.
        """
        ...


def require_photo(photo_rgb: Photo) -> tuple[int, int]:
    """Height and width of a photo.

    Raises:
        UsageError: if it is not a ``(H, W, 3)`` uint8 array with pixels in it.
    """
    if photo_rgb.dtype != np.uint8 or photo_rgb.ndim != 3 or photo_rgb.shape[2] != 3 or not photo_rgb.size:
        raise UsageError(f"a photo is a (H, W, 3) uint8 array, got {photo_rgb.dtype} of shape {photo_rgb.shape}")
    return photo_rgb.shape[0], photo_rgb.shape[1]
