"""In what a dataset that is there differs from the build that is asked for, in words, with old and new where short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from figureground.build.recipes.loading import load_recipe
from figureground.exports.dataset.changes import flat_values
from figureground.exports.dataset.files import RECIPE
from figureground.exports.dataset.lock import LockedSource, RecipeLock, environment_differences
from figureground.schemas.recipes import Recipe

_LONGEST: Final = 60
"""Characters of a value that is shown."""
_OWN_WORDS: Final = frozenset(
    {"figureground", "png", "packages", "libraries", "recipe", "inputs", "release", "sources"}
)
"""Parts of a lock that are told by words of their own."""
_CAUSES: Final = {
    "rules": "rules",
    "draws": "donors of each row (--draws)",
    "pixel_rules": "the program's rules for pixels",
    "row_layout": "the program's row layout",
    "textures": "the photos that textures are taken from",
    "follows": "the earlier version that it follows (--earlier)",
}
"""Parts of a lock that something else follows from, with their words."""
_FOLLOWS: Final = {
    "seed": "seed",
    "quotas": "objects of each class",
    "balanced": "whether classes have equally many objects",
    "objects": "number of objects",
    "objects_in_release": "objects of the release",
    "refused": "objects that are left out",
    "refused_total": "number of objects left out",
    "states": "objects by the state of their masks",
    "unreviewed": "objects whose mask nobody reviewed",
    "segmenters": "segmenters of those masks",
    "origins": "origins of imported masks",
    "agreement": "agreement with another segmenter's masks",
    "groups": "groups of photos",
    "effective_n": "effective n",
    "splits": "objects of each split",
    "imagenet_train": "photos of ImageNet's training part",
    "attribute_schema": "name of the attribute schema",
    "annotation": "how the masks came about",
}
"""Parts of a lock that follow from others, and are told where none of those differs."""


def recipe_there(folder: Path) -> Recipe:
    """The recipe of the dataset in a folder as its file has it.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is none.
    """
    return load_recipe(str(folder / RECIPE))


def build_differences(there: RecipeLock, now: RecipeLock, recipes: tuple[Recipe, Recipe]) -> list[str]:
    """What differs between a dataset and a build, a few words each, causes before what follows from them.

    Args:
        there: Lock of the dataset.
        now: Lock of the build.
        recipes: Their recipes, in this order.
    """
    before, after = there.to_dict(), now.to_dict()
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    causes = [
        *_of_recipe(there, now, recipes),
        *_of_release(there, now),
        *(_changed(words, before.get(name), after.get(name)) for name, words in _CAUSES.items() if name in names),
        *_of_inputs(there, now),
        *_of_sources(there.sources, now.sources),
        *_of_software(there, now),
    ]
    others = [name for name in names if name not in _OWN_WORDS and name not in _CAUSES]
    follows = [
        _changed(_FOLLOWS.get(name, name.replace("_", " ")), before.get(name), after.get(name)) for name in others
    ]
    return causes or follows or (["its rows"] if names else [])


def _of_recipe(there: RecipeLock, now: RecipeLock, recipes: tuple[Recipe, Recipe]) -> Iterator[str]:
    if there.inputs is None or now.inputs is None or there.inputs.recipe == now.inputs.recipe:
        return
    # Where class map and attributes lie is nothing that a dataset is made of.
    before, after = (
        dict(flat_values(recipe.model_dump(mode="json", exclude={"class_map", "attributes"}))) for recipe in recipes
    )
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    for name in names:
        yield _changed(f"{name} of the recipe", before.get(name), after.get(name))
    if not names:
        yield "the recipe"


def _of_release(there: RecipeLock, now: RecipeLock) -> Iterator[str]:
    if there.release.version != now.release.version:
        yield _changed("release", there.release.version, now.release.version)
    elif there.release != now.release:
        yield f"the file of release {now.release.version}"


def _of_inputs(there: RecipeLock, now: RecipeLock) -> Iterator[str]:
    if there.inputs is None or now.inputs is None:
        if there.inputs != now.inputs:
            yield "an earlier figureground made it, whose lock does not say of what its rows are"
        return
    if there.inputs.class_map != now.inputs.class_map:
        yield "the class map"
    if there.inputs.attributes != now.inputs.attributes:
        yield _changed("the attribute schema", there.attribute_schema, now.attribute_schema)


def _of_sources(there: Mapping[str, LockedSource], now: Mapping[str, LockedSource]) -> Iterator[str]:
    for name in sorted({*there, *now}):
        before, after = there.get(name), now.get(name)
        if before is None or after is None:
            yield f"source {name}: {'not there before' if before is None else 'not here any more'}"
        elif before.licence != after.licence:
            yield _changed(f"licence of the photos of {name}", before.licence, after.licence)
        elif (before.restricted, before.said) != (after.restricted, after.said):
            yield f"whether photos of {name} may be passed on"


def _of_software(there: RecipeLock, now: RecipeLock) -> list[str]:
    lines = [*environment_differences(there.environment, now.environment)]
    if there.figureground != now.figureground:
        lines.append(f"figureground {there.figureground} there, {now.figureground} here")
    return [*lines, *(["settings of the PNG encoder"] if there.png != now.png else [])]


def _changed(words: str, before: object, after: object) -> str:
    """``words: 1 -> 2``; the words alone where a value is long, or both are spelled alike."""
    old, new = (_spelled(value) for value in (before, after))
    fits = old != new and max(len(old), len(new)) <= _LONGEST
    return f"{words}: {old} -> {new}" if fits else words


def _spelled(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_spelled(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_spelled, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == "" else str(value)
