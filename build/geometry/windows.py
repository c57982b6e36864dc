"""Windows: the crops around an object, and those of the same size elsewhere that tell what cropping alone does.

ImageNet-A-Plus (arXiv 2102.11731) does not say how its crops were cut; every choice is therefore a field of
``schemas.recipe_views.Window``. All in stored pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, hypot
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.build.geometry.tiles import clip_box
from figureground.build.geometry.views import Frame, view_geometry, whole_frame
from figureground.schemas.rasters.masks import Box, Mask, tight_box
from figureground.schemas.recipe_views import View, Window

STANDARD_EVAL: Final = View()
"""Short side to 256, centre 224: how most classifiers see a photo."""


class NoWindow(ValueError):
    """Raised where a window refuses a photo; the message is a stable reason code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """A window placed on one photo."""

    frame: Frame
    box_xyxy_px: Box
    """Tight box of what the window is placed by: the instances taken, without specks."""
    instances: int
    """Number of instances in the photo."""
    instance_areas_px: tuple[int, ...]
    """Their areas, largest first."""
    dropped_areas_px: tuple[int, ...]
    """Areas of the components that are no part of the object, largest first."""
    box_share: float
    """Area of the box ÷ area of the photo."""
    flags: tuple[str, ...]
    """Sorted: ``low_res``, ``no_context``, ``several_instances``, ``far_apart``, ``truncated_by_center_crop`` (the
    standard centre crop of the whole photo cuts the box), ``amputated_by_eval`` (that of this window does),
    ``overlaps_object`` (a random window that could not be clear of it)."""


def place_window(window: Window, mask_hw: Mask, recorded: Sequence[Mask], seed: int) -> tuple[Crop, ...]:
    """Place a window on a photo: one crop, or one for each instance, largest first.

    Args:
        window: The policy.
        mask_hw: ``(H, W)`` bool object mask, not empty.
        recorded: Masks of the instances that annotators distinguished, ``(H, W)`` bool; at most one if they did not.
        seed: Decides where a random window lies.

    Raises:
        NoWindow: where the policy refuses the photo.
    """
    object_hw, dropped = _without_specks(mask_hw, window)
    instances = _instances(object_hw, recorded, window)
    if window.take == "single" and len(instances) > 1:
        raise NoWindow("several_instances")
    areas = tuple(int(instance.sum()) for instance in instances)
    photo_px = mask_hw.size
    union = _box(object_hw)
    far = window.max_union_share is not None and len(instances) > 1 and _area(union) > window.max_union_share * photo_px
    if window.take == "each":
        chosen = [_box(instance) for instance in instances]
    else:
        chosen = [_box(instances[0]) if far or window.take == "largest" else union]
    size_hw = (mask_hw.shape[0], mask_hw.shape[1])
    return tuple(
        _crop(window, box, size_hw, seed, instances=areas, dropped=dropped, far=far and window.take == "union")
        for box in chosen
    )


def _crop(
    window: Window,
    box: Box,
    size_hw: tuple[int, int],
    seed: int,
    *,
    instances: tuple[int, ...],
    dropped: tuple[int, ...],
    far: bool,
) -> Crop:
    frame = frame_around(window, box, size_hw)
    share = _area(box) / (size_hw[0] * size_hw[1])
    flags = {
        "low_res": max(box[2] - box[0], box[3] - box[1]) < window.low_res_px,
        "no_context": share > window.no_context_share,
        "several_instances": len(instances) > 1,
        "far_apart": far,
        "truncated_by_center_crop": not view_geometry(STANDARD_EVAL, whole_frame(size_hw)).keeps(box),
    }
    if window.around == "object":
        flags["amputated_by_eval"] = not view_geometry(STANDARD_EVAL, frame).keeps(box)
    else:
        frame = _elsewhere(window, frame, box, size_hw, seed)
        flags["overlaps_object"] = window.around == "random" and _meet(frame.content_xyxy_px, box)
    return Crop(
        frame=frame,
        box_xyxy_px=box,
        instances=len(instances),
        instance_areas_px=instances,
        dropped_areas_px=dropped,
        box_share=share,
        flags=tuple(sorted(flag for flag, holds in flags.items() if holds)),
    )


