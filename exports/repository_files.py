"""The files of a dataset repository, by what they hold."""

from __future__ import annotations

from typing import Final

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
