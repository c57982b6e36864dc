"""Photos that the tests of lint share."""

from __future__ import annotations

from pathlib import Path

import pytest
from lint_samples import Photos, make_photos


@pytest.fixture(scope="session")
def lint_photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """Three photos that nobody changes."""
    return Photos.of(make_photos(Path(tmp_path_factory.mktemp("lint"))))
