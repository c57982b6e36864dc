"""Which categories of a COCO file are what the photos' labels name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from figureground.errors import Faults
from figureground.schemas.documents import same_form
from figureground.schemas.sources.coco_files import CocoCategory, CocoFile
from figureground.schemas.sources.names import name_key
from figureground.schemas.tables import read_table

CategoryMap = Mapping[str, frozenset[str]]
"""Key of a category's name, or its id as text, to the keys of the source labels that count as this category."""

_COLUMNS: Final = ("category", "label")


def read_category_map(path: Path) -> CategoryMap:
    """Read a CSV with the columns ``category`` (a name, or an id) and ``label``, one row for each pair.

    Raises:
        UsageError: if it cannot be read.
        DataError: with every fault of the table.
    """
    faults = Faults()
    table = read_table(path, _COLUMNS)
    labels: dict[str, set[str]] = {}
    for row in table.rows:
        category, label = (row.cells[name] for name in _COLUMNS)
        if row.too_long:
            faults.add(str(path), row.line, expected=f"{len(table.header)} cells", got="more; quote those with a comma")
        elif category and label:
            labels.setdefault(name_key(category), set()).add(name_key(label))
        else:
            faults.add(str(path), row.line, expected="a category and a label", got=f"{category!r}, {label!r}")
    if not table.rows:
        faults.add(str(path), "", expected="at least one row", got="none")
    faults.raise_if_any()
    return {category: frozenset(stood_for) for category, stood_for in labels.items()}


def check_category_map(categories: CategoryMap, file: CocoFile, faults: Faults) -> set[str]:
    """Check that no word of a map means two categories of a file: one by its name, another by its id.

    Args:
        categories: The map.
        file: Images with annotations of such categories become faulty.
        faults: Gets the words that mean two.

    Returns:
        Words of the map that mean a category of the file.
    """
    by_name: dict[str, list[CocoCategory]] = {}
    for category in file.categories.values():
        by_name.setdefault(name_key(category.name), []).append(category)
    used = {word for word in categories if word in by_name or _of_id(word, file)}
    for word in sorted(used):
        named, numbered = by_name.get(word, []), _of_id(word, file)
        others = [category for category in named if category not in numbered]
        if not (others and numbered):
            continue
        meant = {category.id for category in (*others, *numbered)}
        faults.add(
            str(file.path),
            f"category {word}",
            expected="one category of this name or id",
            got=", ".join(f"category {category.id} {category.name}" for category in (*others, *numbered)),
            remedy="rename a category, or say in the map what is called otherwise",
        )
        for image_id, drawn in file.annotations.items():
            if any(annotation.category_id in meant for annotation in drawn):
                file.faulty.add(image_id)
    return used


def category_has_label(
    category: CocoCategory, label: str, categories: CategoryMap | None, spelled: Iterable[str] = ()
) -> bool:
    """Whether a category includes a source label: by the map where there is one, else by its name or its wnids.

    Args:
        category: The category.
        label: The label.
        categories: The map; None for none.
        spelled: Names of all categories of the file: where one is spelled like the label, others that differ from it in
            capital letters are not meant.
    """
    if categories is not None:
        keys = (name_key(category.name), str(category.id))
        return any(name_key(label) in categories.get(key, ()) for key in keys)
    if same_form(label) == same_form(category.name) or label in category.wnids:
        return True
    return name_key(label) == name_key(category.name) and same_form(label) not in spelled


def _of_id(word: str, file: CocoFile) -> list[CocoCategory]:
    category = file.categories.get(int(word)) if word.isdecimal() and len(word) < 19 else None
    return [] if category is None or str(category.id) != word else [category]
