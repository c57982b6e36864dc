"""What ``params`` of a row says of each photo in it: where it lands on the canvas, its box, strip, window and flags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.geometry.views import Frame, view_geometry, whole_frame
from figureground.build.geometry.windows import Crop
from figureground.schemas.rasters.masks import Box
from figureground.schemas.recipes import RuleSet, Variant

json_text: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""``canonical_json`` with one encoder for all rows."""
_FRAMES: Final = 4096  # whose affines a variant remembers: photos come in few sizes, crops in many


class PhotoParams:
    """Parameters of one photo in every row of a variant, by the first layer that shows it."""

    def __init__(self, rules: RuleSet, variant: Variant, *, of_self: bool) -> None:
        layers = [layer for layer in variant.layers if (layer.of == "self") == of_self]
        self._view = layers[0].view if layers else variant.layers[0].view
        self._geometry = rules.views[self._view]
        self._tiled = any(layer.paint == "tile" for layer in layers)
        self._boxed = self._tiled or any(layer.matte == "box" for layer in layers)
        self._affines: dict[Box, str] = {}

    def of(self, shown: MeasuredObject, draw: int) -> str:
        """Parameters of one row, canonical JSON.

        ``affine`` (sx, tx, sy, ty) leads from stored to canvas pixels; boxes are half-open in stored pixels; ``crop``
        is there where the view has a window, with ``size`` as (height, width) of the stored photo.
        """
        crop = shown.crop(self._view, draw)
        params = {"affine": self._affine(crop.frame if crop else whole_frame(shown.record.size_hw))}
        flags = shown.flags
        if crop is not None:
            params["box"] = _box_json(crop.box_xyxy_px)
            params["size"] = json_text(shown.record.size_hw)
            params["crop"] = json_text(_crop_params(crop))
            flags += tuple(crop.flags)
        if self._boxed:
            params["box"] = _box_json(shown.box_xyxy_px)
            flags += ("box_from_mask",) if shown.box_from_mask else ()
        if shown.strip is not None and self._tiled:
            box = _box_json(shown.strip.box_xyxy_px)
            params["strip"] = json_object({"box": box, "side": f'"{shown.strip.side}"'})
            flags += ("strip_1px",) if shown.strip.width_px == 1 else ()
        if flags:
            params["flags"] = _flags_json(flags)
        return json_object(params)

    def _affine(self, frame: Frame) -> str:
        known = self._affines.get(frame.frame_xyxy_px)
        if known is None:
            known = json_text(view_geometry(self._geometry, frame).affine())
            if len(self._affines) < _FRAMES:
                self._affines[frame.frame_xyxy_px] = known
        return known


def json_object(members: Mapping[str, str]) -> str:
    """Canonical JSON of an object whose members are canonical JSON, with names that need no escape."""
    return "{" + ",".join([f'"{name}":{members[name]}' for name in sorted(members)]) + "}"


def _box_json(box: Box) -> str:
    return f"[{box[0]},{box[1]},{box[2]},{box[3]}]"


@lru_cache(maxsize=4096)
def _flags_json(flags: tuple[str, ...]) -> str:
    return json_text(sorted(set(flags)))


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
