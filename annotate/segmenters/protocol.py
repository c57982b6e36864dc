"""The protocol of segmenters: prompts in, candidate masks out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from figureground.errors import FigureGroundError, UsageError
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Prompt

Photo = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 RGB, stored pixels (no EXIF rotation applied)."""


LARGE_PIXELS: Final = 4_000_000
"""Masks of larger photos are kept encoded: a grid has up to 64 of them, 6.4 GB of a photo of 100 megapixels."""


class Candidate:
    """One machine mask for one prompt; equal only to itself, since arrays have no single truth value.

    Args:
        mask_hw: ``(H, W)`` bool in stored pixels; of more than ``LARGE_PIXELS``, it is encoded and let go.
        score: The segmenter's own estimate of quality, in [0, 1]; each segmenter's docstring says what it measures.
        stability: IoU of the masks at a raised and a lowered threshold, in [0, 1].
        prompt: The prompt that it answers.
        instances: Masks of the single things that it unites, ``(H, W)`` bool; empty where it shows one.
    """

    __slots__ = ("_instances", "_mask", "prompt", "score", "stability")

    def __init__(
        self, *, mask_hw: Mask, score: float, stability: float, prompt: Prompt, instances: Sequence[Mask] = ()
    ) -> None:
        self._mask = _compact(mask_hw)
        self._instances = tuple(map(_compact, instances))
        self.score, self.stability, self.prompt = score, stability, prompt

    @property
    def mask_hw(self) -> Mask:
        """``(H, W)`` bool in stored pixels; where it is kept encoded, decoded anew each time."""
        return _mask_of(self._mask)

    @property
    def instances(self) -> tuple[Mask, ...]:
        """Masks of the single things that it unites; likewise."""
        return tuple(map(_mask_of, self._instances))

    @property
    def is_large(self) -> bool:
        """Whether its mask is kept encoded."""
        return isinstance(self._mask, CocoRle)

    @property
    def rle(self) -> CocoRle:
        """The mask, encoded."""
        return _rle_of(self._mask)

    @property
    def instance_rles(self) -> tuple[CocoRle, ...]:
        """The masks of ``instances``, encoded."""
        return tuple(map(_rle_of, self._instances))


def _compact(mask_hw: Mask) -> Mask | CocoRle:
    return encode_coco_rle(mask_hw) if mask_hw.size > LARGE_PIXELS else mask_hw


def _mask_of(mask: Mask | CocoRle) -> Mask:
    return decode_coco_rle(mask) if isinstance(mask, CocoRle) else mask


def _rle_of(mask: Mask | CocoRle) -> CocoRle:
    return mask if isinstance(mask, CocoRle) else encode_coco_rle(mask)


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
