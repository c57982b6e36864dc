"""Groups of photos in a CSV file: photos of one video, burst or photographer, which are no two independent scenes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from figureground.errors import Faults, printable
from figureground.schemas.documents import same_form
from figureground.schemas.records import GROUP_DIGEST, LINKED
from figureground.schemas.sources.items import SourceItem
from figureground.schemas.sources.label_table import FILE_COLUMNS, LabelRow, LabelTable
from figureground.schemas.tables import read_table

GROUP_COLUMN: Final = "group"
_LONGEST: Final = 200
"""Characters of a group's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """What a table says of some photos."""

    by_uri: dict[str, str] = field(default_factory=dict)
    """Uri to group, of photos that have one."""
    passed_over: list[str] = field(default_factory=list)
    """Columns that are not read."""
    faults: Faults = field(default_factory=Faults)
    """Rows that fit no photo, several, or one that another row puts elsewhere; their photos have no group."""


def read_groups(path: Path, items: Iterable[SourceItem], *, required: Collection[str] = (GROUP_COLUMN,)) -> Groups:
    """Read a CSV with the columns ``file`` (or ``id``) and ``group``; names fit photos as those of a label table.

    A photo without a row, or with an empty cell, is in no group.

    Args:
        path: The table.
        items: The photos of the source.
        required: ``group``; empty where the table may lack the column, and then says nothing.

    Raises:
        UsageError: if it cannot be read.
        DataError: if it is no CSV in UTF-8 with these columns.
    """
    table = read_table(path, (FILE_COLUMNS, *required))
    groups = Groups()
    if GROUP_COLUMN not in table.header:
        return groups
    key = next(name for name in FILE_COLUMNS if name in table.header)
    rows: list[LabelRow] = []
    for row in table.rows:
        name = same_form(row.cells[GROUP_COLUMN])
        fault = "" if row.cells[key] else "expected a file, got none"
        if len(name) > _LONGEST or printable(name) != name:
            fault = f"expected a group of one line and at most {_LONGEST} characters, got {len(name)}"
        if name.startswith((LINKED, GROUP_DIGEST)):
            fault = f"expected a group whose name does not begin with {LINKED} or {GROUP_DIGEST}, got {name}"
        if row.too_long:
            fault = f"expected {len(table.header)} cells, got more; quote cells that hold a comma"
        rows.append(LabelRow(name=row.cells[key], line=row.line, label=name, split="", fault=fault))
    sound, faults, lost = LabelTable(path=path, rows=tuple(rows), what="group").matched(items)
    groups.by_uri.update((uri, row.label) for uri, row in sound.items() if row.label)
    groups.passed_over.extend(table.passed_over((key, GROUP_COLUMN)))
    for uri, fault in sorted(faults.items()):
        expected, _, got = fault.removeprefix("expected ").partition(", got ")
        groups.faults.add(str(path), uri, expected=expected, got=got, remedy="the photo is in no group until then")
    for stray in lost:
        got = stray.fault.partition(", got ")[2] if stray.fault else f"{stray.name!r}, which fits none"
        groups.faults.add(str(path), stray.line, expected="the name of a photo of the source", got=got)
    return groups
