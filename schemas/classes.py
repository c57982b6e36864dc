"""Class maps: which source labels (wnids) and which ImageNet-1k outputs belong to which class of a dataset.

The shipped maps are data files and are never derived: ImageNet-9's classes are not the descendants of their
WordNet ancestors.
"""

from __future__ import annotations

import csv
import io
import re
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from figureground.errors import DataError, UsageError
from figureground.schemas.documents import Document, Name, parse_document, read_document, validate_document

_TRAINING_NAME: Final = re.compile(r"(^|_)n\d{8}_\d+$")


class MappedClass(Document):
    """One class of a map."""

    model_config = ConfigDict(extra="allow")

    index: int = Field(ge=0)
    """Position in the class list; the label that a dataset stores."""
    name: Name
    wnids: tuple[str, ...] = Field(min_length=1)
    """Source labels that belong to the class."""
    imagenet_indices: tuple[int, ...] = ()
    """Outputs of a 1000-way ImageNet classifier that count as the class."""


class ClassMap(Document):
    """A named list of classes whose labels and ImageNet outputs do not overlap."""

    model_config = ConfigDict(extra="allow")

    name: Name | Literal[""] = ""
    unmapped_value: int = -1
    """Class index of a prediction outside every class; it equals no label, so the prediction is wrong."""
    classes: tuple[MappedClass, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> ClassMap:
        if [entry.index for entry in self.classes] != list(range(len(self.classes))):
            raise ValueError("class indices that count 0, 1, 2 … in order")
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

    A CSV has the columns ``label`` and ``class``, one row per source label, and optionally ``imagenet_index``;
    classes are numbered in order of first appearance.

    Raises:
        UsageError: if there is no such map or file.
        DataError: with every fault of the file.
    """
    if name_or_path in shipped_class_maps():
        text = (files("figureground.schemas") / "class_maps" / f"{name_or_path}.json").read_text(encoding="utf-8")
        return parse_document(text, ClassMap, where=f"{name_or_path}.json").model_copy(update={"name": name_or_path})
    path = Path(name_or_path)
    if path.suffix not in {".json", ".csv"}:
        shipped = ", ".join(shipped_class_maps())
        raise UsageError(f"no class map {name_or_path!r}: give one of {shipped}, or a .json or .csv file")
    loaded = _read_csv_map(path) if path.suffix == ".csv" else read_document(path, ClassMap)
    return loaded if loaded.name else loaded.model_copy(update={"name": path.stem})


@cache
def imagenet_names() -> dict[str, str]:
    """ImageNet-1k's short class names by wnid."""
    text = (files("figureground.schemas") / "class_maps" / "imagenet1k.csv").read_text(encoding="utf-8")
    return {row["wnid"]: row["name"] for row in csv.DictReader(io.StringIO(text))}


def _read_csv_map(path: Path) -> ClassMap:
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    if not rows or not {"label", "class"} <= set(rows[0]):
        got = ", ".join(rows[0]) if rows else "an empty file"
        raise DataError.single(str(path), "", expected="the columns label and class", got=got)
    classes: dict[str, dict[str, list[Any]]] = {}
    for row in rows:
        entry = classes.setdefault(row["class"], {"wnids": [], "imagenet_indices": []})
        entry["wnids"].append(row["label"])
        if row.get("imagenet_index"):
            entry["imagenet_indices"].append(row["imagenet_index"])
    listed = [{"index": index, "name": name, **entry} for index, (name, entry) in enumerate(classes.items())]
    return validate_document({"classes": listed}, ClassMap, where=str(path))


def from_imagenet_train(uri: str) -> bool:
    """Whether a photo's file name is one of ImageNet-1k's training part, ``n01440764_10026.JPEG``.

    A classifier that was trained on ImageNet has seen such a photo with its label.
    """
    return _TRAINING_NAME.search(PurePosixPath(uri).stem) is not None
