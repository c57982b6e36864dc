"""Painted regions of an answer: read and judged, united by name, and kept apart where they show several objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import cv2
import numpy as np

from figureground.annotate.studio.answer_json import Result
from figureground.annotate.studio.served import ServedView
from figureground.errors import DataError, Fault, printable
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.pages.labeling import (
    ATTRIBUTES_CONTROL,
    BOX_CONTROL,
    FLAGS,
    FLAGS_CONTROL,
    GROUND_CONTROL,
    MASK_CONTROL,
    NO_OTHER_PARTS,
    NOTE_CONTROL,
    PART_BOX_CONTROL,
    PART_POINT_CONTROL,
    PARTS_CONTROL,
    POINT_CONTROL,
    SETTLEMENT_CONTROL,
    VISIBILITIES,
    VISIBILITY_CONTROL,
)
from figureground.schemas.rasters.masks import Mask, decode_bitmask, decode_brush_rle
from figureground.schemas.rasters.sizes import ORDER, spell_size

BRUSH: Final = "brushlabels"
BITMASK: Final = "bitmasklabels"
_PROMPTS: Final = {POINT_CONTROL, GROUND_CONTROL, BOX_CONTROL, PART_POINT_CONTROL, PART_BOX_CONTROL}
_ASKED: Final = {
    VISIBILITY_CONTROL: "choices",
    ATTRIBUTES_CONTROL: "choices",
    FLAGS_CONTROL: "choices",
    PARTS_CONTROL: "choices",
    SETTLEMENT_CONTROL: "choices",
    NOTE_CONTROL: "textarea",
}
"""What the page asks beside its regions, and in which form the answer comes."""
_ANSWER_TYPES: Final = {
    "choices",
    "textarea",
    "rating",
    "number",
    "datetime",
    "taxonomy",
    "labels",
    "pairwise",
    "ranker",
}
"""Kinds of results that say something of a region or of the photo, and draw nothing."""


@dataclass(frozen=True, slots=True)
class Region:
    """One painted region."""

    region_id: str
    labels: tuple[str, ...]
    """``object`` or names of local attributes, as the schema has them now."""
    mask_hw: Mask
    """``(H, W)`` bool, served pixels."""
    origin: str
    """How it came about, in Label Studio's words: ``manual``, ``prediction`` or ``prediction-changed``."""


def read_regions(
    results: Sequence[Result], view: ServedView, schema: AttributeSchema, *, record: str, passed_over: Counter[str]
) -> list[Region]:
    """The painted regions of an answer, brushes and bitmasks, in its order.

    Nothing else that is drawn is read: a region of another kind or control, or without a label, is a fault, so that an
    answer never counts with a part of what somebody painted.

    Args:
        results: All entries of the answer.
        view: How the photo lies in its served copy.
        schema: The attributes that the page asked for.
        record: What to call the answer in an error.
        passed_over: Counts, by its reason, what draws nothing and is not read.

    Raises:
        DataError: with every fault: regions that are not read, labels and choices that the page does not offer, masks
            of another size than the served copy's, damaged masks.
    """
    names = {OBJECT: OBJECT, **{name: name for name in schema.names("local")}}
    names |= {attribute.was: attribute.name for attribute in schema.attributes if attribute.was}
    faults = list(_choices_not_offered(results, schema, record))
    faults += _not_read(results, record, passed_over)
    regions: list[Region] = []
    for result in results:
        if not _is_mask(result):
            continue
        region_record = f"{record} region {result.id}"
        labels = result.value.brushlabels if result.type == BRUSH else result.value.bitmasklabels
        if not labels:
            faults.append(_unlabelled(region_record, result))
        elif strange := sorted(set(labels) - set(names)):
            faults.append(_not_offered(region_record, ", ".join(names), strange[0]))
        elif (result.original_height, result.original_width) != view.served_hw:
            faults.append(_of_another_size(region_record, result, view))
        else:
            try:
                mask = _decoded(result, view, region_record)
            except DataError as error:
                faults += error.faults
            else:
                own_names = tuple(names[label] for label in labels)
                regions.append(Region(result.id, own_names, mask, result.origin or "manual"))
                passed_over["regions in which nothing is painted"] += not mask.any()
    if faults:
        raise DataError(faults)
    return regions


def _is_mask(result: Result) -> bool:
    return result.type in (BRUSH, BITMASK) and result.from_name == MASK_CONTROL


def _decoded(result: Result, view: ServedView, record: str) -> Mask:
    if result.type == BITMASK:
        return decode_bitmask(result.value.imageDataURL, size_hw=view.served_hw, record=record)
    return decode_brush_rle(result.value.rle or [], size_hw=view.served_hw, record=record)


def _not_read(results: Sequence[Result], record: str, passed_over: Counter[str]) -> Iterator[Fault]:
    """Regions that are none of the page's masks, as faults; what draws nothing is counted."""
    known = {result.id for result in results if _is_mask(result) or result.from_name in _PROMPTS}
    masks = {result.id for result in results if _is_mask(result)}
    for result in results:
        name, control = f"{record} region {result.id}", result.from_name
        if _is_mask(result):
            continue
        if control in _PROMPTS:
            passed_over["prompts of the interactive SAM"] += result.type not in _ANSWER_TYPES
        elif result.type not in _ANSWER_TYPES and result.type != "relation":
            unlabelled = control == MASK_CONTROL and result.type in ("brush", "bitmask")
            yield _unlabelled(name, result) if unlabelled else _of_another_kind(name, result)
        elif result.value.drawn and result.id not in known:
            yield _unlabelled(name, result)
        elif control in _ASKED and result.type != _ASKED[control]:
            yield _of_another_kind(f"{record} {control}", result)
        elif control not in _ASKED:
            passed_over[f"{_kind(result)}, which the page does not have"] += 1
        elif control == VISIBILITY_CONTROL and result.id not in masks:
            passed_over["visibilities of regions that are none"] += 1


