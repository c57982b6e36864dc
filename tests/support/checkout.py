"""The checkout as git sees it, for tests of the project's own files."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("annotate", "build", "exports", "schemas")
PACKAGE_FOLDERS = ("figureground", *STAGES)
CODE_FOLDERS = (*PACKAGE_FOLDERS, "benchmarks", "docs", "tests")


def is_checkout() -> bool:
    """Whether the tests lie in a git checkout; an unpacked archive has none."""
    return (ROOT / ".git").exists()


def project_files(*paths: str) -> list[str]:
    """Files of the project below ``paths``, tracked or new but not ignored, links left out, sorted.

    By default those of every folder with code or pages, and of the root itself; not what a user built beside them.
    """
    return _list("--cached", "--others", "--exclude-standard", paths=paths or (*CODE_FOLDERS, ":(glob)*"))


def tracked_files() -> list[str]:
    """Files that git tracks, wherever they lie."""
    return _list("--cached")


def _list(*options: str, paths: tuple[str, ...] = ()) -> list[str]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", *options, "--", *paths]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = sorted(set(filter(None, listed.split("\0"))))
    return [name for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]
