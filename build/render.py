"""Rendering: plan rows into pixels. Pure; any engine, any order, any number of workers gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.build.components import (
    component_box_matte,
    fill_mean,
    mask_box_matte,
    random_matte,
    tile_adjacent,
)
from figureground.build.plan import PlanRow
from figureground.build.selection import Candidate
from figureground.build.tiles import box_matte, tile_box
from figureground.build.views import view_matte, view_photo
from figureground.schemas.masks import CocoRle, Mask, decode_coco_rle
from figureground.schemas.recipes import FILL_RGB, PER_ATTRIBUTE, Layer, Recipe, RuleSet, Variant

Canvas = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 RGB."""

_ATTRIBUTE: Final = "attribute:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One photo as the canvases that rows are composed of; made once per object, from one decode."""

    photos: Mapping[str, Canvas]
    """``paint@view`` to canvas, for every paint but ``fill``."""
    mattes: Mapping[str, Mask]
    """``matte@view`` to canvas-sized matte; an attribute's is called ``attribute:NAME``."""

    def attributes(self, view: str) -> dict[str, Mask]:
        """Attribute masks on one canvas by name, sorted."""
        named = {key.removesuffix(f"@{view}"): matte for key, matte in self.mattes.items() if key.endswith(f"@{view}")}
        return {
            key.removeprefix(_ATTRIBUTE): matte for key, matte in sorted(named.items()) if key.startswith(_ATTRIBUTE)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One output."""

    image_rgb: Canvas
    object_mask: Mask
    """The object's mask in canvas pixels, whatever was painted; whose, says the variant's ``labels``."""
    attribute_masks: Mapping[str, Mask]
    """Its attribute masks in canvas pixels, with what the row pasted in or took away."""


def scene_needs(recipe: Recipe) -> tuple[frozenset[str], frozenset[str]]:
    """Which photos and mattes the variants of a recipe are composed of, as keys of ``Scene``."""
    layers = [layer for variant in recipe.variants.values() for layer in variant.layers]
    photos = {f"{layer.paint}@{layer.view}" for layer in layers if layer.paint != "fill"}
    mattes = {f"{layer.matte}@{layer.view}" for layer in layers if layer.matte not in ("all", *PER_ATTRIBUTE)}
    return frozenset(photos), frozenset(mattes | {f"mask@{layer.view}" for layer in layers})


def make_scene(candidate: Candidate, photo_rgb: Canvas, rules: RuleSet, recipe: Recipe) -> Scene:
    """Bring a decoded photo, its masks and its boxes onto every canvas that the recipe uses.

    The box and the strip tiles are computed in stored pixels of their own photo; only then does the view apply. What
    goes by components is computed on the canvas.
    """
    needed_photos, needed_mattes = scene_needs(recipe)
    stored = {"mask": _decoded(candidate.record.mask, candidate)}
    stored |= {
        f"{_ATTRIBUTE}{name}": _decoded(rle, candidate) for name, rle in candidate.record.attribute_masks.items()
    }
    views = {key.split("@")[1] for key in needed_mattes}
    mattes = {f"{name}@{view}": view_matte(mask, rules.views[view]) for name, mask in stored.items() for view in views}
    for key in needed_mattes - set(mattes):
        matte, view = key.split("@")
        mask = mattes[f"mask@{view}"]
        if matte == "box":
            mattes[key] = view_matte(box_matte(candidate.box_xyxy_px, candidate.record.size_hw), rules.views[view])
        else:
            mattes[key] = component_box_matte(mask) if matte == "component_box" else mask_box_matte(mask)
    source = cache(lambda view: view_photo(photo_rgb, rules.views[view]))
    photos: dict[str, Canvas] = {}
    for key in sorted(needed_photos):
        paint, view = key.split("@")
        if paint == "tile":
            if candidate.strip is not None:
                tiled = tile_box(photo_rgb, candidate.box_xyxy_px, candidate.strip)
                photos[key] = view_photo(tiled, rules.views[view])
            continue
        canvas = source(view)
        if paint == "adjacent":
            canvas = tile_adjacent(canvas, mattes[f"mask@{view}"], rules.adjacent)
        elif paint == "mean":
            canvas = fill_mean(canvas, mattes[f"mask@{view}"])
        photos[key] = canvas
    return Scene(photos=photos, mattes=mattes)


def render_row(row: PlanRow, variant: Variant, rules: RuleSet, scene_of: Callable[[str], Scene]) -> Rendered:
    """Compose one row: its layers, bottom to top."""
    figure = scene_of(row.object_id)
    ground = scene_of(row.ground_id) if row.ground_id else figure
    canvas: Canvas | None = None
    for layer in variant.layers:
        owner = figure if layer.of == "self" else ground
        canvas = _paint(canvas, layer, owner, _matte(layer, figure, row), black_is_ground=rules.black_is_ground)
    if canvas is None:
        raise ValueError(f"variant {row.variant} has no layers")
    view = variant.layers[-1].view
    labelled = ground if variant.labels == "donor" else figure
    attributes = labelled.attributes(view)
    if variant.swaps_attribute:
        matte = figure.mattes[f"{_ATTRIBUTE}{row.attribute}@{view}"]
        pasted = {row.attribute: matte | attributes.get(row.attribute, matte)} if variant.labels == "donor" else {}
        kept = {name: mask & ~matte for name, mask in attributes.items() if name != row.attribute}
        attributes = dict(sorted({**kept, **pasted}.items()))
    return Rendered(image_rgb=canvas, object_mask=labelled.mattes[f"mask@{view}"], attribute_masks=attributes)


def _matte(layer: Layer, figure: Scene, row: PlanRow) -> Mask | None:
    if layer.matte == "all":
        return None
    if layer.matte not in PER_ATTRIBUTE:
        return figure.mattes[f"{layer.matte}@{layer.view}"]
    part = figure.mattes[f"{_ATTRIBUTE}{row.attribute}@{layer.view}"]
    if layer.matte == "attribute":
        return part
    return random_matte(figure.mattes[f"mask@{layer.view}"], int(part.sum()), row.seed)


def _decoded(rle: CocoRle, candidate: Candidate) -> Mask:
    return decode_coco_rle(rle, size_hw=candidate.record.size_hw, record=candidate.object_id)


def _paint(below: Canvas | None, layer: Layer, owner: Scene, matte: Mask | None, *, black_is_ground: bool) -> Canvas:
    if layer.paint == "fill":
        shape_hw = owner.mattes[f"mask@{layer.view}"].shape
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
