"""Rendering: plan rows into pixels. Pure; any engine, any order, any number of workers gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import cv2
import numpy as np

from figureground.build.geometry.tiles import box_matte, tile_box
from figureground.build.geometry.views import Canvas, Frame, view_matte, view_photo
from figureground.build.painting.components import (
    component_box_matte,
    fill_mean,
    fill_region_mean,
    mask_box_matte,
    random_matte,
    tile_adjacent,
)
from figureground.build.painting.effects import blur_within, grow_matte, move_canvas, move_matte
from figureground.build.painting.textures import choose_family, draw_texture, texture_from_photo
from figureground.build.planning.plan import PlanRow
from figureground.build.planning.selection import Candidate
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, encode_png1
from figureground.schemas.recipe_views import View
from figureground.schemas.recipes import FILL_RGB, PER_ATTRIBUTE, Layer, Recipe, RuleSet, Variant

_ATTRIBUTE: Final = "attribute:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One photo as the canvases that rows are composed of; made once per object, from one decode."""

    photos: Mapping[str, Canvas]
    """``paint@view`` to canvas, for every paint but ``fill``."""
    mattes: Mapping[str, Mask]
    """``matte@view`` to canvas-sized matte; an attribute's is called ``attribute:NAME``."""
    mask_pngs: Mapping[str, bytes]
    """View to the object's mask there as 1-bit PNG, which most rows of the object share."""

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
    mask_png: bytes
    """The same as 1-bit PNG."""
    attribute_masks: Mapping[str, Mask]
    """Its attribute masks in canvas pixels, with what the row pasted in or took away."""


def scene_needs(recipe: Recipe) -> tuple[frozenset[str], frozenset[str]]:
    """Which photos and mattes the variants of a recipe are composed of, as keys of ``Scene`` without an instance."""
    layers = [layer for variant in recipe.variants.values() for layer in variant.layers]
    photos = {f"{_canvas_name(layer)}@{layer.view}" for layer in layers if layer.paint not in ("fill", "texture")}
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
    photos: dict[str, Canvas] = {}
    mattes: dict[str, Mask] = {}
    mask_pngs: dict[str, bytes] = {}
    for name in sorted({key.split("@")[1] for key in needed_mattes}):
        paints = sorted(key.split("@")[0] for key in needed_photos if key.endswith(f"@{name}"))
        kinds = sorted(key.split("@")[0] for key in needed_mattes if key.endswith(f"@{name}"))
        for place, frame in _frames(candidate, name):
            own = _place_mattes(candidate, stored, kinds, rules.views[name], frame)
            shown = _place_photos(candidate, photo_rgb, paints, own["mask"], rules, name, frame)
            mattes |= {f"{kind}@{place}": matte for kind, matte in own.items()}
            photos |= {f"{paint}@{place}": canvas for paint, canvas in shown.items()}
            mask_pngs[place] = encode_png1(own["mask"])
    return Scene(photos=photos, mattes=mattes, mask_pngs=mask_pngs)


def _frames(candidate: Candidate, view: str) -> Iterator[tuple[str, Frame | None]]:
    """Canvases of one view by the name that ``Scene`` knows them by; several where each instance has its own window."""
    crops = candidate.crops.get(view)
    if crops is None:
        yield view, None
        return
    for index, crop in enumerate(crops):
        yield _place_name(view, index), crop.frame


def _place_name(view: str, index: int) -> str:
    return f"{view}#{index}" if index else view


def _canvas_name(layer: Layer) -> str:
    """What a layer's photo is called in a scene: one mean colour is taken from the photo as it is."""
    return "source" if layer.paint == "mean" and layer.mean_of != "components" else layer.paint


def _place_mattes(
    candidate: Candidate, stored: Mapping[str, Mask], kinds: list[str], view: View, frame: Frame | None
) -> dict[str, Mask]:
    found = {name: view_matte(mask, view, frame) for name, mask in stored.items()}
    for kind in kinds:
        if kind == "box":
            found[kind] = view_matte(box_matte(candidate.box_xyxy_px, candidate.record.size_hw), view, frame)
        elif kind == "mask_box":
            found[kind] = mask_box_matte(found["mask"])
        elif kind == "component_box":
            found[kind] = component_box_matte(found["mask"])
    return found


