"""Which categories of a COCO file are what the photos' labels name."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from figureground.errors import DataError, Faults
from figureground.schemas.sources.coco_files import CocoCategory

CategoryMap = Mapping[str, frozenset[str]]
"""Category name, or id as text, to the source labels that count as this category."""

_COLUMNS: Final = ("category", "label")


def read_category_map(path: Path) -> CategoryMap:
    """Read a CSV with the columns ``category`` (a name, or an id) and ``label``, one row for each pair.

    Raises:
        DataError: with every fault of the table.
    """
    faults = Faults()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or [])]:
                got = f"none called {', '.join(missing)}"
                raise DataError.single(str(path), "header", expected=f"the columns {', '.join(_COLUMNS)}", got=got)
            rows = [(reader.line_num, [(row[name] or "").strip() for name in _COLUMNS]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError.single(str(path), "", expected="a CSV file in UTF-8", got=str(error)) from error
    labels: dict[str, set[str]] = {}
    for number, (category, label) in rows:
        if category and label:
            labels.setdefault(category, set()).add(label)
        else:
            got = f"{category!r}, {label!r}"
            faults.add(str(path), f"line {number}", expected="a category and a label", got=got)
    if not rows:
        faults.add(str(path), "", expected="at least one row", got="none")
    faults.raise_if_any()
    return {category: frozenset(stood_for) for category, stood_for in labels.items()}


def category_has_label(category: CocoCategory, label: str, categories: CategoryMap | None) -> bool:
    """Whether a category includes a source label: by the map where there is one, else by its name or its wnids."""
    if categories is None:
        return label == category.name or label in category.wnids
    return any(label in categories.get(key, ()) for key in (category.name, str(category.id)))
