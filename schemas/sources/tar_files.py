"""Files in an uncompressed tar archive, read where they lie: one pass finds them, then each is a seek away."""

from __future__ import annotations

import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, cast

from figureground.errors import DataError

MOST_BYTES: Final = 1 << 30
"""Members above this are faults: a raw photo of 100 megapixels has 400 MB, more would only exhaust memory."""
_MOST_HEADER_BYTES: Final = 1 << 16
"""Of one member: Linux takes names of 4,096 bytes, and attributes of 64 kB that nobody gives to photos."""
_MOST_ATTRIBUTES: Final = 100
_ENDLESS: Final = re.compile(rb"\d{1000}")
_GZIP: Final = b"\x1f\x8b"
_KINDS: Final = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


@dataclass(frozen=True, slots=True)
class TarMember:
    """Position of a file's bytes in the archive."""

    offset: int
    size: int
    """Both in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TarFiles:
    """The regular files of an archive, by name, and what else is in it; equal only to itself."""

    path: Path
    members: Mapping[str, TarMember]
    """Sorted; names are ``/``-separated, without a leading ``./``."""
    faults: Mapping[str, str]
    """Name to what is wrong with a member that is no readable file; no such name is in ``members``."""

    def read(self, name: str) -> bytes:
        """Bytes of one file.

        Raises:
            DataError: if there is no such file, or the archive cannot be read or was cut since it was opened.
        """
        member = self.members.get(name)
        if member is None:
            raise DataError.single(str(self.path), name, expected="a file of this archive", got="none of this name")
        with _reading(self.path) as archive:
            archive.seek(member.offset)
            data = archive.read(member.size)
        if len(data) != member.size:
            raise DataError.single(str(self.path), name, expected=f"{member.size} bytes", got=f"{len(data)}")
        return data


def open_tar(path: Path) -> TarFiles:
    """The files of an archive; remembered while it does not change, so that every process reads it through once.

    A compressed archive is refused: each photo is read many times, and each time all before it would have to be
    decompressed.

    Raises:
        DataError: if it cannot be read, is no uncompressed tar archive, is damaged, or ends without the mark that tar
            puts last.
    """
    with _reading(path) as archive:
        facts = os.fstat(archive.fileno())
    return _open_tar(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4)
def _open_tar(path: Path, _size: int, _changed: int) -> TarFiles:
    names: Counter[str] = Counter()
    members: dict[str, TarMember] = {}
    faults: dict[str, str] = {}
    for info in _members(path):
        name = _spelled(info.name.removeprefix("./"))
        if info.isdir():
            continue
        names[name] += 1
        if fault := _fault(info):
            faults[name] = fault
        else:
            members[name] = TarMember(info.offset_data, info.size)
    faults |= {name: f"expected one file of this name, got {count}" for name, count in names.items() if count > 1}
    sound = {name: members[name] for name in sorted(members) if name not in faults}
    return TarFiles(path=path, members=sound, faults=dict(sorted(faults.items())))


class _Headers:
    """An archive as ``tarfile`` reads it for its headers alone, which are short.

    ``tarfile`` reads long names and attributes whole, of whatever length the archive gives them, and looks for numbers
    in them in the square of their length.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_HEADER_BYTES
        self.tell, self.seek = file.tell, file.seek

    def begin(self) -> None:
        """Let another member begin."""
        self._left = _MOST_HEADER_BYTES

    def read(self, size: int) -> bytes:
        """Read a part of a member's header; ``tarfile.ReadError`` once that is longer than any."""
        self._left -= size
        if size < 0 or self._left < 0:
            raise tarfile.ReadError(f"a header of more than {_MOST_HEADER_BYTES} bytes")
        data = self._file.read(size)
        if len(data) > tarfile.BLOCKSIZE and _ENDLESS.search(data):
            raise tarfile.ReadError("a number of more than a thousand digits")
        return data


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Members in the archive's order; ``tarfile`` takes damage in the middle for the end, so the end is checked."""
    last = -1
    try:
        with (
            _reading(path) as file,
            tarfile.open(fileobj=cast(BinaryIO, headers := _Headers(file)), mode="r:") as archive,
        ):
            for info in archive:
                headers.begin()
                if len(archive.pax_headers) > _MOST_ATTRIBUTES:
                    raise _damaged(path, f"more than {_MOST_ATTRIBUTES} attributes of all its members")
                # A negative size would lead back to a member that was read before, again and again.
                if info.offset <= last or info.size < 0:
                    raise _damaged(path, f"a member of {info.size} bytes at {info.offset}")
                last = info.offset
                yield info
            file.seek(archive.offset)
            mark = file.read(tarfile.BLOCKSIZE)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    if mark != tarfile.NUL * tarfile.BLOCKSIZE:
        raise _damaged(path, "other bytes, or none, where the next member or the end should be")


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        got = error.strerror or str(error)
        raise DataError.single(str(path), "", expected="a readable tar archive", got=got) from error


def _damaged(path: Path, got: str) -> DataError:
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    if packed:
        got, remedy = "a gzip file", "decompress it with gunzip: its files are read where they lie"
    else:
        remedy = "download or pack it again"
    return DataError.single(str(path), "", expected="a whole, uncompressed tar archive", got=got, remedy=remedy)


def _fault(info: tarfile.TarInfo) -> str:
    """Fault of a member that is no folder; empty for a sound one."""
    parts = info.name.removeprefix("./").split("/")
    if {"", ".", ".."}.intersection(parts) or "\0" in info.name:
        return "expected a path inside the archive, got one that leaves it"
    if info.issparse() or not info.isreg():
        return f"expected a file, got {_KINDS.get(info.type, 'a sparse file' if info.issparse() else 'another thing')}"
    if info.size > MOST_BYTES:
        return f"expected at most {MOST_BYTES} bytes, got {info.size}"
    if _spelled(info.name) != info.name:
        return "expected a path in UTF-8, got other bytes"
    return ""


def _spelled(name: str) -> str:
    """A name that can be stored as text; ``tarfile`` keeps bytes that are no UTF-8 as lone surrogates."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
