"""Which attributes of an object have rows: those that leave a pixel on every canvas on which they are painted."""

from __future__ import annotations

from collections.abc import Sequence

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.geometry.views import view_matte
from figureground.build.planning.selection import Refusal
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.recipes import Recipe, RuleSet


def shown_attributes(
    objects: Sequence[MeasuredObject], recipe: Recipe, rules: RuleSet, schema: AttributeSchema | None
) -> tuple[dict[str, list[str]], list[Refusal]]:
    """Attributes that have rows, sorted, by object id, and those that vanish on a canvas.

    Args:
        objects: Objects that take part.
        recipe: The recipe; without variants that have a row for each attribute, no attribute has rows.
        rules: Its rule set.
        schema: Its attribute schema, whose local attributes have rows; without one, all that have masks.
    """
    views = {layer.view for variant in recipe.variants.values() if variant.per_attribute for layer in variant.layers}
    if not views:
        return {}, []
    shown: dict[str, list[str]] = {}
    vanished: list[Refusal] = []
    for figure in objects:
        names = _local_attributes(figure, schema)
        shown[figure.object_id] = [name for name in names if _is_shown(name, figure, views, rules)]
        vanished += [
            Refusal(object_id=figure.object_id, label=figure.record.label, reason="attribute_vanishes", detail=name)
            for name in names
            if name not in shown[figure.object_id]
        ]
    return shown, vanished


def _local_attributes(figure: MeasuredObject, schema: AttributeSchema | None) -> list[str]:
    masked = set(figure.record.attribute_masks)
    return sorted(masked & set(schema.names("local")) if schema and schema.attributes else masked)


def _is_shown(name: str, figure: MeasuredObject, views: set[str], rules: RuleSet) -> bool:
    """Whether an attribute has a pixel on the canvas of every view."""
    rle = figure.record.attribute_masks[name]
    mask = decode_coco_rle(rle, size_hw=figure.record.size_hw, record=figure.object_id)
    frames = {view: crop.frame if (crop := figure.crop(view, 0)) else None for view in views}
    return all(view_matte(mask, rules.views[view], frame).any() for view, frame in frames.items())
