"""Labels in a CSV file beside the photos, for folders whose names are no labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from figureground.schemas.documents import same_form
from figureground.schemas.sources.items import AMBIGUOUS, SourceItem
from figureground.schemas.sources.names import NameIndex
from figureground.schemas.tables import read_table

FILE_COLUMNS: Final = ("file", "id", "ImageId")
"""Names of the column that names photos."""
_LABEL_COLUMNS: Final = ("label", "PredictionString")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """One row of a label table."""

    name: str
    """The photo's file or id, as written."""
    line: str
    """``line 3``."""
    label: str
    """Source label."""
    split: str
    """Split of the source; empty where the table has no such column."""
    fault: str = ""
    """What is wrong with the row; empty where nothing is."""

    def says(self) -> tuple[str, str]:
        """What it says of its photo."""
        return self.label, self.split


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """The rows of a label table."""

    path: Path
    rows: tuple[LabelRow, ...] = ()
    passed_over: Sequence[str] = field(default=())
    """Columns that are not read."""
    what: str = "label"
    """What the rows tell, for messages."""

    def matched(self, items: Iterable[SourceItem]) -> tuple[dict[str, LabelRow], dict[str, str], list[LabelRow]]:
        """The row of each photo, and what goes wrong.

        A row is a photo's if it holds its path below the root, or as much of its end as no other photo has; see
        ``names``.

        Returns:
            Sound rows by the photos' uris; faults by the uris of photos that may not have a row's label; rows that are
            called like no photo.
        """
        index: NameIndex[SourceItem] = NameIndex(row.name for row in self.rows)
        for item in items:
            index.add(item.uri, item)
        by_uri: dict[str, list[LabelRow]] = {}
        faults: dict[str, str] = {}
        lost: list[LabelRow] = []
        for row in self.rows:
            fits = index.find(row.name).fits
            for item in fits:
                by_uri.setdefault(item.uri, []).append(row)
            if len(fits) > 1:
                places = ", ".join(sorted(item.uri for item in fits))
                fault = f"expected one photo for {row.name!r} in {row.line} of {self.path.name}, got {places}"
                faults.update(dict.fromkeys((item.uri for item in fits), fault))
            elif not fits:
                lost.append(row)
        for uri, rows in by_uri.items():
            wrong = [row for row in rows if row.fault]
            if len({row.says() for row in rows if not row.fault}) > 1:
                labels = " and ".join(f"{row.label} in {row.line}" for row in rows)
                faults.setdefault(uri, f"expected one {self.what} in {self.path.name}, got {labels}")
            elif wrong:
                faults.setdefault(uri, f"{self.path.name}, {wrong[0].line}: {wrong[0].fault}")
        sound = {uri: rows[0] for uri, rows in by_uri.items() if uri not in faults}
        return sound, faults, lost

    def label(self, items: Sequence[SourceItem]) -> Iterable[SourceItem]:
        """Photos with the labels of their rows, then rows without a photo, each with its fault."""
        sound, faults, lost = self.matched(items)
        for item in items:
            row = sound.get(item.uri)
            if item.fault:
                yield item
            elif item.uri in faults:
                yield item.changed(fault=faults[item.uri], reason=AMBIGUOUS)
            elif row is None:
                yield item.changed(fault=f"expected a row in {self.path.name}, got none")
            else:
                yield item.changed(label=row.label, source_split=row.split)
        for row in sorted(lost, key=lambda row: row.name):
            fault = row.fault or f"expected the photo that {self.path.name} lists, got none"
            yield SourceItem(uri=row.name or row.line, label=row.label, source_split=row.split, fault=fault)


def read_label_table(path: Path) -> LabelTable:
    """Read a CSV with the columns ``file`` (or ``id``), ``label`` and, if there are any, ``split``.

    A column ``group`` is read by ``group_table``.

    Kaggle's ``LOC_val_solution.csv`` is read too: its ``PredictionString`` begins with the wnid.

    Raises:
        UsageError: if it cannot be read.
        DataError: if it is no CSV in UTF-8 with these columns; what is wrong with single rows stands in them.
    """
    table = read_table(path, (FILE_COLUMNS, _LABEL_COLUMNS))
    key = next(name for name in FILE_COLUMNS if name in table.header)
    column = next(name for name in _LABEL_COLUMNS if name in table.header)
    rows: list[LabelRow] = []
    for row in table.rows:
        text = same_form(row.cells[column])
        label = (text.split() or [""])[0] if column == "PredictionString" else text
        fault = "" if row.cells[key] and label else f"expected a file and a label, got {row.cells[key]!r}, {label!r}"
        if row.too_long:
            fault = f"expected {len(table.header)} cells, got more; quote cells that hold a comma"
        split = row.cells.get("split", "")
        rows.append(LabelRow(name=row.cells[key], line=row.line, label=label, split=split, fault=fault))
    return LabelTable(path=path, rows=tuple(rows), passed_over=table.passed_over((key, column, "split", "group")))
