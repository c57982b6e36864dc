"""One drawn dataset, its release without images, its workspace and its scores, for all tests of the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from viewed_dataset import Viewed, make_viewed

import figureground


@pytest.fixture(scope="session")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Viewed:
    return make_viewed(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def shown(viewed: Viewed) -> Iterator[figureground.View]:
    """The dataset as it is served, with scores and workspace."""
    with figureground.view(viewed.dataset, results=viewed.scores, workspace=viewed.workspace) as view:
        yield view
