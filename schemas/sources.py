# NOTE-TO-HELPER-3: the lead wrote this file because yours had not appeared; do NOT overwrite it. Review it,
# improve it in place by small edits where yours was better or it has a fault, and write the tests against it.
"""Where photos come from: folders, the ILSVRC tree, Parquet files and Hub datasets, read as bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from figureground.errors import DataError, FigureGroundError, UsageError
from figureground.schemas.masks import Box
from figureground.schemas.parquet_source import ParquetSource
from figureground.schemas.records import NAME_PATTERN
from figureground.schemas.source_items import PhotoSource, SourceItem
from figureground.schemas.voc import read_voc

__all__ = ["FolderSource", "IlsvrcSource", "ParquetSource", "PhotoSource", "SourceItem", "open_source"]

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_SPLITS: Final = frozenset({"train", "val", "validation", "valid", "test"})
_IMAGES: Final = Path("Data") / "CLS-LOC"
_BOXES: Final = Path("Annotations") / "CLS-LOC"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """An ImageFolder: ``<label>/<file>``, or ``<split>/<label>/<file>`` with the usual split names."""

    name: str
    locator: str
    options: Mapping[str, str] = field(default_factory=dict)
    """``boxes``: a folder of Pascal-VOC XML with the photos' paths, where boxes are annotated."""
    kind: str = "folder"

    def __iter__(self) -> Iterator[SourceItem]:
        """Photos in the order of their paths; files that are no images by their ending are passed over."""
        for uri in _photo_paths(Path(self.locator)):
            yield self._item(uri)

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the folder or is not there."""
        return _read_below(Path(self.locator), uri, self.name)

    def _item(self, uri: str) -> SourceItem:
        parts = uri.split("/")
        split = parts[0] if len(parts) > 2 and parts[0].lower() in _SPLITS else ""
        if len(parts) < 2 + bool(split):
            fault = "a folder named for the label around it"
            return SourceItem(uri=uri, label="", source_split="", fault=f"expected {fault}, got a file at the top")
        label = parts[1] if split else parts[0]
        item = SourceItem(uri=uri, label=label, source_split=split)
        return _with_boxes(item, Path(self.options["boxes"])) if "boxes" in self.options else item


@dataclass(frozen=True, slots=True, kw_only=True)
class IlsvrcSource:
    """The ILSVRC tree: ``Data/CLS-LOC/{train/<wnid>,val}`` with ``Annotations/CLS-LOC/…`` in Pascal-VOC XML.

    Photos of ``val`` carry no label in their path; theirs is the name in their annotation, and without one they are
    reported.
    """

    name: str
    locator: str
    options: Mapping[str, str] = field(default_factory=dict)
    """``boxes``: the annotations' folder, where it is not in the tree."""
    kind: str = "ilsvrc"

    def __iter__(self) -> Iterator[SourceItem]:
        """Photos in the order of their paths."""
        boxes = Path(self.options.get("boxes", Path(self.locator) / _BOXES))
        for uri in _photo_paths(Path(self.locator) / _IMAGES):
            split, _, rest = uri.partition("/")
            label = rest.rpartition("/")[0]
            yield _with_boxes(SourceItem(uri=uri, label=label, source_split=split), boxes)

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the tree or is not there."""
        return _read_below(Path(self.locator) / _IMAGES, uri, self.name)


def open_source(
    locator: str, *, kind: str | None = None, name: str | None = None, boxes: Path | None = None,
    options: Mapping[str, str] | None = None,
) -> PhotoSource:  # fmt: skip
    """Open a source of photos; its kind is found by looking.

    Args:
        locator: A folder, a Parquet file, or ``hf://datasets/ORG/NAME[@REVISION]``.
        kind: ``folder``, ``ilsvrc`` or ``parquet``; None to look.
        name: Name of the source; None for the last part of the locator.
        boxes: Folder of Pascal-VOC XML files.
        options: Options of a source that was opened before.

    Raises:
        UsageError: if there is nothing, or nothing of a known kind.
    """
    found = dict(options or {})
    if boxes is not None:
        if not boxes.is_dir():
            raise UsageError(f"{boxes}: no such folder of boxes")
        found["boxes"] = str(boxes.resolve())
    kind = kind or _detect_kind(locator)
    if not locator.startswith("hf://"):
        locator = str(_tree_root(Path(locator), kind).resolve())
    named = name or locator.rstrip("/").rpartition("/")[2].partition("@")[0].removesuffix(".parquet")
    if not NAME_PATTERN.fullmatch(named):
        raise UsageError(f"source name {named!r}: give one of letters, digits, dot, dash and underscore with --name")
    if kind == "folder":
        return FolderSource(name=named, locator=locator, options=found)
    if kind == "ilsvrc":
        return IlsvrcSource(name=named, locator=locator, options=found)
    if kind == "parquet":
        return ParquetSource(name=named, locator=locator, options=found)
    raise UsageError(f"no kind of source is called {kind!r}; there are folder, ilsvrc and parquet")


def _detect_kind(locator: str) -> str:
    if locator.startswith("hf://"):
        return "parquet"
    path = Path(locator)
    if path.is_file() and path.suffix == ".parquet":
        return "parquet"
    if not path.is_dir():
        raise UsageError(f"{locator}: no such folder, .parquet file or hf://datasets/ORG/NAME")
    if (_tree_root(path, "ilsvrc") / _IMAGES).is_dir():
        return "ilsvrc"
    if next(path.rglob("*.parquet"), None) is not None:
        return "parquet"
    if next(_photo_paths(path), None) is not None:
        return "folder"
    raise UsageError(f"{locator}: found neither photos in folders, nor Data/CLS-LOC, nor .parquet files")


def _tree_root(path: Path, kind: str) -> Path:
    """The folder that holds Data and Annotations, which archives unpack as ``ILSVRC``."""
    inner = path / "ILSVRC"
    return inner if kind == "ilsvrc" and inner.is_dir() else path


def _photo_paths(root: Path) -> Iterator[str]:
    """Paths of photos below ``root``, ``/``-separated, sorted, endings case-folded."""
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            yield path.relative_to(root).as_posix()


def _read_below(root: Path, uri: str, name: str) -> bytes:
    path = (root / uri).resolve()
    if not path.is_relative_to(root.resolve()):
        raise DataError.single(name, uri, expected="a path inside the source", got="one that leaves it")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError.single(
            name, uri, expected="a readable photo", got=error.strerror or str(error),
            remedy="restore it, or index the source again where it lies now",
        ) from error  # fmt: skip


def _with_boxes(item: SourceItem, folder: Path) -> SourceItem:
    """The item with the boxes of its XML file; a missing file means no boxes, a faulty one is the item's fault."""
    path = folder / Path(item.uri).with_suffix(".xml")
    try:
        annotation = read_voc(path) if path.is_file() else None
    except FigureGroundError as error:
        return item.changed(fault=str(error))
    if annotation is None:
        return item if item.label else item.changed(fault=f"expected a label in {path.name}, got no such file")
    label = item.label or next(iter(annotation.names), "")
    if not label:
        return item.changed(fault=f"expected an object with a name in {path.name}, got none")
    return item.changed(label=label, boxes_xyxy_px=annotation.boxes_xyxy_px, annotated_hw=annotation.size_hw)
