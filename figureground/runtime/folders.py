"""Folders that appear whole or not at all: made beside their place under a name that says so, by one command at a time.

Nothing is deleted in them, and nothing written, but where a mark of ours lies.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from figureground.errors import UsageError
from figureground.runtime.failures import naming
from figureground.runtime.leftovers import clear_folders, holding, locking

MARK: Final = ".build-key"
"""File that marks an unfinished folder as ours; it says what is being made."""
MADE: Final = ".figureground-made.json"
"""File that says by which command a finished folder was made, where nothing else in it does."""
_LOCK: Final = ".lock"
_STAYING: Final = (MARK, MADE, _LOCK)
_ATTEMPTS: Final = 5


@contextmanager
def unfinished_folder(out: Path, key: str, what: str, *, keeps: bool) -> Iterator[Path]:
    """Give ``OUT.partial`` to write into; it becomes ``out`` where the block succeeds.

    What an earlier call of the same key left in it is there again. Hidden entries of it are scratch, and go.

    Args:
        out: The folder to make.
        key: All that decides its content.
        what: What is being made, for people.
        keeps: Whether what is unfinished stays where the block fails, for the next call.

    Raises:
        UsageError: if ``out`` exists, another command is making it, or ``OUT.partial`` is somebody else's or the
            unfinished work of another key.
    """
    partial = out.with_name(f"{out.name}.partial")
    with naming(partial), _hold(out, partial, key, what):
        done = False
        try:
            yield partial
            for entry in partial.iterdir():
                if entry.name.startswith(".") and entry.name not in _STAYING:
                    _delete(entry)
            clear_unfinished(partial)
            require_absent(out)
            partial.rename(out)  # with its mark: without one, nobody would take it for ours if this is killed here
            done = True
            settle(out)
        finally:
            if not done and not keeps:
                _give_up(partial)


def settle(out: Path) -> None:
    """Take our marks from a finished folder, whose command may have been killed before it did so itself."""
    if (out / MARK).is_file() and not (out / MARK).is_symlink():
        for name in (_LOCK, MARK):
            (out / name).unlink(missing_ok=True)


def require_absent(out: Path) -> None:
    """Check that nothing is where a folder is to be made.

    Raises:
        UsageError: if something is, be it a link that leads nowhere.
    """
    if os.path.lexists(out):
        raise UsageError(f"{out} exists; give another folder with -o, or delete it")


def note_made(partial: Path, key: str, report: Mapping[str, Any]) -> None:
    """Say in an unfinished folder what it will be when it is finished, for ``made_before``; its last file.

    Args:
        partial: The folder, as ``unfinished_folder`` gave it.
        key: All that decides its content.
        report: JSON-ready, what the command tells about it.
    """
    content = {"key": key, "files": _size(partial), "report": dict(report)}
    (partial / MADE).write_text(json.dumps(content, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def made_before(out: Path, key: str) -> dict[str, Any] | None:
    """The report that ``note_made`` noted of a finished folder; None where it is none of this key.

    A command that was killed when its folder was finished is so told that there is nothing left to do. Where files were
    added or taken away since, the folder is none of ours any more.
    """
    try:
        content = json.loads((out / MADE).read_text(encoding="utf-8"))
        same = content["key"] == key and content["files"] == _size(out)
        report: dict[str, Any] = content["report"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not same:
        return None
    settle(out)
    return report


def _size(folder: Path) -> list[int]:
    """Number of files below a folder and of all their bytes, without hidden ones beside them."""
    marks = {folder / name for name in _STAYING}
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and path not in marks]
    return [len(sizes), sum(sizes)]


@contextmanager
def _hold(out: Path, partial: Path, key: str, what: str) -> Iterator[None]:
    """Make the unfinished folder if need be, and lock it for this command alone until the block ends.

    Raises:
        UsageError: as ``unfinished_folder``.
    """
    for _ in range(_ATTEMPTS):
        require_absent(out)
        _make(partial)
        _require_ours(out, partial)
        with locking(partial / _LOCK) as state:
            if state == "busy":
                break
            # Whoever held it may have finished, and moved the folder away, before this opened it.
            if state == "held" and (partial / MARK).is_file():
                _take_up(partial, key, what)
                yield
                return
    raise UsageError(f"another command is making {out}; wait until it is done, or give another -o")


def _give_up(partial: Path) -> None:
    """Delete an unfinished folder: under another name, lest another command begin in it meanwhile."""
    try:
        doomed = Path(mkdtemp(prefix=f".{partial.name}.", dir=partial.parent))
        partial.replace(doomed)
    except OSError:  # a full disk
        doomed = partial
    shutil.rmtree(doomed, ignore_errors=True)


def _make(partial: Path) -> None:
    """Make the folder with a mark in it, so that nobody ever sees it without."""
    prefix = f".{partial.name}."
    clear_folders(partial.parent, prefix, MARK)
    if os.path.lexists(partial):
        return
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        fresh = Path(mkdtemp(prefix=prefix, dir=partial.parent))
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(partial)) from error
    try:
        with holding(fresh) as held:
            if held:  # else another command took it for a leftover, and the next attempt makes it anew
                fresh.chmod(0o777 & ~_umask())
                (fresh / MARK).touch()
                fresh.rename(partial)
    except OSError:
        if not (partial / MARK).is_file():  # another command was quicker
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _umask() -> int:
    """Rights that this process takes from whatever it makes; there is no way to ask but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _require_ours(out: Path, partial: Path) -> None:
    mark = partial / MARK
    if partial.is_symlink() or mark.is_symlink() or (partial.exists() and not mark.is_file()):
        raise UsageError(
            f"{partial} is no unfinished work of figureground, which would make {out} there; move it away, or give "
            "another -o"
        )


def _take_up(partial: Path, key: str, what: str) -> None:
    """Go on with what is there, where it is of the same key, or begin where nothing is."""
    mark = partial / MARK
    if mark.read_text(encoding="utf-8", errors="replace") != key:
        if any(path.is_file() and path.name not in _STAYING for path in partial.rglob("*")):
            raise UsageError(
                f"{partial} holds unfinished work of other options or inputs than this {what}; run it again as it was "
                "begun to finish it, delete the folder to give it up, or give another -o"
            )
        mark.write_text(key, encoding="utf-8")
    clear_unfinished(partial)


def clear_unfinished(partial: Path) -> None:
    """Delete files that were not finished, by a killed command or by a worker that was lost."""
    for leftover in partial.rglob(".*.partial"):
        leftover.unlink(missing_ok=True)


def _delete(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
