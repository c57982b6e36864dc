"""One drawn dataset and two models' scores on it, for all tests of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from pasted_dataset import make_rows, write_repository

import figureground


@pytest.fixture(scope="session")
def answered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The dataset, and the results of a model that looks at figures and of one that looks at grounds."""
    folder = tmp_path_factory.mktemp("answered")
    repository = write_repository(folder / "pasted", make_rows())
    for model in ("looks_at_figure", "looks_at_ground"):
        figureground.evaluate(repository, f"crop_dataset:{model}", out=folder / "scores", bootstrap=50)
    return repository, folder / "scores"
