"""Opens recipes: a shipped one by its name, or the user's own file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from figureground.errors import UsageError
from figureground.runtime.files import file_ending
from figureground.schemas.documents import parse_document, read_document
from figureground.schemas.recipes import Recipe


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    folder = files("figureground.build.recipes")
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml")))


def recipe_text(name: str) -> str:
    """A shipped recipe as it is spelled, comments and all: where a recipe of one's own begins.

    Raises:
        UsageError: if there is no such recipe.
    """
    if name not in shipped_recipes():
        raise UsageError(f"no recipe {name!r}: give one of {', '.join(shipped_recipes())}")
    return (files("figureground.build.recipes") / f"{name}.yaml").read_text(encoding="utf-8")


def load_recipe(name_or_path: str) -> Recipe:
    """Load a shipped recipe by name, or the user's own YAML file.

    Raises:
        UsageError: if there is no such recipe or file.
        DataError: with every fault of the file.
    """
    if name_or_path in shipped_recipes():
        return parse_document(recipe_text(name_or_path), Recipe, where=f"{name_or_path}.yaml")
    path = Path(name_or_path)
    if file_ending(path) not in {".yaml", ".yml"}:
        raise UsageError(f"no recipe {name_or_path!r}: give one of {', '.join(shipped_recipes())}, or a .yaml file")
    recipe = read_document(path, Recipe)
    named = {"class_map": recipe.class_map, "attributes": recipe.attributes}
    beside = {key: str(path.parent / name) for key, name in named.items() if (path.parent / name).is_file()}
    return recipe.model_copy(update=beside)
