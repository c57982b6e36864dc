"""Photos whose class models know by the rim of the figure alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from figureground.errors import UsageError
from figureground.exports.report.leak.curve import read_hole_answers
from figureground.exports.report.stored_results import read_results

SETTLED_PX: Final = 8
"""Dilation from which the rim is gone: a rim that is wider is a part that the mask misses."""


def rim_answers(paths: Sequence[Any], settled_px: int = SETTLED_PX) -> tuple[dict[str, float], int]:
    """How far models are right by the rim alone, by image_id in [0, 1], and of how many models.

    Of one model it is the share of its right answers to the photo with the undilated hole, less the mean share of
    those with holes dilated by ``settled_px`` or more, at least 0, times the share of wrong ones to the outline alone:
    1 where the answer is right with the rim, wrong without it, and not to be had from the outline. Over models it is
    the mean.

    Args:
        paths: Result files of ``evaluate --out``, or folders of them, of datasets with holes and outlines.
        settled_px: Canvas pixels.

    Raises:
        UsageError: if no result has what it takes.
        DataError: for files that are no results.
    """
    parts: dict[str, list[float]] = {}
    models = 0
    for result in read_results(paths):
        own = read_hole_answers(result) if result["protocol"] == "imagenet9" else None
        settled = [] if own is None else [index for index, px in enumerate(own.grow_px) if px >= settled_px]
        if own is None or own.grow_px[0] != 0 or not settled:
            continue
        models += 1
        lost = np.maximum(own.holes[:, 0] - own.holes[:, settled].mean(axis=1), 0.0)
        for image_id, part in zip(own.image_id.tolist(), lost * (1 - own.outlines[:, 0]), strict=True):
            parts.setdefault(image_id, []).append(float(part))
    if not models:
        raise UsageError(
            f"no result is of no_fg, of holes dilated by {settled_px} px or more, and of silhouette, with its answers: "
            "build the recipe imagenet9_leak, and score it with evaluate --out"
        )
    return {image_id: float(np.mean(own)) for image_id, own in parts.items()}, models
