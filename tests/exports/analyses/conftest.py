"""One drawn dataset for all tests of the analyses; its models are in ``figure_models``."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("captum")  # the extra analyses

from figure_dataset import write_figures

from figureground.exports.analyses.saliency_report import AnalysisInput
from figureground.exports.evaluation.dataset import Repository, open_repository


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_figures(tmp_path_factory.mktemp("analyses") / "figures")


@pytest.fixture(scope="session")
def repository(figures: Path) -> Repository:
    return open_repository(str(figures))


@pytest.fixture
def given(repository: Repository) -> AnalysisInput:
    return AnalysisInput(repository=repository)
