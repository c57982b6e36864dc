"""Folders that cannot be written to, also for root, and commands that run where one is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from needs import need

Run = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def read_only(folder: Path) -> Iterator[Run]:
    """Runs commands for which a folder cannot be written to: by its rights, or for root by a mount of its own."""
    as_root = os.geteuid() == 0
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    prefix = ["unshare", "-m", "sh", "-c", script, str(folder)] if as_root else []
    if as_root:
        tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
        need(tried.returncode == 0, "this root may not mount")

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [*prefix, sys.executable, "-P", "-m", "figureground", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in () if as_root else folders:
        path.chmod(0o555)
    try:
        yield run
    finally:
        for path in () if as_root else folders:
            path.chmod(0o755)
