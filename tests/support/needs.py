"""What a test needs from the machine: skipped with the reason where it is absent, failed where all is required."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
"""Real photos and masks that may not be committed; absent in most checkouts."""


def need(condition: bool, reason: str) -> None:
    """Skip the test unless ``condition``; with FIGUREGROUND_REQUIRE_ALL=1 fail it."""
    if condition:
        return
    if os.environ.get("FIGUREGROUND_REQUIRE_ALL") == "1":
        pytest.fail(f"required here, but {reason}", pytrace=False)
    pytest.skip(reason)
