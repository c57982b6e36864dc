"""Files that appear whole or not at all, and what their names say."""

from __future__ import annotations

import csv
import errno
import filecmp
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from figureground.errors import UsageError
from figureground.runtime.failures import naming
from figureground.runtime.leftovers import partial_file

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_SYSTEM: Final = frozenset(
    {
        "@__thumb",
        "@eadir",
        "@recycle",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "__macosx",
        "__pycache__",
        "desktop.ini",
        "ehthumbs.db",
        "icon\r",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)
"""Names of files and folders that systems write, in lower case."""


_NO_LINKS: Final = {errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What systems say where a file cannot have two names, as on FAT."""


@contextmanager
def replace_file(path: Path, *, keep_equal: bool = False, mode: int = 0o666) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it into place if the block succeeds, delete it if not.

    What a killed command left there of the same file is deleted.

    Args:
        path: The file to be made or replaced.
        keep_equal: Refuse to replace a file that holds other bytes.
        mode: Rights of the file, before the process's mask.

    Raises:
        UsageError: with ``keep_equal``, if ``path`` exists and differs.
    """
    with naming(path), partial_file(path, mode=mode) as temporary:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if keep_equal:
            _place_once(temporary, path)
        else:
            temporary.replace(path)


def _place_once(temporary: Path, path: Path) -> None:
    """Give a file its name, unless one of equal bytes has it, maybe since a moment ago. Raises as ``replace_file``."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno in _NO_LINKS and not path.exists():
            temporary.replace(path)
        elif error.errno not in {*_NO_LINKS, errno.EEXIST}:
            raise
        elif not filecmp.cmp(path, temporary, shallow=False):
            message = f"{path} exists, holds something else and never changes; choose another version"
            raise UsageError(message) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with LF line ends, whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def is_hidden(name: str) -> bool:
    """Whether a file's or folder's name is one that programs write for themselves."""
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in _SYSTEM


def file_ending(path: str | PurePath) -> str:
    """The ending of a file's name in lower case, with its dot: ``.csv`` of ``A.CSV``; empty where there is none."""
    return PurePath(path).suffix.lower()


def files_in(folder: Path, ending: str) -> list[Path]:
    """Files of one ending in a folder, sorted by name, without those that systems put beside them.

    Args:
        folder: The folder; one that is not there holds none.
        ending: In lower case, with its dot.
    """
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in paths if file_ending(path) == ending and not is_hidden(path.name))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def csv_text(record_type: type[DataclassInstance], records: Iterable[Any]) -> str:
    """Records of one dataclass as CSV with a header, LF line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(record_type)])
    writer.writerows(astuple(record) for record in records)
    return text.getvalue()
