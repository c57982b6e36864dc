"""One drawn dataset for all tests of the analyses; its models are in ``figure_models``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from figure_dataset import write_figures

from figureground.exports.evaluation.dataset import Repository, open_repository

if TYPE_CHECKING:
    from figureground.exports.analyses.saliency_report import AnalysisInput
if find_spec("captum") is None:
    pytest.skip("captum is not installed (extra analyses)", allow_module_level=True)


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_figures(tmp_path_factory.mktemp("analyses") / "figures")


@pytest.fixture(scope="session")
def repository(figures: Path) -> Repository:
    return open_repository(str(figures))


@pytest.fixture
def given(repository: Repository) -> AnalysisInput:
    from figureground.exports.analyses.saliency_report import AnalysisInput  # imports torch

    return AnalysisInput(repository=repository)
