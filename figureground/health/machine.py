"""The machine: where networks can run, room on disks, folders that can be written to, how many files can be open."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from figureground.annotate.segmenters.checkpoints import CACHE_VARIABLE, cache_folder
from figureground.errors import shell_word
from figureground.health.findings import Finding, State
from figureground.runtime.processes import default_workers

AREA: Final = "machine"
LOW_BYTES: Final = 5_000_000_000
"""Free room on a disk below which a large build or Label Studio's installation may not fit."""
LEAST_BYTES: Final = 500_000_000
"""Free room below which next to nothing fits."""
_NAMED_IN: Final = {"working folder": " with -w", "cache": f" in {CACHE_VARIABLE}", "temporary folder": " in TMPDIR"}
_FEW_FILES: Final = 1024
_LEAST_FILES: Final = 256
"""Files that can be open at once, below which a build with two workers fails."""


def look_at_machine(folder: Path) -> Iterator[Finding]:
    """Devices, room, rights and limits.

    Args:
        folder: Where the user works: a workspace, or the current folder.
    """
    yield _devices()
    yield Finding(area=AREA, name="processors", state="good", detail=f"{default_workers()} to work with")
    folders = {"working folder": folder, "cache": cache_folder(), "temporary folder": Path(tempfile.gettempdir())}
    for name, path in folders.items():
        yield _room(name, _existing(path), path)
    yield from _open_files()


def _devices() -> Finding:
    if find_spec("torch") is None:
        return Finding(
            area=AREA, name="devices", state="good", detail="cpu (torch, which knows others, is not installed)"
        )
    from figureground.runtime.devices import available_devices

    return Finding(area=AREA, name="devices", state="good", detail=", ".join(available_devices()))


def _existing(path: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if _is_folder(folder))


def _is_folder(path: Path) -> bool:
    """Whether a folder is there; one below a folder that may not be read is none."""
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _room(name: str, existing: Path, asked: Path) -> Finding:
    """Whether a folder can be written to, and the room on its disk."""
    if not os.access(existing, os.W_OK | os.X_OK):
        remedy = f"chmod u+w {shell_word(existing)}, or name another folder"
        remedy += _NAMED_IN.get(name, "")
        return Finding(area=AREA, name=name, state="broken", detail=f"{asked} cannot be written to", remedy=remedy)
    free = shutil.disk_usage(existing).free
    state: State = "broken" if free < LEAST_BYTES else "doubtful" if free < LOW_BYTES else "good"
    other = f"or name another one{_NAMED_IN.get(name, '')}"
    remedy = "" if state == "good" else f"make room on the disk of {existing}, {other}"
    return Finding(area=AREA, name=name, state=state, detail=f"{asked}, {free / 1e9:.1f} GB free", remedy=remedy)


def _open_files() -> Iterator[Finding]:
    if sys.platform == "win32":  # no such limit there
        return
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < _FEW_FILES
    state: State = "good" if not few else "broken" if soft < _LEAST_FILES else "doubtful"
    detail = "any number" if soft == resource.RLIM_INFINITY else f"{soft} at once"
    remedy = f"ulimit -n {_FEW_FILES}" if few else ""
    yield Finding(area=AREA, name="open files", state=state, detail=detail, remedy=remedy)
