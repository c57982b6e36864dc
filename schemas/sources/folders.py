"""Photos in folders: an ImageFolder, a flat folder with a table of labels, or the ILSVRC tree."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from figureground.errors import DataError
from figureground.schemas.sources.items import SourceItem, file_ending
from figureground.schemas.sources.label_table import find_row, read_label_table
from figureground.schemas.sources.tar_tree import TarTree, is_tar, open_tar_tree
from figureground.schemas.sources.voc import read_voc

SPLITS: Final = frozenset({"train", "val", "validation", "valid", "test"})
"""Names of folders that are splits, not labels."""
ILSVRC_PHOTOS: Final = Path("Data") / "CLS-LOC"
ILSVRC_BOXES: Final = (Path("Annotations") / "CLS-LOC", Path("Annotations"), Path("Annotation"))
ILSVRC_LABELS: Final = "LOC_val_solution.csv"
_ILSVRC_SPLITS: Final = ("train", "val")  # photos of test have no labels, by design
_WNID: Final = re.compile(r"n\d{8}")

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_MOST_BYTES: Final = 1 << 30  # a raw photo of 100 megapixels has 400 MB; more would only exhaust memory


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """An ImageFolder, or a tar archive of one: ``<label>/<file>``, or ``<split>/<label>/<file>`` with the usual names.

    A folder below the label's is part of the label. A table of labels, where one is given, replaces the folders'
    names.
    """

    name: str
    locator: str
    options: Mapping[str, str] = field(default_factory=dict)
    """``boxes``: a folder of Pascal-VOC XML with the photos' names; ``labels``: a CSV as ``read_label_table`` reads."""
    kind: str = "folder"

    def __iter__(self) -> Iterator[SourceItem]:
        """Photos in the order of their paths, then rows of the label table without a photo.

        Files that are no photos by their ending are passed over, see ``passed_over``.
        """
        root = Path(self.locator)
        items = list(_photos_in(open_tar_tree(root)) if is_tar(root) else _photos_below(root))
        labelled = self._from_table(items) if "labels" in self.options else _from_folders(items)
        if "boxes" not in self.options:
            yield from labelled
            return
        for item in labelled:
            yield item if item.fault else _with_boxes(item, Path(self.options["boxes"]))

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the folder or is not there."""
        root = Path(self.locator)
        return open_tar_tree(root).read(uri) if is_tar(root) else _read_below(root, uri, self.name)

    def passed_over(self) -> Counter[str]:
        """Number of files that are no photos, by their ending."""
        root = Path(self.locator)
        if is_tar(root):
            return Counter(file_ending(name) for name in open_tar_tree(root).files.members if not _is_photo(name))
        return _other_files(root)

    def _from_table(self, items: Iterable[SourceItem]) -> Iterator[SourceItem]:
        path = Path(self.options["labels"])
        rows = read_label_table(path)
        unseen = dict.fromkeys(rows)
        for item in items:
            key = find_row(rows, item.uri)
            unseen.pop(key or "", None)
            if item.fault:
                yield item
            elif key is None:
                yield item.changed(fault=f"expected a row in {path.name}, got none")
            else:
                yield item.changed(label=rows[key].label, source_split=rows[key].split)
        for key in sorted(unseen):
            fault = f"expected the photo that {path.name} lists, got none"
            yield SourceItem(uri=key, label=rows[key].label, source_split=rows[key].split, fault=fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class IlsvrcSource:
    """The ILSVRC tree: ``Data/CLS-LOC/{train/<wnid>,val}`` with ``Annotations/CLS-LOC/…`` in Pascal-VOC XML.

    The flat layout, ``{train/<wnid>,val}`` beside ``Annotation`` or ``Annotations``, is the same without the folders
    in between. A photo of ``val`` gets its label from the folder around it, else from ``LOC_val_solution.csv``, else
    from the wnid in its annotation; without any it is a fault. Photos of ``test`` have no labels and are left out.
    """

    name: str
    locator: str
    options: Mapping[str, str] = field(default_factory=dict)
    """``boxes``: the annotations' folder; ``labels``: a table of labels; both only where they are not in the tree."""
    kind: str = "ilsvrc"

    def __iter__(self) -> Iterator[SourceItem]:
        """Photos in the order of their paths, first train, then val."""
        boxes, table = self._boxes(), self._labels()
        rows = read_label_table(table) if table else {}
        for split in _ILSVRC_SPLITS:
            for item in _photos_below(self._photos(), split):
                parts = item.uri.split("/")
                key = find_row(rows, item.uri)
                label = parts[1] if len(parts) > 2 else rows[key].label if key else ""
                labelled = item.changed(label=label, source_split=split)
                yield labelled if item.fault else _with_boxes(labelled, boxes)

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the tree or is not there."""
        return _read_below(self._photos(), uri, self.name)

    def passed_over(self) -> Counter[str]:
        """Number of files of ``train`` and ``val`` that are no photos, by their ending."""
        return sum((_other_files(self._photos() / split) for split in _ILSVRC_SPLITS), Counter[str]())

    def _photos(self) -> Path:
        nested = Path(self.locator) / ILSVRC_PHOTOS
        return nested if nested.is_dir() else Path(self.locator)

    def _boxes(self) -> Path | None:
        if "boxes" in self.options:
            return Path(self.options["boxes"])
        folders = (Path(self.locator) / folder for folder in ILSVRC_BOXES)
        return next((folder for folder in folders if folder.is_dir()), None)

    def _labels(self) -> Path | None:
        if "labels" in self.options:
            return Path(self.options["labels"])
        root = Path(self.locator)
        # The archive holds the table beside its folder ILSVRC.
        folders = (root, root.parent) if root.name == "ILSVRC" else (root,)
        return next((path for folder in folders if (path := folder / ILSVRC_LABELS).is_file()), None)


def has_photos(root: Path) -> bool:
    """Whether a folder holds a photo, at any depth."""
    return any(not item.fault for item in _photos_below(root))


def _from_folders(items: list[SourceItem]) -> Iterator[SourceItem]:
    """Labels and splits from the names of folders.

    A folder named like a split is one if it has folders with photos below it; else it is a label, because there
    are data sets with a class called train.
    """
    paths = [item.uri.split("/") for item in items]
    splits = {parts[0] for parts in paths if len(parts) > 2 and parts[0].lower() in SPLITS}
    for item, parts in zip(items, paths, strict=True):
        depth = 1 if parts[0] in splits else 0
        if item.fault:
            yield item
        elif len(parts) < depth + 2:
            position = f"directly in {parts[0]}" if depth else "at the top"
            yield item.changed(fault=f"expected a folder named for the label around it, got a file {position}")
        else:
            yield item.changed(label=parts[depth], source_split=parts[0] if depth else "")


def _photos_below(root: Path, below: str = "") -> Iterator[SourceItem]:
    """Photos below a folder, unlabelled, sorted by path; what cannot be entered or named is an item with a fault."""
    for entry, uri in _entries(root, below):
        if isinstance(entry, str):
            yield _named(uri).changed(fault=entry)
        elif _is_photo(entry.name):
            yield _named(uri)


def _photos_in(tar: TarTree) -> Iterator[SourceItem]:
    """Photos of an archive, as ``_photos_below`` gives them."""
    for uri, fault in tar.entries():
        if fault or _is_photo(uri):
            yield SourceItem(uri=uri, label="", source_split="", fault=fault)


def _other_files(root: Path) -> Counter[str]:
    files = (entry for entry, _ in _entries(root, "") if not isinstance(entry, str))
    return Counter(file_ending(entry.name) for entry in files if not _is_photo(entry.name))


def _entries(root: Path, below: str) -> Iterator[tuple[os.DirEntry[str] | str, str]]:
    """Files below a folder with their ``/``-separated paths, sorted; a text in place of a file says what is wrong."""
    try:
        with os.scandir(root / below) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"expected a readable folder, got {error.strerror}", below or "."
        return
    for entry in entries:
        uri = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(root, uri)
        elif entry.is_dir():
            yield "expected a folder, got a link to one; index what it points to", uri
        elif entry.is_file():
            yield entry, uri
        elif _is_photo(entry.name):
            yield "expected a file, got a broken link or a device", uri


def _is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def _named(uri: str) -> SourceItem:
    try:
        uri.encode()
    except UnicodeEncodeError:
        # Such a path cannot be stored as text, so the photo could never be read again.
        spelled = os.fsencode(uri).decode("utf-8", "backslashreplace")
        return SourceItem(uri=spelled, label="", source_split="", fault="expected a path in UTF-8, got other bytes")
    return SourceItem(uri=uri, label="", source_split="")


def _read_below(root: Path, uri: str, name: str) -> bytes:
    parts = uri.split("/")
    path = root / uri
    honest = "\0" not in uri and not {"", ".", ".."}.intersection(parts)
    if not honest or not path.resolve().is_relative_to(root.resolve()):
        raise DataError.single(
            name,
            uri,
            expected="a path inside the source",
            got="one that leaves it",
            remedy="replace links by copies, or index the folder that they point to",
        )
    try:
        if path.is_file() and path.stat().st_size > _MOST_BYTES:
            raise DataError.single(name, uri, expected=f"at most {_MOST_BYTES} bytes", got=f"{path.stat().st_size}")
        return path.read_bytes()
    except OSError as error:
        raise DataError.single(
            name,
            uri,
            expected="a readable photo",
            got=error.strerror or str(error),
            remedy="restore it, or index the source again where it lies now",
        ) from error


def _with_boxes(item: SourceItem, folder: Path | None) -> SourceItem:
    """The item with the boxes of its XML file; a missing file means no boxes, a faulty one is the item's fault."""
    xml = None if folder is None else _find_xml(item.uri, folder)
    if folder is None or xml is None:
        return item if item.label else item.changed(fault=_no_label("got neither a table nor an annotation of it"))
    try:
        annotation = read_voc(folder / xml, where=xml)
    except DataError as error:
        return item.changed(fault="; ".join(str(fault) for fault in error.faults))
    boxed = item.changed(boxes_xyxy_px=annotation.boxes_xyxy_px, annotated_hw=annotation.size_hw)
    if item.label:
        return boxed
    # Some released annotations name a breed in words; that is no label.
    wnids = sorted({name for name in annotation.names if _WNID.fullmatch(name)})
    if len(wnids) != 1:
        return boxed.changed(fault=_no_label(f"got {', '.join(wnids) or 'no wnid'} in {xml}"))
    return boxed.changed(label=wnids[0])


def _no_label(got: str) -> str:
    return f"expected one label in a folder's name, {ILSVRC_LABELS} or the annotation, {got}"


def _find_xml(uri: str, folder: Path) -> str | None:
    """Path below ``folder`` of a photo's XML: at the photo's own path, or with fewer of the folders around it."""
    parts = PurePosixPath(uri).with_suffix(".xml").parts
    endings = [parts[start:] for start in range(len(parts))]
    if len(parts) > 2:
        endings.insert(1, (parts[0], parts[-1]))  # val sorted into folders of labels, its annotations not
    paths = map("/".join, endings)
    return next((path for path in paths if (folder / path).is_file()), None)
