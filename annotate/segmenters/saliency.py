"""U2NetP: the salient object of a photo, without being asked where it is.

Weights and preprocessing: U-2-Net (Qin et al. 2020), as rembg runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.annotate.segmenters.checkpoints import find_checkpoint
from figureground.annotate.segmenters.mask_measures import stability_score
from figureground.annotate.segmenters.onnx_models import OnnxModel
from figureground.annotate.segmenters.protocol import Candidate, Photo, require_photo
from figureground.errors import UsageError
from figureground.runtime.devices import AUTO
from figureground.schemas.rasters.masks import Box, Mask
from figureground.schemas.records import Prompt

INPUT_SIDE: Final = 320
IMAGENET_MEAN: Final = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_STD: Final = np.array([0.229, 0.224, 0.225], dtype=np.float32)
THRESHOLD: Final = 0.5
"""A pixel is figure where the min-max normalised map is above this."""
STABILITY_OFFSET: Final = 0.2
"""Stability compares the masks above 0.7 and above 0.3."""
SENSIBLE_SHARE: Final = 0.25
"""A component belongs to the object if it has at least this share of the largest one's area."""


_STRIP_PIXELS: Final = 4_000_000


class SaliencySegmenter:
    """U2NetP on ONNX Runtime.

    A prompt of kind ``none`` gives the salient mask of the whole photo, a box the part of it inside the box. The score
    is the mean of the saliency map inside the mask: how sure the model is of what it marked.

    Args:
        checkpoint: A ``u2netp.onnx`` file or a name in ``checkpoints.yaml``; None for the default.
        threads: Threads inside the model; None leaves the choice to ONNX Runtime.
        device: As for ``OnnxModel``.
    """

    name: str = "saliency"

    def __init__(self, checkpoint: Path | str | None = None, *, threads: int | None = None, device: str = AUTO) -> None:
        weights = find_checkpoint(checkpoint, segmenter=self.name, default="u2netp")
        self.checkpoint_sha256: str = weights.sha256
        (path,) = weights.paths
        self._model = OnnxModel(path.read_bytes(), where=str(path), threads=threads, device=device)

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """One candidate for each prompt; the mask may be empty.

        Raises:
            UsageError: for a point: saliency does not know what a point belongs to.
        """
        if any(prompt.kind == "point" for prompt in prompts):
            raise UsageError("saliency takes a box or no prompt at all, got a point")
        if not prompts:
            return []
        saliency = self.saliency_map(photo_rgb)
        return [_candidate(saliency, prompt) for prompt in prompts]

    def saliency_map(self, photo_rgb: Photo) -> NDArray[np.float32]:
        """``(H, W)`` float32 in [0, 1]: the network's first output, min-max normalised, bilinear to the photo's size.

        A photo of one colour has a map without range; it becomes 0 everywhere.
        """
        height, width = require_photo(photo_rgb)
        small = Image.fromarray(photo_rgb).resize((INPUT_SIDE, INPUT_SIDE), Image.Resampling.LANCZOS)
        values = np.asarray(small, dtype=np.float32)
        values = values / max(float(values.max()), 1e-6)
        normal = (values - IMAGENET_MEAN) / IMAGENET_STD
        raw = self._model.run({self._model.inputs[0]: normal.transpose(2, 0, 1)[None]})[0][0, 0]
        span = float(raw.max() - raw.min())
        unit = (raw - raw.min()) / span if span > 0 else np.zeros_like(raw)
        return np.asarray(cv2.resize(unit, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def box_of(mask_hw: Mask) -> Box | None:
    """Half-open box of the sensible components of a saliency mask (8-connected), or None for an empty mask.

    Specks far from the object would blow the box up; of several objects of like size all are taken.
    """
    count, _, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask_hw).view(np.uint8), connectivity=8)
    if count < 2:
        return None
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # label 0 is the ground
    boxes = stats[areas >= SENSIBLE_SHARE * areas.max()]
    x0, y0 = boxes[:, cv2.CC_STAT_LEFT], boxes[:, cv2.CC_STAT_TOP]
    x1, y1 = x0 + boxes[:, cv2.CC_STAT_WIDTH], y0 + boxes[:, cv2.CC_STAT_HEIGHT]
    return int(x0.min()), int(y0.min()), int(x1.max()), int(y1.max())


def _candidate(saliency: NDArray[np.float32], prompt: Prompt) -> Candidate:
    height, width = saliency.shape
    x0, y0, x1, y1 = prompt.box_xyxy_px or (0, 0, width, height)
    window = np.s_[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    inside = saliency[window]  # outside of it nothing is salient
    mask = np.zeros(saliency.shape, dtype=np.bool_)
    np.greater(inside, THRESHOLD, out=mask[window])
    return Candidate(
        mask_hw=mask,
        score=_mean_where(inside, mask[window]),
        stability=stability_score(inside, low=THRESHOLD - STABILITY_OFFSET, high=THRESHOLD + STABILITY_OFFSET),
        prompt=prompt,
    )


def _mean_where(values: NDArray[np.float32], chosen: Mask) -> float:
    """Mean of the chosen values, 0 for none; some rows at a time, for all of them would be copied."""
    rows = max(1, _STRIP_PIXELS // max(1, values.shape[1]))
    parts = [values[top : top + rows][chosen[top : top + rows]] for top in range(0, len(values), rows)]
    count = sum(part.size for part in parts)
    return float(sum(part.sum(dtype=np.float64) for part in parts) / count) if count else 0.0
