"""Class maps: which source labels (wnids) and which ImageNet-1k outputs belong to which class of a dataset.

The shipped maps are data files and are never derived: ImageNet-9's classes are not the descendants of their
WordNet ancestors.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from figureground.errors import DataError, Faults, UsageError, listed
from figureground.runtime.files import file_ending
from figureground.schemas.documents import (
    Document,
    Name,
    parse_document,
    read_document,
    same_form,
    shown,
    validate_document,
)
from figureground.schemas.records import NAME_PATTERN
from figureground.schemas.tables import read_table

IMAGENET_OUTPUTS: Final = 1000
"""Outputs of a classifier of ImageNet-1k."""
_TRAINING_NAME: Final = re.compile(r"(^|_)n\d{8}_\d+$")


class MappedClass(Document):
    """One class of a map."""

    model_config = ConfigDict(extra="allow")

    index: int = Field(ge=0)
    """Position in the class list; the label that a dataset stores."""
    name: Name
    wnids: tuple[Annotated[str, AfterValidator(same_form)], ...] = Field(min_length=1)
    """Source labels that belong to the class, in the one form of those that look alike, as photos' labels are."""
    imagenet_indices: tuple[Annotated[int, Field(ge=0, lt=IMAGENET_OUTPUTS)], ...] = ()
    """Outputs of a 1000-way ImageNet classifier that count as the class, counted from 0."""


class ClassMap(Document):
    """A named list of classes whose labels and ImageNet outputs do not overlap."""

    model_config = ConfigDict(extra="allow")

    name: Name | Literal[""] = ""
    unmapped_value: int = Field(default=-1, lt=0)
    """Class index of a prediction outside every class; it equals no label, so the prediction is wrong."""
    classes: tuple[MappedClass, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> ClassMap:
        if [entry.index for entry in self.classes] != list(range(len(self.classes))):
            raise ValueError("class indices that count 0, 1, 2 … in order")
        if twice := sorted(name for name, count in Counter(self.names).items() if count > 1):
            raise ValueError(f"class names that differ; {', '.join(twice)} is the name of two")
        for what in ("wnids", "imagenet_indices"):
            owners: dict[Any, str] = {}
            for entry in self.classes:
                for value in getattr(entry, what):
                    if value in owners:
                        raise ValueError(f"{what} in one class only; {value} is in {owners[value]} and {entry.name}")
                    owners[value] = entry.name
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in index order."""
        return tuple(entry.name for entry in self.classes)

    @cached_property
    def index_of_label(self) -> dict[str, int]:
        """Source label (wnid) to class index."""
        return {wnid: entry.index for entry in self.classes for wnid in entry.wnids}


def shipped_class_maps() -> tuple[str, ...]:
    """Names of the maps that come with the package."""
    folder = files("figureground.schemas") / "class_maps"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".json")))


def load_class_map(name_or_path: str) -> ClassMap:
    """Load a shipped map by name, or the user's own from ``.json`` or ``.csv``.

    A CSV has the columns ``label`` and ``class``, and optionally ``imagenet_index``, one output or several with spaces
    or semicolons between them; a label may have several rows. Classes are numbered in order of first appearance.

    Raises:
        UsageError: if there is no such map or file.
        DataError: with every fault of the file.
    """
    if name_or_path in shipped_class_maps():
        text = (files("figureground.schemas") / "class_maps" / f"{name_or_path}.json").read_text(encoding="utf-8")
        return parse_document(text, ClassMap, where=f"{name_or_path}.json").model_copy(update={"name": name_or_path})
    path = Path(name_or_path)
    if file_ending(path) not in {".json", ".csv"}:
        shipped = ", ".join(shipped_class_maps())
        raise UsageError(f"no class map {name_or_path!r}: give one of {shipped}, or a .json or .csv file")
    loaded = _read_csv_map(path) if file_ending(path) == ".csv" else read_document(path, ClassMap)
    return loaded if loaded.name else loaded.model_copy(update={"name": path.stem})


@cache
def imagenet_names() -> dict[str, str]:
    """ImageNet-1k's short class names by wnid."""
    text = (files("figureground.schemas") / "class_maps" / "imagenet1k.csv").read_text(encoding="utf-8")
    return {row["wnid"]: row["name"] for row in csv.DictReader(io.StringIO(text))}


def _read_csv_map(path: Path) -> ClassMap:
    """A class map of one row for each source label; rows at fault are named by their line."""
    rows = _csv_rows(path)
    faults, classes, owners = Faults(), dict[str, dict[str, list[Any]]](), dict[str, tuple[str, str]]()
    outputs: dict[int, tuple[str, str]] = {}
    for record, row in rows:
        label, name = same_form(row["label"]), row["class"]
        entry = classes.setdefault(name, {"wnids": [], "imagenet_indices": []})
        owner, first = owners.setdefault(label, (name, record))
        if not NAME_PATTERN.fullmatch(name):
            faults.add(str(path), record, expected="a class of letters, digits and . _ -", got=shown(name))
        if not label:
            faults.add(str(path), record, expected="a label", got="none")
        elif owner != name:
            faults.add(str(path), record, expected=f"{label} in one class, {owner} of {first}", got=name)
        elif first == record:
            entry["wnids"].append(label)
        for word in re.split(r"[\s;,|]+", f"{row.get('imagenet_index', '')} {row.get('imagenet_indices', '')}".strip()):
            if not word:
                continue
            if not (word.isascii() and word.isdecimal() and len(word) < 10 and int(word) < IMAGENET_OUTPUTS):
                expected = f"outputs from 0 to {IMAGENET_OUTPUTS - 1}"
                remedy = "count outputs from 0, as classifiers do; the first of a list that counts from 1 is 0"
                faults.add(str(path), record, expected=expected, got=shown(word), remedy=remedy)
                continue
            other, at = outputs.setdefault(int(word), (name, record))
            if other != name:
                faults.add(str(path), record, expected=f"output {word} in one class, {other} of {at}", got=name)
            elif int(word) not in entry["imagenet_indices"]:
                entry["imagenet_indices"].append(int(word))
    faults.raise_if_any()
    listed = [{"index": index, "name": name, **entry} for index, (name, entry) in enumerate(classes.items())]
    return validate_document({"classes": listed}, ClassMap, where=str(path))


_CSV_COLUMNS: Final = ("label", "class", "imagenet_index", "imagenet_indices")


def _csv_rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Rows of a class map's CSV with their lines; unlike in other tables a slip in an optional column is a fault."""
    expected = "the columns label and class, perhaps imagenet_index, and no others"
    table = read_table(path, ("label", "class"), remedy=f"a class map has {expected}")
    if not table.rows or not set(table.header) <= set(_CSV_COLUMNS):
        got = listed(list(map(shown, table.header))) if table.rows else "no rows"
        raise DataError.single(str(path), "line 1", expected=expected, got=got)
    faults = Faults()
    for row in table.rows:
        if row.too_short or row.too_long:
            faults.add(str(path), row.line, expected=f"{len(table.header)} cells", got="another number of cells")
    faults.raise_if_any()
    return [(row.line, row.cells) for row in table.rows]


def from_imagenet_train(uri: str) -> bool:
    """Whether a photo's file name is one of ImageNet-1k's training part, ``n01440764_10026.JPEG``.

    A classifier that was trained on ImageNet has seen such a photo with its label.
    """
    return _TRAINING_NAME.search(PurePosixPath(uri).stem) is not None
