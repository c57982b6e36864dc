"""The checkout as git sees it, for tests of the project's own files."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("annotate", "build", "exports", "schemas")
PACKAGE_FOLDERS = ("figureground", *STAGES)


def is_checkout() -> bool:
    """Whether the tests lie in a git checkout; an unpacked archive has none."""
    return (ROOT / ".git").exists()


def project_files(*paths: str) -> list[str]:
    """Files of the project under ``paths`` (all by default), tracked or new but not ignored, links left out, sorted."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    listed = subprocess.run([*command, *paths], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = sorted(set(filter(None, listed.split("\0"))))
    return [name for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]
