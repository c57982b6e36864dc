"""What a library or the system raises, as an error of ours: one line with the file, what is wrong and what to do.

Exit codes: 3 where the disk, the memory or a lock gave out, so that the same command goes on later; 2 where a path is
none that can be used so; 1 where a file's content is at fault, and for faults of the program itself.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from figureground.errors import DataError, FigureGroundError, ServiceError, UsageError, masked

_DISK: Final = {
    errno.ENOSPC: "free some space, or choose another disk, and run again",
    errno.EDQUOT: "free some of your quota, or choose another disk, and run again",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), and run again",
    errno.EIO: "the disk does not read or write; choose another one, and run again",
    errno.EMFILE: "raise the limit of open files (ulimit -n), and run again",
    errno.ENFILE: "end other programs, and run again",
    errno.ENOMEM: "give --workers a smaller number, and run again",
    errno.EAGAIN: "end other programs, and run again",
    errno.ETIMEDOUT: "run again",
    errno.ESTALE: "mount the disk again, and run again",
}
"""Conditions that pass: number to remedy."""
_PATH: Final = {
    errno.EROFS: "choose a folder on a disk that can be written to",
    errno.EACCES: "choose a folder that you may use, or have its rights changed",
    errno.EPERM: "choose a folder that you may use, or have its rights changed",
    errno.ENOENT: "check its spelling",
    errno.ENOTDIR: "a file stands where a folder should be; choose another path",
    errno.EISDIR: "a folder stands where a file should be; choose another path",
    errno.EEXIST: "a file stands where a folder should be; choose another path",
    errno.ENOTEMPTY: "something else is there; choose another path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "a link leads to itself; choose another path",
    errno.EXDEV: "choose a folder on one disk",
    errno.EINVAL: "choose another path",
    errno.ENXIO: "choose a path that is a file",
}
"""Paths that cannot be used so: number to remedy."""
_SQLITE: Final = {
    "full": (ServiceError, "free some space, or choose another disk, and run again"),
    "locked": (ServiceError, "another command is writing to this workspace; run again when it is done"),
    "busy": (ServiceError, "another command is writing to this workspace; run again when it is done"),
    "disk i/o error": (ServiceError, "free some space, or choose another disk, and run again"),
    "readonly": (UsageError, "choose a workspace in a folder that you may write to"),
    "unable to open": (UsageError, "choose a workspace in a folder that you may read and write"),
}
"""Words of an SQLite error to the error of ours, and the remedy."""


def failure_of(error: BaseException) -> FigureGroundError | None:
    """The error of ours that says what a foreign one means; None where it is a fault of the program."""
    if isinstance(error, OSError):
        return _os_failure(error)
    if isinstance(error, sqlite3.Error):
        return database_failure(error, "workspace.sqlite")
    if isinstance(error, MemoryError):
        return ServiceError("out of memory; give --workers a smaller number, or end other programs, and run again")
    if isinstance(error, UnicodeDecodeError):
        return DataError.single(
            "input", f"byte {error.start}", expected="UTF-8 text", got=error.reason, remedy="save it as UTF-8"
        )
    return None


def _os_failure(error: OSError) -> FigureGroundError | None:
    number = error.errno
    name = next((os.fsdecode(name) for name in (error.filename2, error.filename) if isinstance(name, str | bytes)), "")
    reason = error.strerror if error.strerror and len(error.strerror) < 200 else ""
    where = f"{name}: " if name else ""
    if number in _DISK:
        return ServiceError(f"{where}{reason or os.strerror(number)}; {_DISK[number]}")
    if number in _PATH and name:
        return UsageError(f"{where}{reason or os.strerror(number)}; {_PATH[number]}")
    return None


def database_failure(error: sqlite3.Error | UnicodeDecodeError, where: str) -> FigureGroundError:
    """The error of ours that says what an SQLite error means; ``where`` is the path of the database."""
    text = " ".join(str(error).split())[:200]
    for words, (kind, remedy) in _SQLITE.items():
        if words in text.lower():
            return kind(f"{where}: {text}; {remedy}")
    remedy = "restore it from a copy, or index the photos into a new workspace"
    return DataError.single(where, "", expected="a workspace database", got=text, remedy=remedy)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an ``OSError`` of the block the path that it is about, where the system did not say."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def write_traceback(error: BaseException) -> str:
    """Write the traceback of a fault of the program to a new file of the folder for temporary files; returns its path.

    Where that is full or absent the text ``nowhere`` and the reason.
    """
    try:
        handle, path = tempfile.mkstemp(prefix="figureground-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(masked("".join(traceback.format_exception(error))))
    except OSError as failure:
        return f"nowhere ({failure.strerror})"
    return path
