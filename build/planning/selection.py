"""Which objects of a release a recipe takes: measured facts, filters with reasons, balance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from figureground.build.geometry.objects import NO_CROPS, MeasuredObject
from figureground.build.geometry.tiles import box_matte, clip_box, hull, largest_strip
from figureground.build.geometry.views import resize_matte, view_geometry, view_matte
from figureground.build.geometry.windows import Crop, NoWindow, place_window
from figureground.build.planning.mask_facts import MaskFacts, bound_box, canvas_px, resized_px
from figureground.build.planning.seeds import derive_seed, hash_order
from figureground.schemas.classes import ClassMap, from_imagenet_train
from figureground.schemas.rasters.masks import Box, decode_coco_rle
from figureground.schemas.rasters.sizes import MOST_PIXELS
from figureground.schemas.recipe_views import View
from figureground.schemas.recipes import Balance, Filters, Recipe, RuleSet
from figureground.schemas.records import ObjectRecord

IMAGENET_TRAIN: Final = "imagenet_train"
"""Flag of photos that most classifiers were trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An object that a recipe does not take."""

    object_id: str
    label: str
    """Source label."""
    reason: str
    """Stable code, such as ``mask_empty`` or ``no_strip``."""
    detail: str = ""


def select_objects(
    records: Iterable[ObjectRecord], recipe: Recipe, rules: RuleSet, classes: ClassMap
) -> tuple[list[MeasuredObject], list[Refusal]]:
    """Measure every object and apply the filters; an object that one filter refuses leaves every variant."""
    taken: list[MeasuredObject] = []
    refused: list[Refusal] = []
    for record in records:
        outcome = _measure(record, recipe, rules, classes)
        if isinstance(outcome, MeasuredObject):
            taken.append(outcome)
        else:
            refused.append(outcome)
    return taken, refused


def balance_classes(
    objects: Sequence[MeasuredObject], balance: Balance, *, seed: int
) -> tuple[list[MeasuredObject], list[Refusal]]:
    """Take the ``per_class`` objects of each class with the smallest hashes, so that one photo moves at most one.

    With ``smallest`` nothing is balanced when a class would fall under ``min_per_class``.
    """
    by_class: dict[int, list[MeasuredObject]] = defaultdict(list)
    for measured in objects:
        by_class[measured.label].append(measured)
    smallest = min((len(members) for members in by_class.values()), default=0)
    if balance.per_class == "all" or (balance.per_class == "smallest" and smallest < balance.min_per_class):
        return list(objects), []
    quota = smallest if balance.per_class == "smallest" else balance.per_class

    def by_hash(measured: MeasuredObject) -> bytes:
        return hash_order(f"{seed}\0balance", measured.object_id)

    taken = {measured.object_id for members in by_class.values() for measured in sorted(members, key=by_hash)[:quota]}
    refused = [
        _refuse(measured.record, "balance", f"quota {quota}") for measured in objects if measured.object_id not in taken
    ]
    return [measured for measured in objects if measured.object_id in taken], refused


def class_counts(objects: Iterable[MeasuredObject], classes: ClassMap) -> dict[str, int]:
    """Objects per class name, in class order, classes without objects included."""
    labels = Counter(measured.label for measured in objects)
    return {name: labels[label] for label, name in enumerate(classes.names)}


def refusal_counts(refusals: Sequence[Refusal]) -> str:
    """Numbers of objects by the reason why they were refused, as text: ``reasons: balance 3, mask_empty 1``."""
    counts = Counter(refusal.reason for refusal in refusals)
    return "reasons: " + ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


def _refuse(record: ObjectRecord, reason: str, detail: str = "") -> Refusal:
    return Refusal(object_id=record.object_id, label=record.label, reason=reason, detail=detail)


def _measure(record: ObjectRecord, recipe: Recipe, rules: RuleSet, classes: ClassMap) -> MeasuredObject | Refusal:
    label = classes.index_of_label.get(record.label)
    if label is None:
        return _refuse(record, "unmapped_class", f"{record.label} is in no class of {classes.name}")
    if recipe.source_splits is not None and record.source_split not in recipe.source_splits:
        return _refuse(record, "source_split", record.source_split)
    filters = rules.filters
    largest = max((resized_px(record.size_hw, view) for view in rules.views.values() if view.window is None), default=0)
    if largest > MOST_PIXELS:
        return _refuse(record, "canvas_too_large", f"{largest} px when resized > {MOST_PIXELS}")
    if filters.clean_ground and "class_visible_outside" in record.flags:
        return _refuse(record, "class_visible_outside", "a second, unmasked instance would stay in the ground")
    if filters.one_box and len(record.boxes_xyxy_px) > 1:
        return _refuse(record, "several_boxes", f"{len(record.boxes_xyxy_px)} annotated boxes")
    if not filters.mask:
        whole = (0, 0, record.width, record.height)
        return MeasuredObject(
            record=record, label=label, box_xyxy_px=whole, box_from_mask=False, strip=None, flags=_flags(record)
        )
    return _measure_mask(record, label, recipe, rules)


def _measure_mask(record: ObjectRecord, label: int, recipe: Recipe, rules: RuleSet) -> MeasuredObject | Refusal:
    mask = MaskFacts(record.mask, size_hw=record.size_hw, record=record.object_id)
    tight = mask.tight_box
    if tight is None:
        return _refuse(record, "mask_empty")
    if rules.filters.full_mask and mask.full:
        return _refuse(record, "mask_full")
    annotated = [clip_box(box, record.size_hw) for box in record.boxes_xyxy_px]
    box = hull([*annotated, tight] if rules.box == "hull" else annotated or [tight])
    for view in (view for view in rules.views.values() if view.window is None):
        if not mask.is_on(view):
            return _refuse(record, "mask_cropped_away", "nothing of the mask is left on the canvas")
        if rules.filters.full_mask and mask.fills(view):
            return _refuse(record, "mask_fills_canvas", "nothing of the ground is left on the canvas")
    if refusal := _judge_box(record, box, mask.area_px, rules):
        return refusal
    strip = largest_strip(box, record.size_hw, overlap_px=rules.strip_overlap_px)
    if (rules.filters.strip or recipe.tiles) and strip is None:
        return _refuse(record, "no_strip", "the box leaves no margin to tile from")
    try:
        crops = _place_windows(record, mask, recipe, rules)
    except NoWindow as refused:
        return _refuse(record, str(refused))
    for name, own in crops.items():
        for crop in own:
            sizes = (crop.frame.size_hw, view_geometry(rules.views[name], crop.frame).resized_hw)
            largest = max(height * width for height, width in sizes)
            if largest > MOST_PIXELS:
                return _refuse(record, "canvas_too_large", f"{largest} px of the window > {MOST_PIXELS}")
    return MeasuredObject(
        record=record,
        label=label,
        box_xyxy_px=box,
        box_from_mask=not annotated,
        strip=strip,
        crops=crops,
        flags=_flags(record),
    )


def _flags(record: ObjectRecord) -> tuple[str, ...]:
    flags = [*record.image_flags, *record.flags]
    flags += [IMAGENET_TRAIN] if from_imagenet_train(record.uri) else []
    flags += ["several_instances"] if len(record.instances) > 1 else []
    flags += ["several_boxes"] if len(record.boxes_xyxy_px) > 1 else []
    return tuple(sorted(set(flags)))


def _place_windows(
    record: ObjectRecord, mask: MaskFacts, recipe: Recipe, rules: RuleSet
) -> Mapping[str, tuple[Crop, ...]]:
    windows = {name: view.window for name, view in rules.views.items() if view.window is not None}
    if not windows:
        return NO_CROPS
    pixels = mask.pixels()
    recorded = record.instances if len(record.instances) > 1 else ()
    instances = [decode_coco_rle(rle, size_hw=record.size_hw, record=record.object_id) for rle in recorded]
    return {
        name: place_window(window, pixels, instances, derive_seed(recipe.seed, f"window/{name}", record.object_id, 0))
        for name, window in windows.items()
    }


def _judge_box(record: ObjectRecord, box: Box, mask_px: int, rules: RuleSet) -> Refusal | None:
    """ImageNet-9's filters on the box (``is_good_image`` of the released script; arXiv 2006.09994, Appendix A)."""
    filters, view = rules.filters, rules.whole_view
    if view is not None and _may_be_refused(box, record.size_hw, view, filters):
        matte = box_matte(box, record.size_hw)
        on_canvas = view_matte(matte, view)
        share = float(on_canvas.mean())
        if filters.max_box_share is not None and share > filters.max_box_share:
            return _refuse(record, "box_too_large", f"{share:.3f} of the canvas > {filters.max_box_share}")
        kept_share = float(on_canvas.sum()) / max(float(resize_matte(matte, view).sum()), 1.0)
        if filters.min_box_kept is not None and kept_share < filters.min_box_kept:
            return _refuse(record, "box_cropped_away", f"{kept_share:.3f} of the box kept < {filters.min_box_kept}")
    filled = mask_px / ((box[2] - box[0]) * (box[3] - box[1]))
    if filters.min_mask_over_box is not None and filled < filters.min_mask_over_box:
        return _refuse(record, "mask_too_small", f"{filled:.3f} of the box < {filters.min_mask_over_box}")
    return None


def _may_be_refused(box: Box, size_hw: tuple[int, int], view: View, filters: Filters) -> bool:
    """Whether the box must be drawn to be judged: most boxes are far from the limits."""
    on_canvas = bound_box(box, size_hw, view, cropped=True)
    resized = bound_box(box, size_hw, view, cropped=False)
    too_large = filters.max_box_share is not None and on_canvas.most > filters.max_box_share * canvas_px(size_hw, view)
    cut_away = filters.min_box_kept is not None and on_canvas.least < filters.min_box_kept * max(resized.most, 1.0)
    return too_large or cut_away
