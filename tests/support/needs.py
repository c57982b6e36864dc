"""What a test needs from the machine: skipped with the reason where it is absent, failed where all is required."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
"""Real photos and masks that may not be committed; absent in most checkouts."""


def need(condition: bool, reason: str) -> None:
    """Skip the test unless ``condition``; fail it if FIGUREGROUND_REQUIRE_ALL is set."""
    if condition:
        return
    if os.environ.get("FIGUREGROUND_REQUIRE_ALL"):
        pytest.fail(f"required here, but {reason}", pytrace=False)
    pytest.skip(reason)


def need_shared(path: Path) -> None:
    """Skip the test unless this file or folder of ``../shared`` is here; fail it if FIGUREGROUND_REQUIRE_ALL is 1.

    With ``tools`` in place of 1 everything is required but these files, which cannot be had everywhere.
    """
    if os.environ.get("FIGUREGROUND_REQUIRE_ALL") == "tools" and not path.exists():
        pytest.skip(f"{path.name} of ../shared is not here")
    need(path.exists(), f"{path.name} of ../shared is not here")
