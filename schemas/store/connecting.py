"""A connection to a workspace's database: to read and write, or to read alone where nothing may be written."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from figureground.errors import UsageError, shell_word
from figureground.runtime.failures import database_failure
from figureground.schemas.store.migrations import is_newest, migrate, require_own_tables

_BUSY_SECONDS: Final = 30.0
_MOST_BYTES_A_CELL: Final = 1 << 28
"""Of one cell; the masks of a photo of 100 megapixels have less, noise aside."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a workspace's database, and bring it to the newest version.

    Where file or folder cannot be written to, it is opened to be read: what writes to it is refused by SQLite.

    Raises:
        UsageError: if it cannot be opened, or not without writing.
        DataError: if it is damaged, or a newer figureground wrote it.
    """
    try:
        if path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            return _connect_to_read(path)
        return _prepared(sqlite3.connect(path, timeout=_BUSY_SECONDS), path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise database_failure(error, str(path)) from error


def _prepared(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    try:
        _restrict(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _restrict(connection: sqlite3.Connection, path: Path) -> None:
    """Let nothing in a database that somebody passed on compute, or be endless. Raises as ``require_own_tables``."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES_A_CELL)
    require_own_tables(connection, path)


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """The same without a write; raises UsageError where there would have to be one first."""
    connection, newest = open_to_read(path)
    if newest:
        return connection
    connection.close()
    raise UsageError(
        f"{path} is of an older figureground, and cannot be written to: bring it up to date where it can, with "
        f"figureground photos -w {shell_word(path.parent)}"
    )


def open_to_read(path: Path, *, traceless: bool = False) -> tuple[sqlite3.Connection, bool]:
    """A connection that writes nothing, and whether the database has the newest version.

    Args:
        path: The database.
        traceless: Leave no files of SQLite's beside it either, if nobody has it open now; for a short look.

    Raises:
        sqlite3.Error: if it cannot be opened.
        DataError: if it is damaged, or a newer figureground wrote it.
    """
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    waiting = path.with_name(f"{path.name}-wal")
    # SQLite reads beside a writer by files that the writer made. Where nobody has it open there are none, and none can
    # be made: then nothing changes below it.
    addresses = (address, f"{address}&immutable=1")
    for uri in addresses[1:] if traceless and not waiting.exists() else addresses:
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)
        try:
            _restrict(connection, path)
            return connection, is_newest(connection)
        except sqlite3.OperationalError:
            connection.close()
            if uri != address or (waiting.exists() and waiting.stat().st_size):
                raise
        except BaseException:
            connection.close()
            raise
    raise AssertionError("the second address opens it or raises")
