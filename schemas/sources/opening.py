"""Sources of photos by kind: folders, the ILSVRC tree, ImageNet-A, RIVAL10, Parquet files and datasets of the Hub."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from figureground.errors import DataError, UsageError, listed, printable, shell_word
from figureground.runtime.files import file_ending, is_hidden
from figureground.schemas.records import NAME_PATTERN, ImageRecord, ObjectRecord, PhotoRef, SourceRow
from figureground.schemas.sources.folders import (
    ILSVRC_BOXES,
    ILSVRC_PHOTOS,
    FolderSource,
    IlsvrcSource,
    TextureSource,
    has_photos,
)
from figureground.schemas.sources.imagenet_a import IMAGENET_A_FOLDER, ImageNetASource, is_imagenet_a
from figureground.schemas.sources.items import PhotoSource, SourceItem
from figureground.schemas.sources.names import PHOTO_ENDINGS, split_ending
from figureground.schemas.sources.parquet import ParquetSource, parquet_files_below
from figureground.schemas.sources.rival10 import Rival10Source, find_rival10
from figureground.schemas.sources.tar_tree import TAR_SUFFIX, is_tar
from figureground.schemas.sources.walking import others_below

__all__ = [
    "FolderSource",
    "IlsvrcSource",
    "ImageNetASource",
    "ParquetSource",
    "PhotoSource",
    "Rival10Source",
    "SourceItem",
    "TextureSource",
    "count_passed_over",
    "open_source",
    "read_catalogued",
]

_HUB: Final = "hf://"
_INNER: Final = {"ilsvrc": "ILSVRC", "imagenet-a": IMAGENET_A_FOLDER}
_PACKED: Final = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip")


def open_source(
    locator: str,
    *,
    kind: str | None = None,
    name: str | None = None,
    boxes: Path | None = None,
    labels: Path | None = None,
    groups: Path | None = None,
    options: Mapping[str, str] | None = None,
) -> PhotoSource:
    """Open a source of photos; its kind is detected by what is there.

    Args:
        locator: A folder, a tar archive of one, a Parquet file, or ``hf://datasets/ORG/NAME[@REVISION]``.
        kind: ``folder``, ``ilsvrc``, ``imagenet-a``, ``parquet``, ``rival10`` or ``textures``; None to detect it, which
            takes nothing for textures.
        name: Name of the source; None for the last part of the locator.
        boxes: Folder of Pascal-VOC XML files.
        labels: CSV with the columns ``file`` (or ``id``) and ``label``, for a folder whose folders are no labels.
        groups: CSV with the columns ``file`` (or ``id``) and ``group``: the video, burst or photographer of photos.
        options: Options of a source that was opened before.

    Raises:
        UsageError: if there is no such place, or it is of more than one kind.
        DataError: if a folder holds nothing that is read.
    """
    _refuse_packed(locator)
    kind = kind or _detect_kind(locator)
    if not locator.startswith(_HUB):
        locator = str(_tree_root(Path(locator), kind).resolve())
    named = _checked_name(name if name is not None else _last_part(locator))
    all_options = {**(options or {}), **_beside(kind, boxes, labels, groups)}
    if kind == "folder":
        return FolderSource(name=named, locator=locator, options=all_options)
    if kind == "ilsvrc":
        return IlsvrcSource(name=named, locator=locator, options=all_options)
    if kind == "imagenet-a":
        return ImageNetASource(name=named, locator=locator, options=all_options)
    if kind == "parquet":
        return ParquetSource(name=named, locator=locator, options=all_options)
    if kind == "rival10":
        return Rival10Source(name=named, locator=locator, options=all_options)
    if kind == "textures":
        return TextureSource(name=named, locator=locator, options=all_options)
    kinds = "folder, ilsvrc, imagenet-a, parquet, rival10 and textures"
    raise UsageError(f"no kind of source is called {kind!r}; there are {kinds}")


_OPEN: Final[dict[tuple[str, str], PhotoSource]] = {}
"""Sources that this process has opened, by name and locator: opening a tree or a Parquet folder takes time."""


def read_catalogued(record: ImageRecord | ObjectRecord | PhotoRef, sources: Mapping[str, SourceRow]) -> bytes:
    """The stored bytes of a catalogued photo, from where its source lies now.

    Raises:
        DataError: if the source is not known here, or the bytes are no longer those that were catalogued.
        OSError: if they cannot be read.
    """
    row = sources.get(record.source)
    if row is None:
        raise DataError.single(
            "workspace",
            record.source,
            expected="an indexed source of this name",
            got="none",
            remedy=f"figureground index FOLDER -w WORKSPACE --name {shell_word(record.source)}",
        )
    key = row.name, row.locator
    if key not in _OPEN:
        _OPEN[key] = open_source(row.locator, kind=row.kind, name=row.name, options=row.options)
    data = _OPEN[key].read(record.uri)
    digest = hashlib.sha256(data).hexdigest()
    if digest != record.sha256:
        raise DataError.single(
            record.source,
            record.uri,
            expected=f"bytes with sha256 {record.sha256}",
            got=digest,
            remedy=f"restore the photo, or forget {record.image_id} and index again",
        )
    return data


def count_passed_over(source: PhotoSource) -> dict[str, int]:
    """Number of files and columns of a source that are passed over, by what they are, sorted."""
    return dict(sorted(source.passed_over().items()))


def _beside(kind: str, boxes: Path | None, labels: Path | None, groups: Path | None) -> dict[str, str]:
    """Folder of boxes and tables as options, checked at once, while the user still sees the command."""
    if kind in ("imagenet-a", "parquet", "rival10", "textures") and (boxes or labels):
        own = "has no labels" if kind == "textures" else "carries its own labels"
        raise UsageError(f"a source of kind {kind} {own} and takes no table of labels and no folder of boxes")
    if boxes is not None and not boxes.is_dir():
        raise UsageError(f"{boxes}: no such folder of boxes")
    if labels is not None and not labels.is_file():
        raise UsageError(f"{labels}: no such table of labels")
    if groups is not None and kind == "textures":
        raise UsageError("a source of kind textures lends no ground and takes no table of groups")
    if groups is not None and not groups.is_file():
        raise UsageError(f"{groups}: no such table of groups")
    given = {"boxes": boxes, "labels": labels, "groups": groups}
    return {key: str(path.resolve()) for key, path in given.items() if path is not None}


def _refuse_packed(locator: str) -> None:
    """Refuse a packed archive: photos are read many times, and each time all before them would have to be unpacked."""
    path = Path(locator)
    if file_ending(path) in _PACKED and path.is_file():
        remedy = f"gunzip {path.name}" if file_ending(path) in (".gz", ".tgz") else f"unpack {path.name}"
        raise UsageError(f"{locator}: photos are read where they lie, not out of a packed archive; {remedy}")


def _checked_name(name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(f"source name {name!r}: give one of letters, digits, dot, dash and underscore with --name")
    return name


def _last_part(locator: str) -> str:
    """Last part of a path, or NAME of ``hf://datasets/ORG/NAME@refs/pr/1``."""
    if locator.startswith(_HUB):
        locator = locator.partition("@")[0]
    return split_ending(locator.rstrip("/").rpartition("/")[2], (".parquet", TAR_SUFFIX))[0]


