"""RFS beyond its null over several masks: images, their draws and the masks in one interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from figureground.exports.evaluation.intervals import MIN_DECIDABLE, Sampling, mask_weights
from figureground.exports.evaluation.protocols.noise import DISPLACED, NoiseSettings
from figureground.exports.evaluation.protocols.outcomes import Outcomes
from figureground.exports.evaluation.protocols.sensitivity import (
    RegionalShares,
    draw_jitter,
    region_columns,
    relative_foreground_sensitivity,
    rfs_cells,
)
from figureground.exports.evaluation.shares import mean_of_class_means
from figureground.exports.evaluation.tables import Cell
from figureground.exports.evaluation.values import Floats, Ints

_STEP: Final = 1e-5  # of an accuracy, for slopes


def summarise_masks(outcomes: Outcomes, settings: NoiseSettings, sampling: Sampling) -> dict[str, dict[str, Any]]:
    """By kind of noise that has a null: RFS over all levels and all masks, JSON-ready; empty for one mask.

    Noises and displacements are drawn for every image by itself, so that resampling images with all their draws has
    the draws' variance (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8); masks are
    common to all images, and resampled across them (``mask_weights``). ``variance`` is what each is of the whole.
    """
    kinds = [kind for kind in settings.levels if kind in settings.null]
    return {kind: _over_masks(outcomes, settings, kind, sampling) for kind in kinds if len(settings.grow_px) > 1}


def _over_masks(outcomes: Outcomes, settings: NoiseSettings, kind: str, sampling: Sampling) -> dict[str, Any]:
    regions, labels = settings.regions(kind), outcomes.label
    by_mask = [region_columns(settings, kind, grow_px) for grow_px in settings.grow_px]
    right = np.stack(  # (I, M, R, T), over levels
        [[outcomes.right[:, columns[region]].mean(axis=1) for region in regions] for columns in by_mask]
    ).transpose(2, 0, 1, 3)
    images = right.mean(axis=3)
    drawn = sampling.bootstrap(images.reshape(len(labels), -1), labels).reshape(sampling.count, *images.shape[1:])
    weights = mask_weights(len(by_mask), count=sampling.count, seed=sampling.seed)
    alike = np.full_like(weights, 1 / len(by_mask))
    both = [_shares(images.mean(axis=1), drawn, own, regions, labels, settings, sampling) for own in (weights, alike)]
    described = both[0].describe(0)
    variance = _variance(both, right.mean(axis=1), regions, labels)
    return {"masks_px": list(settings.grow_px), "n": len(labels), **described, "variance": variance}


def _shares(
    images: Floats,
    drawn: Floats,
    weights: Floats,
    regions: tuple[str, ...],
    labels: Ints,
    settings: NoiseSettings,
    sampling: Sampling,
) -> RegionalShares:
    """Shares over masks ``(I, R)``, and resamples ``(B, M, R)`` of which masks weigh ``(B, M)``."""
    samples = np.einsum("bm,bmr->br", weights, drawn)
    return RegionalShares(
        labels=labels,
        images={region: images[:, [number]] for number, region in enumerate(regions)},
        means={region: mean_of_class_means(images[:, [number]], labels) for number, region in enumerate(regions)},
        samples={region: samples[:, [number]] for number, region in enumerate(regions)},
        jitter=draw_jitter(labels, sampling),
        undefined=settings.undefined,
    )


def _variance(
    both: list[RegionalShares], right: Floats, regions: tuple[str, ...], labels: Ints
) -> dict[str, float | None]:
    """Shares of the variance of RFS beyond its null: images, draws within images, masks; None for one draw.

    ``right`` is ``(I, R, T)``. The variance of draws is that within images of the linearised figure.
    """
    whole, still = (float(np.nanvar(np.subtract(*shares.jittered_rfs(0)))) for shares in both)
    masks = max(0.0, whole - still)
    if not whole > 0:
        return {"images": None, "draws": None, "masks": None}
    if right.shape[2] < 2:
        return {"images": None, "draws": None, "masks": masks / whole}
    slopes = _slopes(np.array([both[1].means[region][0] for region in regions]), regions)
    parts = np.einsum("irt,r->it", right, slopes)
    _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    weights = 1 / (len(sizes) * sizes[own])
    draws = min(still, float((weights**2 * parts.var(axis=1, ddof=1)).sum()) / right.shape[2])
    return {"images": (still - draws) / whole, "draws": draws / whole, "masks": masks / whole}


def _slopes(means: Floats, regions: tuple[str, ...]) -> Floats:
    """Derivatives of RFS beyond its null by the accuracy of every region."""

    def beyond(values: Floats) -> float:
        at = dict(zip(regions, values, strict=True))
        own, null = (
            relative_foreground_sensitivity(at[f"{place}figure"], at[f"{place}ground"]) for place in ("", DISPLACED)
        )
        return float(own - null)

    steps = _STEP * np.eye(len(regions))
    slopes = np.array([(beyond(means + step) - beyond(means - step)) / (2 * _STEP) for step in steps])
    return np.nan_to_num(slopes)


def mask_cells(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Cell]:
    """RFS over levels and masks, its null and what it has beyond it."""
    cells = dict[str, Cell]()
    for kind, measured in kinds.items():
        masks = ", ".join(f"{grow_px:+d}" if grow_px else "0" for grow_px in measured["masks_px"])
        cells |= rfs_cells(f"{kind}, all levels, masks {masks} px", measured, measured["n"] < MIN_DECIDABLE)
    return cells
