"""Labels in a CSV file beside the photos, for folders whose names are no labels."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from figureground.errors import DataError, Faults

_FILE_COLUMNS: Final = ("file", "id", "ImageId")
_LABEL_COLUMNS: Final = ("label", "PredictionString")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """One row of a label table."""

    label: str
    """Source label."""
    split: str
    """Split of the source; empty where the table has no such column."""


def read_label_table(path: Path) -> dict[str, LabelRow]:
    """Read a CSV with the columns ``file`` (or ``id``), ``label`` and, if there are any, ``split``.

    Kaggle's ``LOC_val_solution.csv`` is read too: its ``PredictionString`` begins with the wnid.

    Returns:
        Rows by file or id as written, in the order of the table.

    Raises:
        DataError: with every fault of the table: a missing column or label, two labels for one photo.
    """
    faults = Faults()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            key = next((name for name in _FILE_COLUMNS if name in header), "")
            label = next((name for name in _LABEL_COLUMNS if name in header), "")
            if not (key and label):
                faults.add(str(path), "header", expected="the columns file (or id) and label", got=", ".join(header))
                faults.raise_if_any()
            lines = [(reader.line_num, row[key], row[label], row.get("split")) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError.single(str(path), "", expected="a CSV file in UTF-8", got=str(error)) from error
    rows: dict[str, LabelRow] = {}
    for number, name, text, split in lines:
        words = (text or "").split() if label == "PredictionString" else [(text or "").strip()]
        row = LabelRow(label=words[0] if words else "", split=split or "")
        record = f"line {number}"
        if not name or not row.label:
            faults.add(str(path), record, expected="a file and a label", got=f"{name or ''!r}, {row.label!r}")
        elif rows.setdefault(name, row) != row:
            faults.add(str(path), record, expected=f"one label for {name}", got=f"{rows[name].label} and {row.label}")
    faults.raise_if_any()
    return rows


def find_row(rows: dict[str, LabelRow], uri: str) -> str | None:
    """The key under which a photo stands in a table: its path below the root, or its name without the ending."""
    return next((key for key in (uri, PurePosixPath(uri).stem) if key in rows), None)
