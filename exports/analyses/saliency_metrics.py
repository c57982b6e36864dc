"""How far a saliency map lies on the figure: five metrics of one map and one mask.

They are those of Moayeri et al., "A Comprehensive Study of Image Classification Model Sensitivity to Foregrounds,
Backgrounds, and Visual Attributes" (CVPR 2022, arXiv 2201.10766), as its released code computes them, with Dice beside
IoU. Every function takes a saliency map ``(H, W)`` of finite numbers ≥ 0 and a mask ``(H, W)`` bool of the same frame,
True on the figure. Where a metric is not defined it is NaN; ``find_undefined`` says beforehand which pairs are so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from figureground.schemas.rasters.masks import Mask

Saliency = NDArray[np.float32] | NDArray[np.float64]
"""``(H, W)`` finite, ≥ 0; the larger, the more a model's answer hangs on the pixel."""

HALF_OF_MAXIMUM: Final = 0.5
RECALL_LEVELS: Final = (0.25, 0.5, 0.75)
METRIC_NAMES: Final = (
    "iou",
    "dice",
    "delta_density",
    "precision",
    "recall_25",
    "recall_50",
    "recall_75",
    "average_precision",
)
"""The keys of ``measure_alignment``, in the order of tables; all are better when larger."""


def find_undefined(saliency: Saliency, mask_hw: Mask | None) -> str | None:
    """Why a pair cannot be measured, or None if it can.

    ``no_mask``; ``empty_mask`` (nothing to hit); ``full_mask`` (nothing to miss: every map would be perfect);
    ``flat_map`` (no pixel matters more than another: an all-zero map, say, where ReLU left nothing of GradCAM).
    """
    if mask_hw is None:
        return "no_mask"
    _require_pair(saliency, mask_hw)
    if not mask_hw.any():
        return "empty_mask"
    if mask_hw.all():
        return "full_mask"
    return "flat_map" if saliency.max() == saliency.min() else None


def scale_saliency(saliency: Saliency) -> NDArray[np.float64]:
    """Shift and stretch a map to [0, 1], as pytorch-grad-cam does, which the paper's code calls; a flat map to zeros.

    IoU, Dice, the order of pixels and so average precision with ReLU'd maps seldom change by it; Δ density and saliency
    precision do wherever a map is positive everywhere.
    """
    shifted = saliency.astype(np.float64) - float(saliency.min())
    largest = float(shifted.max())
    return shifted / largest if largest > 0 else shifted


def binarise_at_half_maximum(saliency: Saliency) -> Mask:
    """Pixels with S ≥ 0.5·max(S), the boundary included; none of an all-zero map.

    The released code sets values above the threshold to 1 and below it to 0, and leaves those equal to it at 0.5.
    """
    largest = saliency.max()
    binary: Mask = (saliency >= HALF_OF_MAXIMUM * largest) & (largest > 0)
    return binary


def saliency_iou(saliency: Saliency, mask_hw: Mask) -> float:
    """Intersection over union of the mask and the map binarised at half its maximum, in [0, 1].

    NaN for an empty mask or an all-zero map.
    """
    _require_pair(saliency, mask_hw)
    if not mask_hw.any() or saliency.max() == 0:
        return float("nan")
    binary = binarise_at_half_maximum(saliency)
    return float((binary & mask_hw).sum() / (binary | mask_hw).sum())


def saliency_dice(saliency: Saliency, mask_hw: Mask) -> float:
    """Dice coefficient of the mask and the map binarised at half its maximum, in [0, 1]: 2·IoU / (1 + IoU).

    NaN for an empty mask or an all-zero map.
    """
    iou = saliency_iou(saliency, mask_hw)
    return 2 * iou / (1 + iou)


def delta_density(saliency: Saliency, mask_hw: Mask) -> float:
    """Δ density = mean of S inside the mask - mean of S outside, in [-1, 1] for S in [0, 1].

    NaN for an empty or a full mask, where one of the means has no pixels.
    """
    _require_pair(saliency, mask_hw)
    if not mask_hw.any() or mask_hw.all():
        return float("nan")
    return float(saliency[mask_hw].mean(dtype=np.float64) - saliency[~mask_hw].mean(dtype=np.float64))


def saliency_precision(saliency: Saliency, mask_hw: Mask) -> float:
    """Share of all saliency that lies inside the mask, Σ S·m / Σ S, in [0, 1] ("fracs_inside").

    NaN for an all-zero map.
    """
    _require_pair(saliency, mask_hw)
    total = float(saliency.sum(dtype=np.float64))
    inside = float(saliency[mask_hw].sum(dtype=np.float64))
    return min(inside / total, 1.0) if total > 0 else float("nan")  # the two sums round in different orders


def saliency_recall(saliency: Saliency, mask_hw: Mask, level: float = 0.25) -> float:
    """Share of the mask covered by the pixels that hold all saliency but its lowest ``level``, in [0, 1].

    |{S ≥ t} ∩ m| / |m| ("mask_coverages_25" for ``level`` 0.25), where t is the largest value of the map such that the
    pixels below it hold less than ``level`` of the total saliency. NaN for an empty mask or an all-zero map.

    Raises:
        ValueError: if ``level`` is not inside (0, 1].
    """
    _require_pair(saliency, mask_hw)
    if not 0 < level <= 1:
        raise ValueError(f"level: expected a share in (0, 1], got {level}")
    ordered = np.sort(saliency, axis=None).astype(np.float64)
    held = np.cumsum(ordered)
    if not mask_hw.any() or held[-1] <= 0:
        return float("nan")
    threshold = ordered[np.searchsorted(held, level * held[-1], side="left")]
    return float((saliency[mask_hw] >= threshold).mean())


def saliency_average_precision(saliency: Saliency, mask_hw: Mask) -> float:
    """Average precision of S as a score of each pixel for being in the mask, in [0, 1] (scikit-learn's definition).

    NaN for an empty mask. The share of the image that the mask covers is what a map without any order reaches.
    """
    from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]  # ships no annotations

    _require_pair(saliency, mask_hw)
    if not mask_hw.any():
        return float("nan")
    return min(float(average_precision_score(mask_hw.ravel(), saliency.ravel())), 1.0)  # its sum may round above 1


def measure_alignment(saliency: Saliency, mask_hw: Mask) -> Mapping[str, float]:
    """All metrics of one map, scaled to [0, 1] first, by the names of ``METRIC_NAMES``.

    Raises:
        ValueError: if the two differ in shape, the map is not finite or negative somewhere, or ``find_undefined`` has
            something to say.
    """
    reason = find_undefined(saliency, mask_hw)
    if reason is not None:
        raise ValueError(f"not measurable: {reason}")
    scaled = scale_saliency(saliency)
    recalls = [saliency_recall(scaled, mask_hw, level) for level in RECALL_LEVELS]
    values = (
        saliency_iou(scaled, mask_hw),
        saliency_dice(scaled, mask_hw),
        delta_density(scaled, mask_hw),
        saliency_precision(scaled, mask_hw),
        *recalls,
        saliency_average_precision(scaled, mask_hw),
    )
    return dict(zip(METRIC_NAMES, values, strict=True))


def _require_pair(saliency: Saliency, mask_hw: Mask) -> None:
    if mask_hw.dtype != np.bool_ or saliency.shape != mask_hw.shape or saliency.ndim != 2 or not saliency.size:
        raise ValueError(
            f"expected a map and a bool mask of one (H, W), got {saliency.shape} and {mask_hw.dtype} {mask_hw.shape}"
        )
    if not np.isfinite(saliency).all() or saliency.min() < 0:
        raise ValueError("expected saliency that is finite and not negative")
