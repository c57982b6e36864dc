"""Lists of dilations in a recipe: one line stands for a variant of each number."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from figureground.build.recipes.loading import load_recipe, recipe_text
from figureground.schemas.grown_variants import spread_lists
from figureground.schemas.recipes import Recipe

HOLE: dict[str, Any] = {"ground": "source", "matte": "mask", "figure": {"fill": "black", "grow_px": [0, 2, -3]}}
MIXED: dict[str, Any] = {"ground": {"tile": "strip", "of": "any_class"}, "matte": "mask"}


def recipe_with(variants: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({**yaml.safe_load(recipe_text("imagenet9_leak")), "variants": variants})


def test_a_list_is_one_variant_of_each_number_in_its_place() -> None:
    recipe = recipe_with({"original": {"ground": "source"}, "no_fg": HOLE, "plain": {"ground": "source"}})
    grown = {name: variant.layers[-1].grow_px for name, variant in recipe.variants.items()}
    assert list(grown.items()) == [("original", 0), ("no_fg", 0), ("no_fg_d2", 2), ("no_fg_e3", -3), ("plain", 0)]
    spelled = {**HOLE, "figure": {"fill": "black", "grow_px": 2}}
    assert recipe.variants["no_fg_d2"] == recipe_with({"no_fg_d2": spelled}).variants["no_fg_d2"]
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe  # as a dataset keeps it


def test_layers_may_have_a_list_too() -> None:
    layers = [{"paint": "source"}, {"paint": "fill", "matte": "mask", "grow_px": [0, 4]}]
    assert list(recipe_with({"hole": {"layers": layers}}).variants) == ["hole", "hole_d4"]


@pytest.mark.parametrize(
    ("figure", "lender"),
    [({"source": "self", "grow_px": [0, -4, 4]}, "mixed"), ({"source": "self", "grow_px": [-4, 4]}, "mixed_e4")],
)
def test_the_variants_of_a_list_show_the_same_donors(figure: dict[str, Any], lender: str) -> None:
    variants = recipe_with({"mixed": {**MIXED, "figure": figure}}).variants
    assert {name: variant.donors_from for name, variant in variants.items()} == {
        name: None if name == lender else lender for name in variants
    }


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ({"no_fg": {**HOLE, "figure": {"fill": "black", "grow_px": []}}}, "whole numbers, each once, not []"),
        ({"no_fg": {**HOLE, "figure": {"fill": "black", "grow_px": [2, 2]}}}, "each once, not [2, 2]"),
        ({"no_fg": {**HOLE, "figure": {"fill": "black", "grow_px": [0, "2"]}}}, "whole numbers"),
        ({"no_fg": {**HOLE, "figure": {"fill": "black", "grow_px": [True]}}}, "whole numbers"),
        ({"no_fg": HOLE, "no_fg_d2": {"ground": "source"}}, "names that no other variant has, not no_fg_d2"),
        ({"no_fg": {**HOLE, "ground": {"fill": "white", "grow_px": [0, 1]}}}, "one list of grow_px, not 2"),
        ({"no_fg": {**HOLE, "figure": {"fill": "black", "grow_px": [0, 65]}}}, "less than or equal to 64"),
    ],
)
def test_a_list_that_means_nothing_is_refused(variants: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        recipe_with(variants)
    assert words in str(refused.value)


def test_all_faults_of_lists_are_told_together() -> None:
    with pytest.raises(ValueError, match=r"variants\.a.*; variants\.b") as refused:
        spread_lists({name: {"figure": {"grow_px": []}} for name in "ab"})
    assert str(refused.value).count("whole numbers") == 2


def test_the_leak_recipe_dilates_holes_and_their_outlines_alike() -> None:
    variants = load_recipe("imagenet9_leak").variants
    for base in ("no_fg", "silhouette"):
        own = {name: variant.layers[1].grow_px for name, variant in variants.items() if name.startswith(base)}
        assert own == {base: 0, **{f"{base}_d{radius}": radius for radius in (2, 4, 8, 16, 32)}}
