"""Saliency and masks drawn over canvases: heat on a grey photo, the figure's outline in one bright line."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from figureground.exports.analyses.saliency_metrics import Saliency, scale_saliency
from figureground.exports.evaluation.values import Images
from figureground.schemas.rasters.masks import Mask

_HEAT: Final = "inferno"  # even in lightness, and so readable without colour vision
_OUTLINE_RGB: Final = (90, 220, 255)  # light blue is in no colour of the heat
_GREY_WEIGHTS: Final = (0.299, 0.587, 0.114)  # ITU-R BT.601
_OUTLINE_SHARE: Final = 1 / 150  # width of the outline by the canvas's shorter side


def overlay_saliency(
    canvas_rgb: Images, saliency: Saliency | None, mask_hw: Mask | None, *, largest: float | None = None
) -> Images:
    """A canvas with its saliency and the outline of its figure, ``(H, W, 3)`` uint8.

    Heat is as opaque as it is strong: where nothing matters the photo is seen, in grey. Without ``saliency`` the photo
    keeps its colours. Each map is stretched over the whole scale, unless ``largest`` says which value is its end, so
    that several pictures can be compared.
    """
    drawn = canvas_rgb.astype(np.float64)
    if saliency is not None:
        scaled = scale_saliency(saliency) if largest is None else np.clip(saliency / max(largest, 1e-12), 0, 1)
        grey = (drawn @ _GREY_WEIGHTS)[:, :, None].repeat(3, axis=2) * 0.75
        heat = colormaps[_HEAT](0.25 + 0.75 * scaled)[:, :, :3] * 255
        opacity = (0.9 * scaled**0.75)[:, :, None]
        drawn = grey * (1 - opacity) + heat * opacity
    if mask_hw is not None:
        drawn[outline_mask(mask_hw)] = _OUTLINE_RGB
    image: NDArray[np.uint8] = np.rint(drawn).clip(0, 255).astype(np.uint8)
    return image


def outline_mask(mask_hw: Mask) -> Mask:
    """Pixels of a mask at its border, ``(H, W)`` bool; a border of the canvas counts as one."""
    inner, width = mask_hw.copy(), max(1, round(min(mask_hw.shape) * _OUTLINE_SHARE))
    for _ in range(width):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask_hw & ~inner
