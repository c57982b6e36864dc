"""Tables that people write beside photos and masks: CSV in UTF-8, whose columns are found by their names."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figureground.errors import DataError, Faults, listed
from figureground.schemas.documents import read_text


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row."""

    line: str
    """``line 3``, as errors name it."""
    cells: dict[str, str]
    """By column, without spaces around them; empty where the row is too short."""
    too_short: bool
    """Whether it has fewer cells than the header."""
    too_long: bool
    """Whether it has more cells than the header: a comma in a cell that is not quoted moves all behind it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, row by row."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]

    def passed_over(self, used: Sequence[str]) -> list[str]:
        """Columns that nobody asked for, as reports name them."""
        return [f"column {name} of {self.path.name}" for name in self.header if name and name not in used]


def read_table(path: Path, columns: Sequence[str | tuple[str, ...]], *, remedy: str = "") -> Table:
    """Read a CSV file.

    Args:
        path: The file; a byte order mark is no part of the first column.
        columns: The columns that it must have, each a name or several that stand for the same.
        remedy: Where a table that has them is to be had.

    Raises:
        UsageError: if it cannot be read.
        DataError: if it is no CSV in UTF-8, lacks a column, or has two of one name.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), restkey="")
    faults = Faults()
    try:
        header = tuple(name.strip() for name in reader.fieldnames or ())
        reader.fieldnames = header
        rows = tuple(_row(reader.line_num, row) for row in reader)
    except csv.Error as error:
        raise DataError.single(str(path), f"line {reader.line_num}", expected="a CSV file", got=str(error)) from error
    names = [(column,) if isinstance(column, str) else column for column in columns]
    missing = [spelled for spelled in names if not set(spelled) & set(header)]
    twice = sorted({name for name in header if header.count(name) > 1 and name})
    if missing or twice:
        expected = f"the columns {', '.join(' or '.join(spelled) for spelled in names)}, each once"
        got = listed(header) if header else "an empty file"
        semicolons = len(header) == 1 and ";" in header[0]
        remedy = "save it with commas between cells, not semicolons" if semicolons else remedy
        faults.add(str(path), "header", expected=expected, got=got, remedy=remedy)
    faults.raise_if_any()
    return Table(path, header, rows)


def _row(line: int, row: dict[str, str | list[str] | None]) -> TableRow:
    cells = {name: cell.strip() if isinstance(cell, str) else "" for name, cell in row.items()}
    given = row.values()
    return TableRow(f"line {line}", cells, None in given, any(isinstance(cell, list) for cell in given))