def _detect_kind(locator: str) -> str:
    if locator.startswith(_HUB):
        return "parquet"
    path = Path(locator)
    if path.is_file() and file_ending(path) == ".parquet":
        return "parquet"
    if path.is_file() and is_tar(path):
        return "imagenet-a" if is_imagenet_a(path) else "folder"
    if not path.is_dir():
        raise UsageError(f"{locator}: no such folder, .parquet or .tar file, or {_HUB}datasets/ORG/NAME")
    if _is_ilsvrc(_tree_root(path, "ilsvrc")):
        return "ilsvrc"
    if find_rival10(path) is not None:
        return "rival10"
    if is_imagenet_a(_tree_root(path, "imagenet-a")):
        return "imagenet-a"
    tables = next(iter(parquet_files_below(path)), None)
    photos = has_photos(path)
    if photos and tables is not None:
        raise UsageError(
            f"{locator}: holds both photos and {printable(tables)}; say which with --kind folder or parquet"
        )
    if photos or tables is not None:
        return "folder" if photos else "parquet"
    raise DataError.single(
        locator,
        "",
        expected=f"photos ({', '.join(sorted(PHOTO_ENDINGS))}) in folders, Data/CLS-LOC, or .parquet files",
        got=_counts_text(others_below(path)),
        remedy="convert photos of other formats, HEIC and AVIF among them, to PNG or JPEG",
    )


def _counts_text(counts: Counter[str]) -> str:
    return listed([f"{name} {count}" for name, count in counts.most_common()]) or "an empty folder"


def _is_ilsvrc(root: Path) -> bool:
    """Whether a folder is the ILSVRC tree, or its flat form: train or val beside their annotations."""
    if (root / ILSVRC_PHOTOS).is_dir():
        return True
    split = (root / "train").is_dir() or (root / "val").is_dir()
    return split and any(_has_xml(root / folder) for folder in ILSVRC_BOXES)


def _has_xml(folder: Path) -> bool:
    """Whether a folder holds an annotation, at any depth: other data sets have annotations of other kinds there."""
    return any(file_ending(name) == ".xml" and not is_hidden(name) for _, _, names in os.walk(folder) for name in names)


def _tree_root(path: Path, kind: str) -> Path:
    """The folder that archives unpack as ``ILSVRC`` or ``imagenet-a``, if any; RIVAL10's with train and test."""
    if kind == "rival10":
        return find_rival10(path) or path
    inner = path / _INNER.get(kind, ".")
    return inner if inner.is_dir() else path
