"""Masks of the same shape and area elsewhere on the canvas, and what a map has beyond them.

A mask is rolled over the canvas, so that every place is as likely to be covered, whatever the mask's size (the toroidal
shift of Lotwick and Silverman, Journal of the Royal Statistical Society B 44(3), 1982). A map that knows nothing of the
figure then has the same value in place and displaced, on average.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from figureground.exports.analyses.saliency_metrics import METRIC_NAMES, Saliency, find_undefined, measure_alignment
from figureground.exports.evaluation.intervals import (
    MIN_DECIDABLE,
    bootstrap_class_means,
    bootstrap_interval,
    bootstrap_p,
    interval_json,
    mask_weights,
)
from figureground.exports.evaluation.protocols.noise import displacement, grow_mask
from figureground.exports.evaluation.protocols.sensitivity import AREA_EDGES, skill_beyond
from figureground.exports.evaluation.shares import mean_of_class_means
from figureground.exports.evaluation.values import Floats, Ints
from figureground.schemas.rasters.masks import Mask

DISPLACEMENTS: Final = 8
DEFINITION: Final = (
    "null: mean of the metric under the object mask rolled over the canvas to places that image_id alone decides; "
    "beyond_null: metric - null, 0 for a map that knows nothing of the figure; skill: (metric - null) / (best - null), "
    "1 for the best there is; ci95: bootstrap of images within classes, each with its displacements, crossed with "
    "masks where there are several, and no narrower than a map would have that knows nothing of the figure, which is "
    "not known of fewer than two places: there it has none"
)
ONE_PLACE: Final = "one place of each mask does not tell how far places differ"
"""Why there is no interval: the variance between places bounds it from below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NullSettings:
    """How the null is made."""

    displacements: int = DISPLACEMENTS
    """Places of each mask; 0 for no null, and intervals from 2 on."""
    grow_px: tuple[int, ...] = (0,)
    """Masks of each image: canvas pixels to dilate its own by, or to erode by where negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NullMeasure:
    """One image under one model: Q quantities under M masks."""

    image_id: str
    label: int
    area: float
    """Share of the canvas that the mask covers."""
    own: Floats
    """``(M, Q)`` in place."""
    null: Floats
    """``(M, Q)`` displaced, the mean over places."""
    spread: Floats
    """``(M, Q)``: variance between places; NaN where there is one place."""
    places: int
    """Of each mask, D."""
    best: Floats
    """``(M, Q)``: the most that can be had."""

    @classmethod
    def of(cls, image_id: str, label: int, area: float, *, own: Floats, places: Floats, best: Floats) -> NullMeasure:
        """From values in place ``(M, Q)`` and at D places ``(D, M, Q)``."""
        return cls(
            image_id=image_id,
            label=label,
            area=area,
            own=own,
            null=places.mean(axis=0),
            spread=places.var(axis=0, ddof=1) if len(places) > 1 else np.full_like(own, np.nan),
            places=len(places),
            best=best,
        )


def displaced_masks(mask_hw: Mask, image_id: str, count: int) -> Iterator[Mask]:
    """A mask rolled to ``count`` places, which ``image_id`` alone decides."""
    for number in range(count):
        yield np.roll(mask_hw, displacement(mask_hw.shape, image_id, number), axis=(0, 1))


def measure_null(
    saliency: Saliency, mask_hw: Mask, image_id: str, label: int, settings: NullSettings
) -> NullMeasure | None:
    """All metrics of a map in place and displaced; None where a mask that was grown or eroded cannot be measured."""
    masks = [grow_mask(mask_hw, grow_px) for grow_px in settings.grow_px]
    if any(find_undefined(saliency, mask) for mask in masks):
        return None

    def measured(mask: Mask) -> list[float]:
        return [measure_alignment(saliency, mask)[name] for name in METRIC_NAMES]

    own = np.array([measured(mask) for mask in masks])
    places = np.array(
        [[measured(moved) for moved in displaced_masks(mask, image_id, settings.displacements)] for mask in masks]
    ).transpose(1, 0, 2)
    area = float(mask_hw.mean())
    return NullMeasure.of(image_id, label, area, own=own, places=places, best=np.ones_like(own))


def summarise_nulls(
    images: Sequence[NullMeasure], names: Sequence[str], *, bootstrap: int, seed: int
) -> dict[str, Any]:
    """Every quantity beyond its null, over class means, of all images and by area of the object; JSON-ready.

    Args:
        images: What was measured.
        names: Of the quantities.
        bootstrap: Resamples.
        seed: Of the resamples.
    """
    sampling = {"count": bootstrap, "seed": seed}
    edges = itertools.pairwise(AREA_EDGES)
    slices = [([low, high], [image for image in images if _within(image.area, low, high)]) for low, high in edges]
    return {
        "definition": DEFINITION,
        "n": len(images),
        "metrics": _beyond(images, names, **sampling),
        "by_area": [
            {
                "area": area,
                "n": len(own),
                "undecidable": len(own) < MIN_DECIDABLE,
                "metrics": _beyond(own, names, **sampling),
            }
            for area, own in slices
            if own
        ],
    }


def _within(area: float, low: float, high: float) -> bool:
    return low <= area < high or (high == AREA_EDGES[-1] and area == high)


def _beyond(images: Sequence[NullMeasure], names: Sequence[str], *, count: int, seed: int) -> dict[str, Any]:
    """Value, null, what is beyond it and skill of every quantity."""
    if not images:
        return {}
    labels = np.array([image.label for image in images], dtype=np.int64)
    values = np.stack([np.stack([image.own, image.null, image.best]) for image in images])  # (I, 3, M, Q)
    weights = mask_weights(values.shape[2], count=count, seed=seed)
    blind = _blind_variance(images, labels)
    jitter = np.random.Generator(np.random.PCG64([seed, 3])).standard_normal(count)
    cells = {}
    for column, name in enumerate(names):
        parts = values[..., column]
        drawn = bootstrap_class_means(parts.reshape(len(images), -1), labels, count=count, seed=seed)
        drawn = np.einsum("bm,bkm->bk", weights, drawn.reshape(count, *parts.shape[1:]))
        means = mean_of_class_means(parts.mean(axis=2), labels)
        if np.isnan(blind[column]):
            cells[name] = _cells_of(means, None, labels)
            continue
        lacking = max(0.0, blind[column] - float((drawn[:, 0] - drawn[:, 1]).var()))
        drawn[:, 0] = np.minimum(drawn[:, 0] + np.sqrt(lacking) * jitter, drawn[:, 2])
        cells[name] = _cells_of(means, drawn, labels)
    return cells


def _blind_variance(images: Sequence[NullMeasure], labels: Ints) -> Floats:
    """Variance ``(Q,)`` that value - null has for a map that knows nothing of the figure: of one place and D others.

    On small objects such a map hits seldom, and images that all miss agree with each other: a bootstrap of them alone
    would pass that for certainty. NaN where an image has one place.
    """
    _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    weights = 1 / (len(sizes) * sizes[own])
    spread = np.array([image.spread.mean(axis=0) * (1 + 1 / image.places) for image in images])
    return np.asarray((weights[:, None] ** 2 * spread).sum(axis=0))


def _cells_of(means: Floats, drawn: Floats | None, labels: Ints) -> dict[str, Any]:
    """``means`` and resamples ``(B, 3)`` of value, null and best; None where there is one place of each mask."""
    (own, null, best), n = means, len(labels)

    def cell(value: float, samples: Floats | None) -> dict[str, Any]:
        known = float(value) if np.isfinite(value) else None
        if samples is None:
            return {**interval_json(known, None), **({} if known is None else {"no_ci95": ONE_PLACE}), "p": None}
        ci95 = bootstrap_interval(samples, n) if known is not None else None
        return {**interval_json(known, ci95), "p": bootstrap_p(samples) if ci95 else None}

    beyond = None if drawn is None else drawn[:, 0] - drawn[:, 1]
    skill = None if drawn is None else skill_beyond(drawn[:, 0], drawn[:, 1], drawn[:, 2])
    return {
        "value": float(own),
        "null": float(null),
        "best": float(best),
        "beyond_null": cell(own - null, beyond),
        "skill": cell(float(skill_beyond(own, null, best)), skill),
    }


def describe_nulls(model: str, summary: Mapping[str, Any], names: Sequence[str]) -> str:
    """What a model has beyond its null, a line."""
    cells = []
    for name in names:
        beyond = summary["metrics"].get(name, {}).get("beyond_null")
        if beyond is not None:
            interval = " [{:+.3f}, {:+.3f}]".format(*beyond["ci95"]) if beyond["ci95"] else ""
            cells.append(f"{name} {beyond['value']:+.3f}{interval}")
    return f"{model} beyond displaced masks (n {summary['n']}): {', '.join(cells) or 'nothing to measure'}"
