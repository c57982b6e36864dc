"""Neural-feature attribution: which penultimate units are active on which attribute, and where it lies.

The abstract of Moayeri et al. (CVPR 2022, arXiv 2201.10766) names this analysis; no code of it was released. What is
here is a reconstruction of ours, and every result says so in its ``definition``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.analyses.rows import AnalysedRow, AnalysedRows
from figureground.exports.analyses.saliency_metrics import HALF_OF_MAXIMUM
from figureground.exports.analyses.units import UnitReader, rank_top
from figureground.exports.evaluation.values import Floats, Ints
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.masks import Mask

OBJECT: Final = "entire-object"
DEFINITION: Final = (
    "a reconstruction by figureground, not released by the paper: for every penultimate unit the k images of the split "
    "with its largest activation; its activation map, without negative values, resized bilinearly to the canvas and "
    "binarised at >= 0.5 of its maximum; mean_iou is over those of the k images where the attribute is known, 0 where "
    "it is absent, and mean_iou_where_present over those that have its mask; rate_top is the share of the k images "
    "known to have the attribute, rate_all that of all images; correlation is point-biserial, of activation with "
    "presence over all images where it is known"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTable:
    """How units and regions are related, for U units and R regions. NaN where nothing is known."""

    units: Ints
    """``(U,)`` columns of the penultimate features; units that never change are left out."""
    regions: tuple[str, ...]
    """Attributes by name, then ``entire-object``."""
    mean_iou: Floats
    """``(U, R)`` in [0, 1]."""
    mean_iou_where_present: Floats
    """``(U, R)`` in [0, 1]."""
    n_with_mask: Ints
    """``(U, R)`` of the top images."""
    rate_top: Floats
    """``(U, R)`` in [0, 1]."""
    rate_all: Floats
    """``(R,)`` in [0, 1]."""
    correlation: Floats
    """``(U, R)`` in [-1, 1]."""


def point_biserial(activation: Floats, present: Floats) -> Floats:
    """Correlation of ``(N, U)`` activations with ``(N, R)`` presence (1, 0, NaN unknown), ``(U, R)`` in [-1, 1].

    Pearson's, over the images where presence is known; NaN where either never changes.
    """
    correlations = np.full((activation.shape[1], present.shape[1]), np.nan)
    for region in range(present.shape[1]):
        known = np.isfinite(present[:, region])
        has, values = present[known, region], activation[known]
        if not known.any() or has.min() == has.max():
            continue
        values, has = values - values.mean(axis=0), has - has.mean()
        spread = np.sqrt((values**2).sum(axis=0) * (has**2).sum())
        moving = spread > 0
        correlations[moving, region] = (values[:, moving] * has[:, None]).sum(axis=0) / spread[moving]
    return correlations


def binary_maps_iou(maps_hw: NDArray[Any], masks_hw: Sequence[Mask]) -> Floats:
    """IoU of each map ``(U, H, W)``, binarised at half its maximum, with each of M masks ``(H, W)``: ``(U, M)``.

    0 for an all-zero map: the unit is nowhere.
    """
    largest = maps_hw.max(axis=(1, 2), keepdims=True)
    binary = ((maps_hw >= HALF_OF_MAXIMUM * largest) & (largest > 0)).reshape(len(maps_hw), -1).astype(np.float32)
    masks = np.stack(masks_hw).reshape(len(masks_hw), -1).astype(np.float32)
    shared = (binary @ masks.T).astype(np.float64)  # counts below 2**24 are exact in float32
    united = binary.sum(axis=1)[:, None] + masks.sum(axis=1)[None] - shared
    ious: Floats = np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)
    return ious


def row_regions(row: AnalysedRow) -> dict[str, Mask | None]:
    """What is known of a row: the mask of each attribute that it has, None for those that it has not.

    An attribute that is there without a mask (a texture, say) takes the object's.
    """
    regions: dict[str, Mask | None] = {}
    for name, present in row.attributes.items():
        mask = row.attribute_masks_hw.get(name, row.object_mask_hw)
        if not present:
            regions[name] = None
        elif mask is not None and mask.any():
            regions[name] = mask
    if row.object_mask_hw is not None and row.object_mask_hw.any():
        regions[OBJECT] = row.object_mask_hw
    return regions


def tabulate_units(
    reader: UnitReader, rows: AnalysedRows, activation: Floats, *, k: int, progress: Progress | None = None
) -> UnitTable:
    """Locate every unit on its ``k`` top images and compare it with the masks there.

    ``activation`` is ``(N, D)``, of the rows in their order. All rows are read once more for their attributes.
    """
    moving = np.flatnonzero(activation.max(axis=0) > activation.min(axis=0))
    top = rank_top(activation[:, moving], k)
    names, present = _presence(rows)
    regions = (*names, OBJECT)
    units_of_row: dict[int, list[int]] = {}
    for column, unit in enumerate(moving):
        for row in top[:, column]:
            units_of_row.setdefault(int(row), []).append(int(unit))
    index_of = {int(unit): index for index, unit in enumerate(moving)}
    shape = (len(moving), len(regions))
    sums, with_mask, known = np.zeros(shape), np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for located in reader.locate(rows, units_of_row, progress=progress):
        own, masks_of = [index_of[unit] for unit in located.units], row_regions(located.row)
        columns = {name: regions.index(name) for name in masks_of}
        masks = {name: mask for name, mask in masks_of.items() if mask is not None}
        for column in columns.values():
            known[own, column] += 1
        if masks:
            for name, ious in zip(masks, binary_maps_iou(located.maps_hw, list(masks.values())).T, strict=True):
                sums[own, columns[name]] += ious
                with_mask[own, columns[name]] += 1
    chosen = present[top]  # (k, U, A)
    rates = _mean(np.nan_to_num(chosen).sum(axis=0), np.isfinite(chosen).sum(axis=0))
    whole = _mean(with_mask[:, -1:].astype(np.float64), known[:, -1:])
    return UnitTable(
        units=moving,
        regions=regions,
        mean_iou=_mean(sums, known),
        mean_iou_where_present=_mean(sums, with_mask),
        n_with_mask=with_mask,
        rate_top=np.hstack([rates, whole]),
        rate_all=np.append(_mean(np.nan_to_num(present).sum(axis=0), np.isfinite(present).sum(axis=0)), 1.0),
        correlation=np.hstack([point_biserial(activation[:, moving], present), np.full((len(moving), 1), np.nan)]),
    )


def _presence(rows: AnalysedRows) -> tuple[tuple[str, ...], Floats]:
    """Names of all attributes, and ``(N, A)`` 1, 0 or NaN."""
    answers = rows.attributes()
    names = tuple(sorted({name for answered in answers for name in answered}))
    return names, np.array([[float(answered.get(name, np.nan)) for name in names] for answered in answers]).reshape(
        len(answers), len(names)
    )


def _mean(sums: Floats, counts: Ints) -> Floats:
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def best_units(table: UnitTable, region: int, count: int) -> list[int]:
    """Positions in the table of the units with the largest ``mean_iou`` with a region; those with none are left out."""
    values = table.mean_iou[:, region]
    order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")
    return [int(index) for index in order[:count] if values[index] > 0]


def describe_pair(table: UnitTable, index: int, region: int) -> dict[str, Any]:
    """One row ``index`` and one column ``region`` of the table, JSON-ready."""
    return {
        "unit": int(table.units[index]),
        "mean_iou": float(table.mean_iou[index, region]),
        "mean_iou_where_present": float(table.mean_iou_where_present[index, region]),
        "n_with_mask": int(table.n_with_mask[index, region]),
        "rate_top": float(table.rate_top[index, region]),
        "correlation": float(table.correlation[index, region]),
    }


def features_csv(table: UnitTable) -> str:
    """All pairs of unit and region, LF line ends; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ["unit", "mean_iou", "mean_iou_where_present", "n_with_mask", "rate_top", "correlation"]
    writer.writerow(["region", *names, "rate_all"])
    for region, name in enumerate(table.regions):
        for index in range(len(table.units)):
            cell = {**describe_pair(table, index, region), "rate_all": float(table.rate_all[region])}
            values = ["" if value != value else f"{value:.6g}" for value in cell.values()]
            writer.writerow([name, *values])
    return text.getvalue()
