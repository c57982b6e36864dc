"""A workspace: its version, whether its database, photos and releases can be read, and what was left half-made."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from figureground.console import count_text
from figureground.errors import FigureGroundError, UsageError, listed, shell_word
from figureground.health.findings import Finding
from figureground.runtime.failures import database_failure
from figureground.runtime.files import files_in
from figureground.runtime.leftovers import abandoned_partials
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.opening import read_catalogued
from figureground.schemas.store.connecting import open_to_read
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

AREA: Final = "workspace"


def look_at_workspace(root: Path) -> Iterator[Finding]:
    """The workspace in a folder. Nothing is written: an old one stays old.

    Args:
        root: Its folder.

    Raises:
        UsageError: if there is none.
        DataError: if it is damaged, or a newer figureground wrote it.
    """
    path = root / DATABASE_NAME
    if not path.is_file():
        raise UsageError(f"{root} holds no workspace; make one with: figureground index SOURCE -w {shell_word(root)}")
    newest = _is_newest(path)
    detail = str(path)
    if not newest:
        yield Finding(
            area=AREA,
            name="version",
            state="doubtful",
            detail=f"{detail}: of an older figureground, which cannot read it any more once this one has used it",
            remedy=f"cp -r {shell_word(root)} {shell_word(f'{root}-before')}, where others work with the older one; "
            f"then any command brings it up to date: figureground photos -w {shell_word(root)}",
        )
        return
    if os.access(path, os.W_OK) and os.access(root, os.W_OK):
        yield Finding(area=AREA, name="database", state="good", detail=detail)
    else:
        remedy = f"to work with it: chmod u+w {shell_word(root)} {shell_word(path)}"
        yield Finding(area=AREA, name="database", state="doubtful", detail=f"{detail}: read only", remedy=remedy)
    with Workspace.open(root) as workspace:
        yield from _photos(workspace)
    yield from _releases(root / "objects")
    yield from _leftovers(root)


def _is_newest(path: Path) -> bool:
    """Whether the database has the newest version; it is checked page by page, and not changed.

    Raises:
        DataError: if it is damaged, or a newer figureground wrote it.
    """
    try:
        connection, newest = open_to_read(path, traceless=True)
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise database_failure(error, str(path)) from error
    return newest


def _photos(workspace: Workspace) -> Iterator[Finding]:
    """Whether a photo of each source is where it was, with the bytes that it had."""
    first = dict[str, ImageRecord]()
    for image in workspace.images():
        first.setdefault(image.source, image)
    sources = workspace.sources()
    for name, image in sorted(first.items()):
        try:
            read_catalogued(image, sources)
        except (FigureGroundError, OSError) as error:
            command = f"figureground index SOURCE -w {shell_word(workspace.root)} --name {shell_word(name)}"
            remedy = f"bring the photos back, or say where they are now: {command}"
            yield Finding(area=AREA, name=f"photos of {name}", state="broken", detail=str(error), remedy=remedy)
        else:
            detail = f"at {sources[name].locator}"
            yield Finding(area=AREA, name=f"photos of {name}", state="good", detail=detail)


def _releases(folder: Path) -> Iterator[Finding]:
    for path in files_in(folder, ".parquet"):
        try:
            version, objects = read_release(path)
        except FigureGroundError as error:
            remedy = f"restore {path} from a copy, or: figureground freeze -w {shell_word(folder.parent)} --version NEW"
            yield Finding(area=AREA, name=f"release {path.stem}", state="broken", detail=str(error), remedy=remedy)
        else:
            detail = count_text(len(objects), "object")
            yield Finding(area=AREA, name=f"release {version}", state="good", detail=detail)


def _leftovers(root: Path) -> Iterator[Finding]:
    """What a killed command left; the next one of its kind would clean it up."""
    folders = [root, *(folder for folder in root.iterdir() if folder.is_dir() and folder.name != "studio")]
    left = [path for folder in folders for path in abandoned_partials(folder)]
    if left:
        detail = f"{listed(left)}, of a command that was killed"
        remedy = f"run that command again, or: rm -r {' '.join(map(shell_word, left))}"
        yield Finding(area=AREA, name="leftovers", state="doubtful", detail=detail, remedy=remedy)
