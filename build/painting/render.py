"""Rendering: plan rows into pixels. Pure; any engine, any order, any number of workers gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from figureground.build.geometry.views import Canvas
from figureground.build.painting.components import fill_region_mean, random_matte
from figureground.build.painting.effects import blur_within, grow_matte, move_canvas, move_matte
from figureground.build.painting.scenes import CanvasKey, PlacedPhoto, Scene, paint_name
from figureground.build.painting.textures import draw_texture, texture_from_photo
from figureground.schemas.rasters.masks import Mask, encode_png1
from figureground.schemas.recipes import FILL_RGB, PER_ATTRIBUTE, Layer, RuleSet, Variant
from figureground.schemas.records import PlanRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One output."""

    image_rgb: Canvas
    object_mask: Mask
    """The object's mask in canvas pixels, whatever was painted; the variant's ``labels`` says whose."""
    mask_png: bytes
    """The same as 1-bit PNG."""
    attribute_masks: Mapping[str, Mask]
    """Its attribute masks in canvas pixels, with what the row pasted in or took away."""


def render_row(
    row: PlanRow,
    variant: Variant,
    rules: RuleSet,
    scene_of: Callable[[str], Scene],
    texture_of: Callable[[str], Canvas] | None = None,
) -> Rendered:
    """Compose one row: its layers, bottom to top.

    Args:
        row: The row.
        variant: Its variant.
        rules: The rule set of the plan.
        scene_of: Scenes by object id.
        texture_of: Photos of textures by image id, for rows that are painted with one.
    """
    figure = scene_of(row.object_id)
    ground = scene_of(row.ground_id) if row.ground_id else figure
    canvas: Canvas | None = None
    for layer in variant.layers:
        key = _canvas_key(layer, row, rules)
        own = figure[key]
        paint = _paint(layer, own if layer.of == "self" else ground[key], row, texture_of)
        matte = _matte(layer, own, row)
        if layer.move is not None:
            whole = np.ones(own.mask.shape, dtype=np.bool_)
            paint = move_canvas(paint, own.mask, layer.move)
            matte = move_matte(whole if matte is None else matte, own.mask, layer.move)
        if matte is not None and rules.black_is_ground and layer.paint == "source":
            # The released script finds the figure again by its non-black pixels (arXiv 2006.09994's build code).
            matte = matte & paint.any(axis=2)
        canvas = _composed(canvas, paint, matte)
    if canvas is None:
        raise ValueError(f"variant {row.variant} has no layers")
    key = _canvas_key(variant.layers[-1], row, rules)
    labelled = (ground if variant.labels == "donor" else figure)[key]
    attributes = _attribute_masks(row, variant, figure[key], labelled)
    mask, png = labelled.mask, labelled.mask_png
    if variant.moved is not None and variant.labels == "self":
        attributes = {name: move_matte(part, mask, variant.moved) for name, part in attributes.items()}
        mask = move_matte(mask, mask, variant.moved)
        png = encode_png1(mask)
    return Rendered(image_rgb=canvas, object_mask=mask, mask_png=png, attribute_masks=attributes)


def _canvas_key(layer: Layer, row: PlanRow, rules: RuleSet) -> CanvasKey:
    window = rules.views[layer.view].window
    return CanvasKey(layer.view, row.draw if window is not None and window.take == "each" else 0)


def _attribute_masks(row: PlanRow, variant: Variant, figure: PlacedPhoto, labelled: PlacedPhoto) -> dict[str, Mask]:
    """Attribute masks, by name in order, of the photo that labels the row, with what the row pasted or took away."""
    attributes = dict(sorted(labelled.attributes.items()))
    if not variant.swaps_attribute:
        return attributes
    matte = figure.attributes[row.attribute]
    remaining = {name: mask & ~matte for name, mask in attributes.items() if name != row.attribute}
    pasted = {row.attribute: matte | attributes.get(row.attribute, matte)} if variant.labels == "donor" else {}
    return dict(sorted({**remaining, **pasted}.items()))


def _matte(layer: Layer, figure: PlacedPhoto, row: PlanRow) -> Mask | None:
    """Pixels that a layer covers; None for all of them."""
    if layer.matte == "all":
        return None
    if layer.matte not in PER_ATTRIBUTE:
        return grow_matte(figure.mattes[layer.matte], layer.grow_px)
    part = figure.attributes[row.attribute]
    if layer.matte == "random":
        part = random_matte(figure.mask, int(part.sum()), row.seed)
    return grow_matte(part, layer.grow_px)


def _paint(layer: Layer, owner: PlacedPhoto, row: PlanRow, texture_of: Callable[[str], Canvas] | None) -> Canvas:
    """The canvas that a layer paints from, as large as its owner's; blurred if the layer says so."""
    mask = owner.mask
    size_hw = (mask.shape[0], mask.shape[1])
    if layer.paint == "fill":
        return _plain(FILL_RGB[layer.fill], size_hw)
    if layer.paint == "texture":
        if row.texture_id and texture_of is not None:
            paint = texture_from_photo(texture_of(row.texture_id), row.seed, size_hw)
        else:
            paint = draw_texture(json.loads(row.params)["texture"]["family"], row.seed, size_hw)
    else:
        paint = owner.photos[paint_name(layer)]
    if layer.paint == "mean" and layer.mean_of != "components":
        paint = fill_region_mean(paint, _region(layer.mean_of, mask))
    return paint if layer.blur is None else blur_within(paint, _region(layer.blur.within, mask), layer.blur.sigma)


def _region(name: str, mask: Mask) -> Mask:
    return {"figure": mask, "ground": ~mask}.get(name, np.ones_like(mask))


@lru_cache(maxsize=8)
def _plain(colour_rgb: tuple[int, int, int], size_hw: tuple[int, int]) -> Canvas:
    canvas = np.full((*size_hw, 3), colour_rgb, dtype=np.uint8)
    canvas.flags.writeable = False  # other rows share it
    return canvas


def _composed(below: Canvas | None, paint: Canvas, matte: Mask | None) -> Canvas:
    if below is None or matte is None:
        return paint
    painted = below.copy()
    cv2.copyTo(paint, matte.view(np.uint8), painted)
    return painted
