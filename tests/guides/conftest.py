"""The folder that most pages of docs/howto go on in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from guide_folders import begun_dataset


@pytest.fixture
def first_dataset(tmp_path: Path) -> Path:
    """A copy of what the first tutorial leaves. Photos are read where they were: the workspace knows that place."""
    return Path(shutil.copytree(begun_dataset(), tmp_path / "here"))