def frame_around(window: Window, box: Box, size_hw: tuple[int, int]) -> Frame:
    """The frame of a box under a policy; it holds all of the box."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    margin = _margin_px(window, width, height)
    if window.shape == "square":
        longest = max(width, height)
        side = -(-8 * longest // 7) + 2 if margin is None else ceil(longest + 2 * margin)
        wanted = _centred(box, side, side)
    else:
        grown = ceil(margin or 0)
        wanted = (x0 - grown, y0 - grown, x1 + grown, y1 + grown)
    if window.outside == "shift":
        wanted = _shifted(wanted, size_hw)
    content = clip_box(wanted, size_hw)
    if window.shape == "letterbox":
        content_side = max(content[2] - content[0], content[3] - content[1])
        frame = _centred(content, content_side, content_side)
    else:
        frame = content if window.outside == "clip" else wanted
    return Frame(frame_xyxy_px=frame, content_xyxy_px=content, pad=window.pad)


def _margin_px(window: Window, width: int, height: int) -> float | None:
    """Margin on each side of the box; None where it is to be what the standard centre crop cuts away.

    The window's side is then 8/7 of the box's longest side, and two pixels.
    """
    if window.margin == "survive":
        return None
    unit = {"longest_side": float(max(width, height)), "diagonal": hypot(width, height), "pixel": 1.0}
    return window.margin * unit[window.margin_of]


def _centred(box: Box, width: int, height: int) -> Box:
    """A rectangle no smaller than ``box`` about its middle, rounded up and to the left."""
    x0, y0 = (box[0] + box[2] - width) // 2, (box[1] + box[3] - height) // 2
    return x0, y0, x0 + width, y0 + height


def _shifted(box: Box, size_hw: tuple[int, int]) -> Box:
    """The box moved into the photo; one larger than the photo is centred on it, to be padded on both sides."""
    starts = [_shift(box[axis], box[axis + 2] - box[axis], size_hw[1 - axis]) for axis in (0, 1)]
    return starts[0], starts[1], starts[0] + box[2] - box[0], starts[1] + box[3] - box[1]


def _shift(start: int, length: int, room: int) -> int:
    return min(max(start, 0), room - length) if length <= room else (room - length) // 2


def _elsewhere(window: Window, frame: Frame, box: Box, size_hw: tuple[int, int], seed: int) -> Frame:
    """A frame of the same size in the photo's middle, or at a position that ``seed`` draws."""
    height, width = frame.size_hw
    whole = (0, 0, size_hw[1], size_hw[0])
    placed = _centred(whole, width, height)
    if window.around == "random":
        x0, y0 = _random_place((width, height), box, size_hw, seed)
        placed = (x0, y0, x0 + width, y0 + height)
    return Frame(frame_xyxy_px=placed, content_xyxy_px=clip_box(placed, size_hw), pad=frame.pad)


def _random_place(size_wh: tuple[int, int], box: Box, size_hw: tuple[int, int], seed: int) -> tuple[int, int]:
    """Left and top of a window, evenly among those clear of the box, else among all; inside the photo where it fits."""
    xs, ys = (_starts(side, room) for side, room in zip(size_wh, (size_hw[1], size_hw[0]), strict=True))
    x_clear = (xs + size_wh[0] <= box[0]) | (xs >= box[2])
    y_clear = (ys + size_wh[1] <= box[1]) | (ys >= box[3])
    free_rows = np.where(x_clear, len(ys), int(y_clear.sum()))  # how many tops each left has
    if not free_rows.any():
        index = seed % (len(xs) * len(ys))
        return int(xs[index // len(ys)]), int(ys[index % len(ys)])
    until = np.cumsum(free_rows)
    index = seed % int(until[-1])
    column = int(np.searchsorted(until, index, side="right"))
    tops = ys if x_clear[column] else ys[y_clear]
    return int(xs[column]), int(tops[index - (int(until[column]) - int(free_rows[column]))])


def _starts(length: int, room: int) -> NDArray[np.int64]:
    """Starts of an interval of ``length`` in ``[0, room)``: all that fit, or the centred one where it is longer."""
    return np.arange(room - length + 1) if length <= room else np.array([(room - length) // 2])


def _without_specks(mask_hw: Mask, window: Window) -> tuple[Mask, tuple[int, ...]]:
    """The mask without components that are too small, and their areas; the largest always stays."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask_hw.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    small = (areas < window.least_component_share * areas.sum()) & (areas < window.least_component_px)
    small[areas.argmax()] = False
    if count == 2 or not small.any():
        return mask_hw, ()
    remaining = np.isin(labels, 1 + np.flatnonzero(~small))
    return remaining, tuple(sorted((int(area) for area in areas[small]), reverse=True))


def _instances(object_hw: Mask, recorded: Sequence[Mask], window: Window) -> list[Mask]:
    """Instances of an object without its specks, largest first, then in reading order of their boxes."""
    if window.instances == "components":
        count, labels = cv2.connectedComponents(object_hw.view(np.uint8), connectivity=8)
        parts = [labels == label for label in range(1, count)]
    else:
        parts = [part for mask in recorded if (part := mask & object_hw).any()]
    instances = parts if len(parts) > 1 else [object_hw]
    return sorted(instances, key=lambda instance: (-int(instance.sum()), _box(instance)[1::-1]))


def _box(mask_hw: Mask) -> Box:
    box = tight_box(mask_hw)
    if box is None:
        raise NoWindow("mask_empty")
    return box


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _meet(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
