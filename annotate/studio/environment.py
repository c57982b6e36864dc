"""The server's own Python environment: Label Studio pins what we must not be pinned by."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

import platformdirs
from filelock import FileLock

from figureground.errors import ServiceError, UsageError

SERVER_VERSION: Final = "1.23.2"
"""label-studio-sdk 2.1.2 is this server's own; the two change together."""
LOCK_NAME: Final = "server-lock.txt"
NEWEST_PYTHON: Final = (3, 13)
"""The one NumPy that Label Studio's OpenCV accepts has no wheels beyond it."""
INSTALL_MINUTES: Final = 30


def server_environment(say: Callable[[str], None]) -> Path:
    """Folder of an environment with Label Studio in it, installed on first use into the user's cache.

    Args:
        say: Called with a line for the user, when something takes long.

    Raises:
        UsageError: if this Python is too new for Label Studio.
        ServiceError: if the installation failed; run again to resume.
    """
    lock = _lock()
    folder = _folder(lock)
    if _is_ready(folder):
        return folder
    if sys.version_info[:2] > NEWEST_PYTHON:
        newest = ".".join(map(str, NEWEST_PYTHON))
        raise UsageError(
            f"Label Studio {SERVER_VERSION} runs on Python up to {newest}, and this is "
            f"{sys.version_info[0]}.{sys.version_info[1]}; use such a Python, or a server of your own with --url"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{folder.name}.lock"):
        if not _is_ready(folder):
            say(f"installing Label Studio {SERVER_VERSION} into {folder} (about 1 GB, once; some minutes)")
            _install(folder, lock)
    return folder


def installed_environment() -> Path | None:
    """Folder of the environment with Label Studio in it; None where it was not installed yet, or not to the end."""
    folder = _folder(_lock())
    return folder if _is_ready(folder) else None


def _lock() -> str:
    return (files("figureground.annotate.studio") / LOCK_NAME).read_text(encoding="utf-8")


def _folder(lock: str) -> Path:
    """Where the environment of a lock lies, for this Python."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}\n{lock}".encode()).hexdigest()[:12]
    return Path(platformdirs.user_cache_dir("figureground")) / "label-studio" / f"{SERVER_VERSION}-{digest}"


def executable(environment: Path, name: str) -> Path:
    """A program of an environment."""
    return environment / ("Scripts" if os.name == "nt" else "bin") / name


def _is_ready(folder: Path) -> bool:
    return (folder / "ready").is_file()


def _install(folder: Path, lock: str) -> None:
    """Build the environment in its final folder (scripts hold its path) and mark it ready as the last act."""
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    venv.create(folder, with_pip=uv is None)
    requirements = folder / LOCK_NAME
    requirements.write_text(lock, encoding="utf-8")
    python = str(executable(folder, "python"))
    install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    command = [*install, "--quiet", "--requirement", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_MINUTES * 60)
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"installing Label Studio took over {INSTALL_MINUTES} minutes; run again") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ServiceError("Label Studio could not be installed; run again.\n" + "\n".join(lines[-15:]))
    (folder / "ready").touch()
