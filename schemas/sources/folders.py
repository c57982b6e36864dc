"""Photos in folders: an ImageFolder, a flat folder with a table of labels, textures, or the ILSVRC tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from figureground.runtime.files import is_hidden
from figureground.schemas.documents import same_form
from figureground.schemas.sources.box_files import with_boxes
from figureground.schemas.sources.items import SourceItem
from figureground.schemas.sources.label_table import LabelTable, read_label_table
from figureground.schemas.sources.names import SPLITS
from figureground.schemas.sources.tar_tree import is_tar, open_tar_tree
from figureground.schemas.sources.walking import others_below, others_in, photos_below, photos_in, read_below

ILSVRC_PHOTOS: Final = Path("Data") / "CLS-LOC"
ILSVRC_BOXES: Final = (Path("Annotations") / "CLS-LOC", Path("Annotations"), Path("Annotation"))
ILSVRC_LABELS: Final = "LOC_val_solution.csv"
TEXTURES: Final = "textures"
"""Kind of a source of textures: photos that nobody annotates."""
_ILSVRC_SPLITS: Final = ("train", "val")  # photos of test have no labels, by design


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """An ImageFolder, or a tar archive of one: ``<label>/<file>``, or ``<split>/<label>/<file>`` with the usual names.

    A folder below the label's is part of the label. A table of labels, where one is given, replaces the folders'
    names. Hidden files and folders, and those of systems, are passed over.
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
        table = self._labels()
        labelled = table.label(self._photos()) if table else _from_folders(self._photos())
        yield from with_boxes(labelled, Path(self.options["boxes"])) if "boxes" in self.options else labelled

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the folder or is not there."""
        return _read(self.locator, uri, self.name)

    def passed_over(self) -> Counter[str]:
        """Number of files that are passed over, by their ending, and columns of the label table that are not read."""
        table = self._labels()
        return _others(self.locator) + Counter(table.passed_over if table else ())

    def _photos(self) -> list[SourceItem]:
        return list(_photos(self.locator))

    def _labels(self) -> LabelTable | None:
        return read_label_table(Path(self.options["labels"])) if "labels" in self.options else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureSource:
    """Textures: photos in a folder or a tar archive, flat or not, that have no label and are never annotated."""

    name: str
    locator: str
    options: Mapping[str, str] = field(default_factory=dict)
    kind: str = TEXTURES

    def __iter__(self) -> Iterator[SourceItem]:
        """Photos in the order of their paths."""
        yield from _photos(self.locator)

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the folder or is not there."""
        return _read(self.locator, uri, self.name)

    def passed_over(self) -> Counter[str]:
        """Number of files that are passed over, by their ending."""
        return _others(self.locator)


@dataclass(frozen=True, slots=True, kw_only=True)
class IlsvrcSource:
    """The ILSVRC tree: ``Data/CLS-LOC/{train/<wnid>,val}`` with ``Annotations/CLS-LOC/…`` in Pascal-VOC XML.

    The flat layout, ``{train/<wnid>,val}`` beside ``Annotation`` or ``Annotations``, is the same without the folders
    in between. A photo of ``val`` gets its label from the folder around it, else from ``LOC_val_solution.csv``, else
    from the wnid in its annotation; without any it is a fault. Photos of ``test`` have no labels: they, and all beside
    the two splits, are passed over and counted.
    """

    name: str
    locator: str
    options: Mapping[str, str] = field(default_factory=dict)
    """``boxes``: the annotations' folder; ``labels``: a table of labels; both only where they are not in the tree."""
    kind: str = "ilsvrc"

    def __iter__(self) -> Iterator[SourceItem]:
        """Photos in the order of their paths, first train, then val."""
        items: list[SourceItem] = []
        for split in _ILSVRC_SPLITS:
            for item in photos_below(self._photos(), split):
                parts = item.uri.split("/")
                label = same_form(parts[1]) if len(parts) > 2 else ""
                items.append(item.changed(label=label, source_split=split))
        yield from with_boxes(self._labelled(items), self._boxes(), need_label=ILSVRC_LABELS)

    def read(self, uri: str) -> bytes:
        """Bytes of one photo. Raises ``DataError`` if the path leaves the tree or is not there."""
        return read_below(self._photos(), uri, self.name)

    def passed_over(self) -> Counter[str]:
        """Number of files of ``train`` and ``val`` that are no photos, by their ending, and of photos elsewhere."""
        root = self._photos()
        counts = sum((others_below(root, split) for split in _ILSVRC_SPLITS), Counter[str]())
        for folder in sorted(path.name for path in root.iterdir() if path.is_dir() and not is_hidden(path.name)):
            if folder not in (*_ILSVRC_SPLITS, *map(str, ILSVRC_BOXES)):
                photos = sum(1 for _ in photos_below(root, folder))
                counts[f"photos of {folder}, read as ILSVRC (--kind folder takes them)"] += photos
        table = self._labels()
        return +counts + Counter(read_label_table(table).passed_over if table else ())

    def _labelled(self, items: Sequence[SourceItem]) -> Iterator[SourceItem]:
        """Photos with a label where the table has one for those without; the table may list others."""
        path = self._labels()
        without = [item for item in items if not item.label and not item.fault]
        if path is None or not without:
            yield from items
            return
        sound, faults, _ = read_label_table(path).matched(without)
        for item in items:
            if item.uri in faults and not item.label:
                yield item.changed(fault=faults[item.uri])
            elif item.uri in sound and not item.label:
                yield item.changed(label=sound[item.uri].label)
            else:
                yield item

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
    return any(not item.fault for item in photos_below(root))


def _photos(locator: str) -> Iterator[SourceItem]:
    root = Path(locator)
    return photos_in(open_tar_tree(root)) if is_tar(root) else photos_below(root)


def _others(locator: str) -> Counter[str]:
    root = Path(locator)
    return others_in(open_tar_tree(root)) if is_tar(root) else others_below(root)


def _read(locator: str, uri: str, name: str) -> bytes:
    root = Path(locator)
    return open_tar_tree(root).read(uri) if is_tar(root) else read_below(root, uri, name)


def _from_folders(items: Sequence[SourceItem]) -> Iterator[SourceItem]:
    """Labels and splits from the names of folders.

    A folder named like a split is one if it, or another such folder, has folders with photos below it; else it is a
    label, because there are data sets with a class called train.
    """
    paths = [item.uri.split("/") for item in items]
    splits = {parts[0] for parts in paths if len(parts) > 2 and parts[0].lower() in SPLITS}
    for item, parts in zip(items, paths, strict=True):
        depth = 1 if splits and len(parts) > 1 and parts[0].lower() in SPLITS else 0
        if item.fault:
            yield item
        elif len(parts) < depth + 2:
            position = f"directly in {parts[0]}" if depth else "at the top"
            yield item.changed(fault=f"expected a folder named for the label around it, got a file {position}")
        else:
            yield item.changed(label=same_form(parts[depth]), source_split=parts[0] if depth else "")
