"""Files below a folder or in an archive: what is a photo by its name, what is passed over, what cannot be read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from figureground.errors import DataError
from figureground.runtime.files import file_ending, is_hidden
from figureground.schemas.sources.items import SourceItem, told_ending
from figureground.schemas.sources.names import PHOTO_ENDINGS
from figureground.schemas.sources.tar_files import MOST_BYTES
from figureground.schemas.sources.tar_tree import TarTree

HIDDEN: Final = "hidden and system files"
"""What files are counted as that programs put beside photos, thumbnails among them."""


class _Entry(NamedTuple):
    """One file below a root."""

    uri: str
    fault: str
    """Why it cannot be entered or named; empty where it can."""
    hidden: bool


def is_photo(name: str) -> bool:
    """Whether a file is read as a photo, by its ending."""
    return file_ending(name) in PHOTO_ENDINGS


def photos_below(root: Path, below: str = "") -> Iterator[SourceItem]:
    """Photos below a folder, unlabelled, sorted by path; what cannot be entered or named is an item with a fault."""
    for entry in _entries(root, below, enter_hidden=False):
        if not entry.hidden and (entry.fault or is_photo(entry.uri)):
            yield _item(entry)


def photos_in(tar: TarTree) -> Iterator[SourceItem]:
    """Photos of an archive, as ``photos_below`` gives them."""
    for uri, fault in tar.entries():
        if not _in_hidden(uri) and (fault or is_photo(uri)):
            yield SourceItem(uri=uri, label="", source_split="", fault=fault)


def others_below(root: Path, below: str = "") -> Counter[str]:
    """Number of files that are passed over, by their ending, and of hidden ones."""
    entries = (entry for entry in _entries(root, below, enter_hidden=True) if not entry.fault)
    return Counter(
        HIDDEN if entry.hidden else told_ending(entry.uri)
        for entry in entries
        if entry.hidden or not is_photo(entry.uri)
    )


def others_in(tar: TarTree) -> Counter[str]:
    """Number of files of an archive that are passed over, as ``others_below`` counts them."""
    uris = [uri for uri, fault in tar.entries() if not fault]
    return Counter(
        HIDDEN if _in_hidden(uri) else told_ending(uri) for uri in uris if _in_hidden(uri) or not is_photo(uri)
    )


def read_below(root: Path, uri: str, name: str) -> bytes:
    """Bytes of one photo of a source.

    Args:
        root: The source's folder.
        uri: Path of the photo below it.
        name: Name of the source, for errors.

    Raises:
        DataError: if the path leaves the folder or is not there.
    """
    parts = uri.split("/")
    path = root / uri
    honest = "\0" not in uri and not {"", ".", ".."}.intersection(parts)
    if not honest or not _resolves_below(path, root):
        raise DataError.single(
            name,
            uri,
            expected="a path inside the source",
            got="one that leaves it",
            remedy="replace links by copies, or index the folder that they point to",
        )
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise DataError.single(name, uri, expected=f"at most {MOST_BYTES} bytes", got=f"{path.stat().st_size}")
        return path.read_bytes()
    except OSError as error:
        raise DataError.single(
            name,
            uri,
            expected="a readable photo",
            got=error.strerror or str(error),
            remedy="restore it, or index the source again where it lies now",
        ) from error


def _resolves_below(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links that lead to themselves
        return False


def _in_hidden(uri: str) -> bool:
    return any(map(is_hidden, uri.split("/")))


def _entries(root: Path, below: str, *, enter_hidden: bool, hidden: bool = False) -> Iterator[_Entry]:
    """Files below a folder with their ``/``-separated paths, sorted."""
    try:
        with os.scandir(root / below) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        yield _Entry(below or ".", f"expected a readable folder, got {error.strerror}", hidden)
        return
    for entry in entries:
        uri = f"{below}/{entry.name}" if below else entry.name
        inside = hidden or is_hidden(entry.name)
        try:
            if entry.is_dir(follow_symlinks=False):
                if enter_hidden or not inside:
                    yield from _entries(root, uri, enter_hidden=enter_hidden, hidden=inside)
            elif entry.is_dir():
                yield _Entry(uri, "expected a folder, got a link to one; index what it points to", inside)
            elif entry.is_file():
                yield _Entry(uri, "", inside)
            elif is_photo(entry.name):
                yield _Entry(uri, "expected a file, got a broken link or a device", inside)
        except OSError as error:
            yield _Entry(uri, f"expected a file or a folder, got {error.strerror}", inside)


def _item(entry: _Entry) -> SourceItem:
    try:
        entry.uri.encode()
    except UnicodeEncodeError:
        # Such a path cannot be stored as text, so the photo could never be read again.
        spelled = os.fsencode(entry.uri).decode("utf-8", "backslashreplace")
        return SourceItem(uri=spelled, label="", source_split="", fault="expected a path in UTF-8, got other bytes")
    return SourceItem(uri=entry.uri, label="", source_split="", fault=entry.fault)
