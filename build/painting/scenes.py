"""Scenes: one photo as the canvases that rows are composed of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.geometry.tiles import box_matte, tile_box
from figureground.build.geometry.views import Canvas, Frame, view_matte, view_photo
from figureground.build.painting.components import component_box_matte, fill_mean, mask_box_matte, tile_adjacent
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, encode_png1
from figureground.schemas.recipe_views import View
from figureground.schemas.recipes import PER_ATTRIBUTE, Layer, Recipe, RuleSet


class CanvasKey(NamedTuple):
    """One canvas of a photo."""

    view: str
    """Name of the view that brings the photo onto it."""
    instance: int = 0
    """Number of the instance whose window it shows; 0 where there is one window, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPhoto:
    """A photo and its masks on one canvas."""

    photos: Mapping[str, Canvas]
    """Canvases to paint from, by the name of the paint: ``source``, ``tile``, ``adjacent`` or ``mean``."""
    mattes: Mapping[str, Mask]
    """``mask``, and the other mattes that rows need (``box``, ``mask_box``, ``component_box``), canvas-sized."""
    attributes: Mapping[str, Mask]
    """Attribute name to its mask, canvas-sized."""
    mask_png: bytes
    """The object's mask as 1-bit PNG, which most rows of the object share."""

    @property
    def mask(self) -> Mask:
        """The object's mask, ``(H, W)`` bool in canvas pixels."""
        return self.mattes["mask"]


Scene = Mapping[CanvasKey, PlacedPhoto]
"""One photo on every canvas that a recipe uses; made once per object, from one decode."""


@dataclass(frozen=True, slots=True)
class CanvasNeeds:
    """Paints and mattes that the variants of a recipe take from a canvas of one view; names sorted."""

    paints: tuple[str, ...]
    mattes: tuple[str, ...]


def canvas_needs(recipe: Recipe) -> dict[str, CanvasNeeds]:
    """Paints and mattes that rows are composed of, by the name of the view."""
    paints: dict[str, set[str]] = defaultdict(set)
    mattes: dict[str, set[str]] = defaultdict(set)
    for variant in recipe.variants.values():
        for layer in variant.layers:
            mattes[layer.view].add("mask")
            if layer.matte not in ("all", *PER_ATTRIBUTE):
                mattes[layer.view].add(layer.matte)
            if layer.paint not in ("fill", "texture"):
                paints[layer.view].add(paint_name(layer))
    return {view: CanvasNeeds(tuple(sorted(paints[view])), tuple(sorted(mattes[view]))) for view in sorted(mattes)}


def paint_name(layer: Layer) -> str:
    """Name of a layer's paint in ``PlacedPhoto.photos``: one mean colour is taken from the photo as it is."""
    return "source" if layer.paint == "mean" and layer.mean_of != "components" else layer.paint


def make_scene(
    measured: MeasuredObject, photo_rgb: Canvas, rules: RuleSet, recipe: Recipe
) -> dict[CanvasKey, PlacedPhoto]:
    """Bring a decoded photo, its masks and its boxes onto every canvas that the recipe uses.

    The box and the strip tiles are computed in stored pixels of their own photo; only then does the view apply. What
    goes by components is computed on the canvas.
    """
    mask = _decoded(measured.record.mask, measured)
    attributes = {name: _decoded(rle, measured) for name, rle in measured.record.attribute_masks.items()}
    scene: dict[CanvasKey, PlacedPhoto] = {}
    for name, needs in canvas_needs(recipe).items():
        view = rules.views[name]
        for key, frame in _frames(measured, name):
            mattes = _place_mattes(measured, mask, needs.mattes, view, frame)
            scene[key] = PlacedPhoto(
                photos=_place_photos(measured, photo_rgb, needs.paints, mattes["mask"], rules, view, frame),
                mattes=mattes,
                attributes={part: view_matte(stored, view, frame) for part, stored in attributes.items()},
                mask_png=encode_png1(mattes["mask"]),
            )
    return scene


def _frames(measured: MeasuredObject, view: str) -> Iterator[tuple[CanvasKey, Frame | None]]:
    """Canvases of one view with what each takes of the photo; several where each instance has its own window."""
    crops = measured.crops.get(view)
    if crops is None:
        yield CanvasKey(view), None
        return
    for instance, crop in enumerate(crops):
        yield CanvasKey(view, instance), crop.frame


def _place_mattes(
    measured: MeasuredObject, mask_hw: Mask, kinds: tuple[str, ...], view: View, frame: Frame | None
) -> dict[str, Mask]:
    mask = view_matte(mask_hw, view, frame)
    mattes = {"mask": mask}
    for kind in kinds:
        if kind == "box":
            mattes[kind] = view_matte(box_matte(measured.box_xyxy_px, measured.record.size_hw), view, frame)
        elif kind == "mask_box":
            mattes[kind] = mask_box_matte(mask)
        elif kind == "component_box":
            mattes[kind] = component_box_matte(mask)
    return mattes


def _place_photos(
    measured: MeasuredObject,
    photo_rgb: Canvas,
    paints: tuple[str, ...],
    mask: Mask,
    rules: RuleSet,
    view: View,
    frame: Frame | None,
) -> dict[str, Canvas]:
    source = cache(lambda: view_photo(photo_rgb, view, frame))
    photos: dict[str, Canvas] = {}
    for paint in paints:
        if paint == "tile":
            if measured.strip is not None:
                tiled = tile_box(photo_rgb, measured.box_xyxy_px, measured.strip)
                photos[paint] = view_photo(tiled, view, frame)
        elif paint == "adjacent":
            photos[paint] = tile_adjacent(source(), mask, rules.adjacent)
        else:
            photos[paint] = fill_mean(source(), mask) if paint == "mean" else source()
    return photos


def _decoded(rle: CocoRle, measured: MeasuredObject) -> Mask:
    return decode_coco_rle(rle, size_hw=measured.record.size_hw, record=measured.object_id)
