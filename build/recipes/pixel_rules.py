"""Pixel rules: in which version of the program's own rules a recipe's words are meant.

A recipe names what is done, such as ``matte: area``; what that does to a pixel is the program's. Where the program
changes it, the version below goes up, each dataset's lock names its version, and an earlier dataset's recipe is read in
words that mean now what its own meant then. So every dataset can be rebuilt to its own pixels.

1. ``area`` counts stored pixels whose centres lie in a canvas pixel (Pillow's box filter), now called ``box_filter``.
2. ``area`` is the covered share of a canvas pixel's area, exactly.
"""

from __future__ import annotations

from typing import Any, Final

from figureground.errors import DataError
from figureground.schemas.recipes import Recipe

PIXEL_RULES: Final = 2
"""Version that datasets are built under."""


def in_present_words(recipe: Recipe, pixel_rules: int, *, where: str) -> Recipe:
    """The recipe of a dataset, in words that mean today what its own meant when it was built.

    Args:
        recipe: The recipe as the dataset spells it.
        pixel_rules: Version of the pixel rules that it was built under.
        where: Name of the dataset in errors.

    Raises:
        DataError: for a version that this program does not know yet.
    """
    if not 1 <= pixel_rules <= PIXEL_RULES:
        raise DataError.single(
            where,
            "pixel_rules",
            expected=f"a version of the pixel rules from 1 to {PIXEL_RULES}",
            got=str(pixel_rules),
            remedy="use the figureground that recipe.lock.json names, or a later one",
        )
    if pixel_rules == PIXEL_RULES:
        return recipe
    words = recipe.model_dump(mode="json")
    for rules in words["rules"].values():
        for view in rules["views"].values():
            _name_box_filter(view)
    for variant in words["variants"].values():
        for layer in variant["layers"]:
            _name_box_filter(layer["move"] or {})
    return Recipe.model_validate(words)


def _name_box_filter(words: dict[str, Any]) -> None:
    if words.get("matte") == "area":
        words["matte"] = "box_filter"
