"""leaderboard.json: the models that were scored on a dataset, as it carries them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from figureground.errors import Faults
from figureground.exports.dataset.files import LEADERBOARD
from figureground.schemas.documents import Document, Name, read_document

RESULTS = f"{LEADERBOARD}results/"
"""Results and answers as ``evaluate --out`` wrote them."""


class BoardCell(Document):
    """A figure of a model."""

    value: float | None
    """None where it has none."""
    ci95: tuple[float, float] | None
    """Its 95 % interval; None where the images are too few."""
    rank: int | None = Field(ge=1)
    """1 has the largest value; None of one model alone."""
    lowest: int | None
    """Smallest rank of the 95 % confidence set."""
    highest: int | None
    """Largest rank of it."""


class BoardRow(Document):
    """A model."""

    model: str
    weights_sha256: str
    file: Name
    """Name of its result in ``leaderboard/results/``."""
    n: int = Field(ge=1)
    """Images."""
    cells: dict[str, BoardCell]
    """By figure, those of the table."""


class BoardTable(Document):
    """Models that were scored alike."""

    protocol: str
    space: str
    split: str
    feed: str
    figures: tuple[str, ...]
    rows: tuple[BoardRow, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()
    """What a reader of the table must know."""


class Leaderboard(Document):
    """All of them."""

    schema_version: str
    fingerprint: str
    """Of the data that all were scored on."""
    edition: int = Field(ge=1)
    """How often the dataset's scored models changed."""
    tables: tuple[BoardTable, ...] = Field(min_length=1)


def read_leaderboard(path: Path, manifest: Mapping[str, str]) -> Leaderboard:
    """Read a leaderboard.

    Raises:
        DataError: if it is damaged, or names results that the manifest does not list.
    """
    board, faults = read_document(path, Leaderboard), Faults()
    for row in (row for table in board.tables for row in table.rows):
        if f"{RESULTS}{row.file}" not in manifest:
            faults.add(str(path), row.model, expected=f"the result {RESULTS}{row.file}", got="no such file")
    faults.raise_if_any()
    return board
