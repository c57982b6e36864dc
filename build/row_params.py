"""What a row's ``params`` say of each photo in it: where it lands on the canvas, its box, strip, window and flags."""

from __future__ import annotations

from typing import Any

from figureground.build.selection import Candidate
from figureground.build.views import view_geometry, whole_frame
from figureground.build.windows import Crop
from figureground.schemas.classes import from_imagenet_train
from figureground.schemas.recipes import RuleSet, Variant


def photo_params(rules: RuleSet, variant: Variant, candidate: Candidate, draw: int, *, of_self: bool) -> dict[str, Any]:
    """Parameters of one photo of a row, JSON-ready, by the first layer that shows it.

    ``affine`` (sx, tx, sy, ty) leads from stored to canvas pixels; boxes are half-open in stored pixels; ``crop`` is
    there where the view has a window, with ``size`` as (height, width) of the stored photo.
    """
    layers = [layer for layer in variant.layers if (layer.of == "self") == of_self]
    name = layers[0].view if layers else variant.layers[0].view
    crop = crop_of(candidate, name, draw)
    frame = crop.frame if crop else whole_frame(candidate.record.size_hw)
    params: dict[str, Any] = {"affine": view_geometry(rules.views[name], frame).affine()}
    flags = _photo_flags(candidate)
    if crop is not None:
        params |= {"box": crop.box_xyxy_px, "size": candidate.record.size_hw, "crop": _crop_params(crop)}
        flags += crop.flags
    if any(layer.paint == "tile" or layer.matte == "box" for layer in layers):
        params["box"] = candidate.box_xyxy_px
        flags += ["box_from_mask"] if candidate.box_from_mask else []
    if candidate.strip is not None and any(layer.paint == "tile" for layer in layers):
        params["strip"] = {"side": candidate.strip.side, "box": candidate.strip.box_xyxy_px}
        flags += ["strip_1px"] if candidate.strip.width_px == 1 else []
    return {**params, "flags": sorted(set(flags))} if flags else params


def crop_of(candidate: Candidate, view: str, draw: int) -> Crop | None:
    """The crop of a row: that of its instance where each has its own, else the one there is; None without a window."""
    crops = candidate.crops.get(view)
    return None if crops is None else crops[draw if len(crops) > 1 else 0]


def _photo_flags(candidate: Candidate) -> list[str]:
    record = candidate.record
    flags = [*record.image_flags, *record.flags]
    flags += ["imagenet_train"] if from_imagenet_train(record.uri) else []
    flags += ["several_instances"] if len(record.instances) > 1 else []
    flags += ["several_boxes"] if len(record.boxes_xyxy_px) > 1 else []
    return flags


def _crop_params(crop: Crop) -> dict[str, Any]:
    return {
        "window": crop.frame.frame_xyxy_px,
        "content": crop.frame.content_xyxy_px,
        "pad_share": round(crop.frame.pad_share, 6),
        "instances": crop.instances,
        "instance_areas": crop.instance_areas_px,
        "dropped_areas": crop.dropped_areas_px,
        "box_share": round(crop.box_share, 6),
    }
