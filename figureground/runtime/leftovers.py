"""What a killed command left half-made, told from what another command is making by a lock that ends with its process.

The lock is on the file or folder itself. A process's number would not do: another one may have it by now, and on a disk
that machines share it may be the number of another machine's process. Whoever deletes one holds its lock meanwhile, and
has seen that it still has its name: so no command deletes what another one has just made under that name.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

try:
    import fcntl
except ImportError:  # no POSIX: there nothing is locked, and nothing is taken for a leftover
    fcntl = None  # type: ignore[assignment]

_MOST: Final = 1000
"""Commands that make the same file at once."""
_OURS: Final = re.compile(r"\..+\.fg\d+\.partial")


@contextmanager
def partial_file(path: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Make an empty hidden file beside ``path``, this call's own, and delete it if it is there at the end.

    One that a killed command left is replaced.

    Args:
        path: The file that it is to become.
        mode: Its rights, before the process's mask.
    """
    for number in range(_MOST):
        temporary = path.with_name(f".{path.name}.fg{number}.partial")
        _delete_leftover(temporary)
        try:
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            continue
        try:
            if not _hold(handle, temporary):
                continue
            yield temporary
        finally:
            with suppress(OSError):  # a folder that is none has said so above
                if _lies_at(handle, temporary):
                    temporary.unlink()
            os.close(handle)
        return
    raise OSError(f"{path}: {_MOST} commands are making this file")


@contextmanager
def holding(folder: Path) -> Iterator[bool]:
    """Mark a folder as being made by this process, until the block ends; gives False if somebody else took it away."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _hold(handle, folder)
    finally:
        os.close(handle)


@contextmanager
def locking(file: Path) -> Iterator[Literal["held", "busy", "gone"]]:
    """Hold a file's lock for this command alone until the block ends; the file is made where need be, its folder not.

    Not by filelock, which makes the folder too, and does not tell whether the file is still the one of its name.

    Returns:
        ``busy`` where another command holds it; ``gone`` where the folder is not there, or has become another one.
    """
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        yield "gone"
        return
    try:
        if _lock(handle) == "busy":
            yield "busy"
        else:
            yield "held" if _lies_at(handle, file) else "gone"
    finally:
        os.close(handle)


def clear_partials(folder: Path) -> None:
    """Delete what killed commands left half-made in a folder that is ours alone; what is being made stays."""
    with suppress(OSError):  # it is not there, or cannot be written to
        for path in _partials(folder):
            _delete_leftover(path)


def abandoned_partials(folder: Path) -> list[Path]:
    """Files that killed commands left half-made in a folder, sorted; raises OSError if it cannot be read."""
    abandoned = list[Path]()
    for path in _partials(folder):
        with _taking_over(path) as is_ours:
            if is_ours:
                abandoned.append(path)
    return abandoned


def clear_folders(parent: Path, prefix: str, mark: str) -> None:
    """Delete folders that ``mkdtemp`` gave a prefix and that are empty or hold the file ``mark``, if abandoned."""
    with suppress(OSError):
        for entry in os.scandir(parent):
            path = parent / entry.name
            if not (entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)):
                continue
            with _taking_over(path) as is_ours:
                names = [inner.name for inner in path.iterdir()] if is_ours else ["theirs"]
                if not names or mark in names:
                    shutil.rmtree(path)


def _partials(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(folder) if _OURS.fullmatch(entry.name))


def _delete_leftover(path: Path) -> None:
    with _taking_over(path) as is_ours:
        if is_ours:
            path.unlink()


@contextmanager
def _taking_over(path: Path) -> Iterator[bool]:
    """Lock a file or folder that a killed command left, until the block ends.

    Gives False where there is none, where a command is making it, and where nobody can tell.
    """
    if path.is_symlink():
        yield False
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield _lock(handle) == "held" and _lies_at(handle, path)
    finally:
        os.close(handle)


def _hold(handle: int, path: Path) -> bool:
    """Lock an open file or folder; returns whether it still lies at its path.

    Between its making and the lock another command may have taken it for a leftover. Where a disk knows no locks,
    nothing is taken for one.
    """
    _lock(handle, wait=True)
    return _lies_at(handle, path)


def _lock(handle: int, *, wait: bool = False) -> Literal["held", "busy", "unknown"]:
    """Lock an open file or folder for this command; ``busy`` where another one has it, else nobody can tell."""
    if fcntl is None:
        return "unknown"
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "busy"
    except OSError:  # a disk that knows no locks
        return "unknown"
    return "held"


def _lies_at(handle: int, path: Path) -> bool:
    """Whether a path is the name of an open file or folder."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
