"""Which objects a recipe takes, by what its layers and views ask of them."""

from __future__ import annotations

import pytest
from strategies import object_record, square_mask

from figureground.build.planning.selection import select_objects
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ObjectRecord

CLASSES = ClassMap.model_validate({"name": "toy", "classes": [{"index": 0, "name": "a", "wnids": ["a"]}]})
PLAIN = {"name": "mine", "version": "1", "seed": 3, "class_map": "toy.json"}


def reasons(recipe: Recipe, record: ObjectRecord) -> list[str]:
    """Why the record is refused; empty where it is taken."""
    _, refused = select_objects([record], recipe, recipe.rules["exact"], CLASSES)
    return [refusal.reason for refusal in refused]


@pytest.mark.parametrize("whose", ["self", "any_class"])
def test_a_photo_without_a_strip_is_refused_wherever_a_layer_paints_tiles(whose: str) -> None:
    mask = square_mask((100, 120), (0, 0, 120, 100))
    mask[40:60, 40:60] = False
    record = object_record("odd", "a", mask=mask)
    document = PLAIN | {"rules": {"exact": {"views": {"imagenet": {}}}}}
    tiled = {"ground": {"tile": "strip", "of": whose}, "matte": "mask", "figure": "source"}
    recipe = Recipe.model_validate(document | {"variants": {"tiled": tiled}})
    assert reasons(recipe, record) == ["no_strip"]
    untiled = Recipe.model_validate(document | {"variants": {"original": {"ground": "source"}}})
    assert not reasons(untiled, record)


def test_boxes_are_judged_on_the_canvas_of_the_first_view_without_a_window() -> None:
    record = object_record("wide", "a", mask=square_mask((100, 400), (20, 20, 170, 60)))
    filters = {"min_box_kept": 0.5}
    windowed: dict[str, object] = {"resize": "none", "crop": None, "window": {}}
    for views in ({"imagenet": {}, "crop": windowed}, {"crop": windowed, "imagenet": {}}):
        document = PLAIN | {"rules": {"exact": {"views": views, "filters": filters}}}
        variants = {name: {"ground": "source", "view": name} for name in views}
        assert reasons(Recipe.model_validate(document | {"variants": variants}), record) == ["box_cropped_away"]