def _kind(result: Result) -> str:
    """Kind and control of a result, such as ``polygonlabels of mask``."""
    return f"{printable(result.type)[:40] or 'no kind'} of {printable(result.from_name)[:40] or 'no control'}"


def _unlabelled(record: str, result: Result) -> Fault:
    return Fault(
        where="Label Studio",
        record=record,
        expected="a label on every region",
        got=f"a region without one ({_kind(result)})",
        remedy="give it its label in the page, or delete it",
    )


def _of_another_kind(record: str, result: Result) -> Fault:
    return Fault(
        where="Label Studio",
        record=record,
        expected=f"{BRUSH} or {BITMASK} of {MASK_CONTROL}, which alone are read, or what the page asks",
        got=_kind(result),
        remedy="paint it with the brush instead, and delete it",
    )


def unite_regions(regions: Sequence[Region]) -> dict[str, Mask]:
    """The union of the regions of each name, served pixels; names without a painted pixel are left out."""
    united: dict[str, Mask] = {}
    for region in regions:
        for label in region.labels:
            united[label] = united[label] | region.mask_hw if label in united else region.mask_hw
    return {name: mask for name, mask in united.items() if mask.any()}


def single_objects(regions: Sequence[Region], object_hw: Mask, view: ServedView) -> list[Mask]:
    """Masks of the single objects, where several regions are called ``object``; empty where one is.

    A region that is the copy of another, pixel for pixel, shows no second object.

    Args:
        regions: Regions of the answer.
        object_hw: The answer's object mask, ``(H, W)`` bool, stored pixels.
        view: How the photo lies in its served copy.

    Returns:
        ``(H, W)`` bool masks in stored pixels, in the answer's order; their union is ``object_hw``.
    """
    painted = [region.mask_hw for region in regions if OBJECT in region.labels and region.mask_hw.any()]
    distinct = {mask.tobytes(): mask for mask in painted}
    if len(distinct) < 2:
        return []
    parts = share_out(object_hw, [view.to_stored(mask) for mask in distinct.values()])
    return parts if len(parts) > 1 else []


def share_out(whole_hw: Mask, parts: Sequence[Mask]) -> list[Mask]:
    """Parts cut to a mask, so that together they are that mask.

    Scaling moves the rims of a mask and of its parts by less than a pixel of the smaller raster; pixels of the mask
    that no part has therefore go to the nearest part, the first of equally near ones.

    Args:
        whole_hw: ``(H, W)`` bool, not empty.
        parts: ``(H, W)`` bool masks, at least one; they may overlap.

    Returns:
        The parts that have a pixel inside ``whole_hw``, in the order given.
    """
    shares = [share for part in parts if (share := part & whole_hw).any()]
    if not shares:
        return [whole_hw]
    rest = whole_hw & ~reduce(np.logical_or, shares)
    if rest.any():
        nearest = np.stack([_distances_px(share)[rest] for share in shares]).argmin(axis=0)
        for number, share in enumerate(shares):
            share[rest] = nearest == number
    return shares


def _distances_px(mask_hw: Mask) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Distance of each pixel to the nearest one of a mask, ``(H, W)`` float32, in pixels."""
    outside = np.asarray(~mask_hw, dtype=np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), dtype=np.float32)


def chosen_choices(results: Sequence[Result], control: str) -> set[str]:
    """Ticked choices of a control as a set: the page does not keep their order."""
    return {choice for result in results if result.from_name == control for choice in result.value.choices}


def _choices_not_offered(results: Sequence[Result], schema: AttributeSchema, record: str) -> Iterator[Fault]:
    renamed = {attribute.was for attribute in schema.attributes if attribute.was}
    offered = {
        FLAGS_CONTROL: set(FLAGS),
        VISIBILITY_CONTROL: set(VISIBILITIES),
        ATTRIBUTES_CONTROL: {*schema.names("global"), *renamed},
        PARTS_CONTROL: {NO_OTHER_PARTS} if schema.names("local") else set(),
    }
    for control, choices in offered.items():
        for strange in sorted(chosen_choices(results, control) - choices):
            yield _not_offered(f"{record} {control}", ", ".join(sorted(choices)) or "nothing", strange)


def _not_offered(record: str, offered: str, got: str) -> Fault:
    remedy = "it was not asked for; the answer belongs to another page"
    return Fault(where="Label Studio", record=record, expected=f"one of {offered}", got=repr(got[:80]), remedy=remedy)


def _of_another_size(record: str, result: Result, view: ServedView) -> Fault:
    return Fault(
        where="Label Studio",
        record=record,
        expected=f"a mask of the served copy's {spell_size(view.served_hw)} {ORDER}",
        got=spell_size((result.original_height, result.original_width)),
        remedy="delete the region in the page and paint it again",
    )
