"""Rendering: plan rows into pixels. Pure; any engine, any order, any number of workers gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.build.plan import PlanRow
from figureground.build.selection import Candidate
from figureground.build.tiles import box_matte, tile_box
from figureground.build.views import view_matte, view_photo
from figureground.schemas.masks import Mask, decode_coco_rle
from figureground.schemas.recipes import FILL_RGB, Layer, Recipe, RuleSet, Variant

Canvas = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One photo as the canvases that rows are composed of; made once per object, from one decode."""

    photos: Mapping[str, Canvas]
    """``paint@view`` to canvas, for the paints ``source`` and ``tile``."""
    mattes: Mapping[str, Mask]
    """``matte@view`` to canvas-sized matte, for ``mask``, ``box`` and ``attribute:NAME``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One output."""

    image_rgb: Canvas
    object_mask: Mask
    """The figure's own mask in canvas pixels, whatever was painted."""
    attribute_masks: Mapping[str, Mask]
    """The figure's attribute masks in canvas pixels."""


def scene_needs(recipe: Recipe) -> tuple[frozenset[str], frozenset[str]]:
    """Which photos and mattes the variants of a recipe are composed of, as keys of ``Scene``."""
    layers = [layer for variant in recipe.variants.values() for layer in variant.layers]
    photos = {f"{layer.paint}@{layer.view}" for layer in layers if layer.paint != "fill"}
    mattes = {f"{layer.matte}@{layer.view}" for layer in layers if layer.matte != "all"}
    return frozenset(photos), frozenset(mattes | {f"mask@{layer.view}" for layer in layers})


def make_scene(candidate: Candidate, photo_rgb: Canvas, rules: RuleSet, recipe: Recipe) -> Scene:
    """Bring a decoded photo, its mask and its box onto every canvas that the recipe uses.

    Boxes and tiles are computed in stored pixels of their own photo; only then does the view apply.
    """
    needed_photos, needed_mattes = scene_needs(recipe)
    mask = decode_coco_rle(candidate.record.mask, size_hw=candidate.record.size_hw, record=candidate.object_id)
    photos: dict[str, Canvas] = {}
    for key in sorted(needed_photos):
        paint, view = key.split("@")
        if paint == "tile" and candidate.strip is None:
            continue
        painted = photo_rgb
        if paint == "tile" and candidate.strip is not None:
            painted = tile_box(photo_rgb, candidate.box_xyxy_px, candidate.strip)
        photos[key] = view_photo(painted, rules.views[view])
    mattes: dict[str, Mask] = {}
    for key in sorted(needed_mattes):
        matte, view = key.split("@")
        stored = mask if matte == "mask" else box_matte(candidate.box_xyxy_px, candidate.record.size_hw)
        mattes[key] = view_matte(stored, rules.views[view])
        if matte == "mask":
            for name, rle in candidate.record.attribute_masks.items():
                part = decode_coco_rle(rle, size_hw=candidate.record.size_hw, record=candidate.object_id)
                mattes[f"attribute:{name}@{view}"] = view_matte(part, rules.views[view])
    return Scene(photos=photos, mattes=mattes)


def render_row(row: PlanRow, variant: Variant, rules: RuleSet, scene_of: Callable[[str], Scene]) -> Rendered:
    """Compose one row: its layers, bottom to top."""
    figure = scene_of(row.object_id)
    ground = scene_of(row.ground_id) if row.ground_id else figure
    canvas: Canvas | None = None
    for layer in variant.layers:
        owner = figure if layer.of == "self" else ground
        canvas = _paint(canvas, layer, owner, figure, black_is_ground=rules.black_is_ground)
    if canvas is None:
        raise ValueError(f"variant {row.variant} has no layers")
    view = variant.layers[-1].view
    attributes = {
        key.removeprefix("attribute:").removesuffix(f"@{view}"): matte
        for key, matte in sorted(figure.mattes.items())
        if key.startswith("attribute:") and key.endswith(f"@{view}")
    }
    return Rendered(image_rgb=canvas, object_mask=figure.mattes[f"mask@{view}"], attribute_masks=attributes)


def _paint(below: Canvas | None, layer: Layer, owner: Scene, figure: Scene, *, black_is_ground: bool) -> Canvas:
    matte = None if layer.matte == "all" else figure.mattes[f"{layer.matte}@{layer.view}"]
    if layer.paint == "fill":
        shape_hw = figure.mattes[f"mask@{layer.view}"].shape
        paint = np.full((*shape_hw, 3), FILL_RGB[layer.fill], dtype=np.uint8)
    else:
        paint = owner.photos[f"{layer.paint}@{layer.view}"]
    if below is None or matte is None:
        return paint.copy()
    if black_is_ground and layer.paint == "source":
        # The released script finds the figure again by its non-black pixels (arXiv 2006.09994's build code).
        matte = matte & paint.any(axis=2)
    painted = below.copy()
    cv2.copyTo(paint, matte.view(np.uint8), painted)
    return painted
