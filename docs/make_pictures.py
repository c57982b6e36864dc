"""Take the pictures of docs/tutorials/first_mask.md anew, by following the page in a real browser, and make them small.

    .venv/bin/python -P docs/make_pictures.py

It runs the page's test, which needs Label Studio and Chromium.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

ROOT: Final = Path(__file__).resolve().parents[1]
TEST: Final = "tests/guides/test_first_mask.py"
TARGET: Final = ROOT / "docs" / "tutorials" / "first_mask"
COLOURS: Final = 256
"""Of a picture: the page is flat colours, and a palette takes a third of the bytes."""


def main() -> int:
    """Take the pictures; returns the exit code of the test."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "FIGUREGROUND_SCREENSHOTS": folder}
        command = [sys.executable, "-P", "-m", "pytest", "-q", TEST]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if done.returncode == 0:
            for path in sorted((Path(folder) / TARGET.name).glob("*.png")):
                write_small(path, TARGET / path.name)
    return done.returncode


def write_small(source: Path, target: Path) -> None:
    """Write a screenshot with a palette."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as shot:
        shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