def _place_photos(
    candidate: Candidate,
    photo_rgb: Canvas,
    paints: list[str],
    mask: Mask,
    rules: RuleSet,
    name: str,
    frame: Frame | None,
) -> dict[str, Canvas]:
    view = rules.views[name]
    source = cache(lambda: view_photo(photo_rgb, view, frame))
    found: dict[str, Canvas] = {}
    for paint in paints:
        if paint == "tile":
            if candidate.strip is not None:
                tiled = tile_box(photo_rgb, candidate.box_xyxy_px, candidate.strip)
                found[paint] = view_photo(tiled, view, frame)
        elif paint == "adjacent":
            found[paint] = tile_adjacent(source(), mask, rules.adjacent)
        else:
            found[paint] = fill_mean(source(), mask) if paint == "mean" else source()
    return found


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
        owner, place = figure if layer.of == "self" else ground, _place(layer, row, rules)
        paint = _painted(layer, owner, place, row, texture_of)
        matte = _matte(layer, figure, place, row)
        if layer.move is not None:
            about = figure.mattes[f"mask@{place}"]
            whole = np.ones(about.shape, dtype=np.bool_)
            paint = move_canvas(paint, about, layer.move)
            matte = move_matte(whole if matte is None else matte, about, layer.move)
        if matte is not None and rules.black_is_ground and layer.paint == "source":
            # The released script finds the figure again by its non-black pixels (arXiv 2006.09994's build code).
            matte = matte & paint.any(axis=2)
        canvas = _composed(canvas, paint, matte)
    if canvas is None:
        raise ValueError(f"variant {row.variant} has no layers")
    place = _place(variant.layers[-1], row, rules)
    labelled = ground if variant.labels == "donor" else figure
    attributes = _attributes_of(row, variant, figure, labelled, place)
    mask, png = labelled.mattes[f"mask@{place}"], labelled.mask_pngs[place]
    if variant.moved is not None and variant.labels == "self":
        attributes = {name: move_matte(part, mask, variant.moved) for name, part in attributes.items()}
        mask = move_matte(mask, mask, variant.moved)
        png = encode_png1(mask)
    return Rendered(image_rgb=canvas, object_mask=mask, mask_png=png, attribute_masks=attributes)


def _attributes_of(row: PlanRow, variant: Variant, figure: Scene, labelled: Scene, place: str) -> dict[str, Mask]:
    """Attribute masks of the photo that labels the row, with what the row pasted in or took away."""
    attributes = labelled.attributes(place)
    if variant.swaps_attribute:
        matte = figure.mattes[f"{_ATTRIBUTE}{row.attribute}@{place}"]
        pasted = {row.attribute: matte | attributes.get(row.attribute, matte)} if variant.labels == "donor" else {}
        kept = {name: mask & ~matte for name, mask in attributes.items() if name != row.attribute}
        attributes = dict(sorted({**kept, **pasted}.items()))
    return attributes


def _place(layer: Layer, row: PlanRow, rules: RuleSet) -> str:
    window = rules.views[layer.view].window
    return _place_name(layer.view, row.draw if window is not None and window.take == "each" else 0)


def _matte(layer: Layer, figure: Scene, place: str, row: PlanRow) -> Mask | None:
    if layer.matte == "all":
        return None
    if layer.matte not in PER_ATTRIBUTE:
        return grow_matte(figure.mattes[f"{layer.matte}@{place}"], layer.grow_px)
    part = figure.mattes[f"{_ATTRIBUTE}{row.attribute}@{place}"]
    if layer.matte == "random":
        part = random_matte(figure.mattes[f"mask@{place}"], int(part.sum()), row.seed)
    return grow_matte(part, layer.grow_px)


def _painted(
    layer: Layer, owner: Scene, place: str, row: PlanRow, texture_of: Callable[[str], Canvas] | None
) -> Canvas:
    mask = owner.mattes[f"mask@{place}"]
    size_hw = (mask.shape[0], mask.shape[1])
    if layer.paint == "fill":
        return _plain(FILL_RGB[layer.fill], size_hw)
    if layer.paint == "texture":
        if row.texture_id and texture_of is not None:
            paint = texture_from_photo(texture_of(row.texture_id), row.seed, size_hw)
        else:
            paint = draw_texture(choose_family(layer.texture, row.seed), row.seed, size_hw)
    else:
        paint = owner.photos[f"{_canvas_name(layer)}@{place}"]
    if layer.paint == "mean" and layer.mean_of != "components":
        paint = fill_region_mean(paint, _region(layer.mean_of, mask))
    return paint if layer.blur is None else blur_within(paint, _region(layer.blur.within, mask), layer.blur.sigma)


def _region(name: str, mask: Mask) -> Mask:
    return {"figure": mask, "ground": ~mask}.get(name, np.ones_like(mask))


def _decoded(rle: CocoRle, candidate: Candidate) -> Mask:
    return decode_coco_rle(rle, size_hw=candidate.record.size_hw, record=candidate.object_id)


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
