"""One drawn dataset and its release without images, for all tests of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from viewed_dataset import Viewed, make_viewed

import figureground


@pytest.fixture(scope="session")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Viewed:
    return make_viewed(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def reported(viewed: Viewed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset's page."""
    return figureground.report_build(viewed.dataset, tmp_path_factory.mktemp("reported"))
