"""The files of a dataset repository, by what they hold."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from figureground.schemas.records import NAME_PATTERN

MANIFEST: Final = "manifest.json"
"""SHA-256 of every other file."""
CARD: Final = "README.md"
SCRIPT: Final = "evaluate.py"
"""What scores the rows; needs nothing of figureground."""
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
GATES: Final = "report/gates.json"
"""What was checked before the build, and found wanting."""
COVERAGE: Final = "report/coverage.csv"
"""Per class: how many photos there were, and what became of them."""
DONORS: Final = "report/donors.csv"
"""Per variant with donors: how many there are, and how many of a figure's own class; where there is such a variant."""
CROSSED: Final = "report/crossed.csv"
"""Per variant with crossed grounds and split: the design, its rows, what the rules left out; where there are such."""
ATTRIBUTE_COUNTS: Final = "report/attributes.csv"
"""Per class and attribute: how many objects have it; where the recipe has an attribute schema."""
CHANGELOG: Final = "report/changelog.json"
"""What each version changed, oldest first, where the dataset was built as a new version of another."""
CONTACT_SHEET: Final = "report/contact_sheet.png"
LEADERBOARD: Final = "leaderboard/"
"""Folder of the models that were scored on the dataset, where some were published with it."""
BOARD: Final = "leaderboard/leaderboard.json"
"""Their table."""
DATA: Final = "data/"
"""Folder of the shards."""
_SHARD: Final = re.compile(r"data/([^/]+)/([^/]+)-(\d{5,})-of-(\d{5,})\.parquet")


class ShardName(NamedTuple):
    """Which rows one shard holds, as its path says."""

    config: str
    split: str
    number: int
    """Place among the shards of its config and split, from 0."""
    total: int
    """How many of them there are."""

    @property
    def path(self) -> str:
        """Path below the repository."""
        return f"{DATA}{self.config}/{self.split}-{self.number:05d}-of-{self.total:05d}.parquet"

    @classmethod
    def parse(cls, path: str) -> ShardName | None:
        """The name that a path below the repository is; None if it is no shard's."""
        match = _SHARD.fullmatch(path)
        if match is None or not is_repository_path(path):
            return None
        return cls(match[1], match[2], int(match[3]), int(match[4]))


def is_repository_path(path: str) -> bool:
    """Whether a path is one that a dataset repository may have: names of ids, none hidden, none leading out of it."""
    parts = path.split("/")
    return all(NAME_PATTERN.fullmatch(part) and not part.startswith(".") for part in parts)


def has_hidden_part(path: str) -> bool:
    """Whether a path below a repository is of a hidden file, or of one in a hidden folder: such are no part of it."""
    return any(part.startswith(".") for part in path.split("/"))
