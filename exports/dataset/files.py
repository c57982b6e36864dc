"""The files of a dataset repository, by what they hold."""

from __future__ import annotations

from typing import Final

from figureground.schemas.records import NAME_PATTERN

MANIFEST: Final = "manifest.json"
"""SHA-256 of every other file."""
OBJECTS: Final = "objects.parquet"
"""The objects of the rows with their masks in stored pixels: what rebuilding needs beside plan and photos."""
CROISSANT: Final = "croissant.json"
RECIPE: Final = "recipe.yaml"
LOCK: Final = "recipe.lock.json"
"""Quotas, terms, and the versions of everything that touches pixels."""
CLASS_MAP: Final = "class_map.json"
ATTRIBUTES: Final = "attributes.yaml"
"""The attribute schema, where the recipe has one."""
PLAN: Final = "report/plan.parquet"
REFUSED: Final = "report/refused.csv"
"""Objects of the release that the dataset has not, each with its reason."""
CHANGELOG: Final = "report/changelog.json"
"""What each version changed, oldest first, where the dataset was built as a new version of another."""


def is_repository_path(path: str) -> bool:
    """Whether a path is one that a dataset repository may have: names of ids, none hidden, none leading out of it."""
    parts = path.split("/")
    return all(NAME_PATTERN.fullmatch(part) and not part.startswith(".") for part in parts)
