"""A small real release of project-made photos, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_release import DrawnRelease, draw_release


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    """Twelve drawn photos in three classes, indexed and frozen with their true masks."""
    return draw_release(Path(tmp_path_factory.mktemp("drawn")))
