"""Proposals on Ray: the masks of one machine, also where the models' process is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_boxes import draw_tree, index
from ray_cluster import kill_workers, shared_ray
from typer.testing import CliRunner

from figureground.annotate.proposals.on_ray import propose_on_ray
from figureground.annotate.proposals.proposing import ProposalSettings, propose
from figureground.annotate.segmenters.grabcut import GrabCutSegmenter
from figureground.annotate.segmenters.loading import ModelChoice
from figureground.cli.app import app
from figureground.errors import DataError, UsageError
from figureground.runtime.engines import EngineChoice
from figureground.schemas.records import ProposalRecord
from figureground.schemas.store.workspace import Workspace

BOX = ProposalSettings(prompt_mode="box", keep=2)
RAY = EngineChoice(kind="ray")


def proposals(workspace: Path) -> list[ProposalRecord]:
    with Workspace.open(workspace) as store:
        return sorted(store.proposals(), key=lambda proposal: proposal.proposal_id)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(tmp_path_factory.mktemp("tree"))
    draw_tree(root, 12)
    return root


@pytest.fixture(scope="module")
def local(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> list[ProposalRecord]:
    folder = Path(tmp_path_factory.mktemp("local"))
    index(tree, folder)
    with Workspace.open(folder) as store:
        propose(store, GrabCutSegmenter(), BOX)
    return proposals(folder)


def test_a_killed_model_is_loaded_again_and_the_masks_are_those_of_one_machine(
    tree: Path, local: list[ProposalRecord], tmp_path: Path
) -> None:
    shared_ray()
    index(tree, tmp_path)
    killed: list[int] = []

    def kill_it(_: str, done: int, total: int) -> None:
        if not killed and done < total / 2:
            killed.append(kill_workers("_ModelActor"))

    with Workspace.open(tmp_path) as store:
        report = propose_on_ray(store, ModelChoice(segmenter="grabcut", threads=1), BOX, RAY, progress=kill_it)
    assert killed[0] >= 1
    assert (report.images, report.masks) == (12, len(local))
    assert proposals(tmp_path) == local


def test_faults_are_told_as_they_are(tree: Path, local: list[ProposalRecord], tmp_path: Path) -> None:
    shared_ray()
    draw_tree(tmp_path, 3)
    index(tmp_path, tmp_path / "work")
    (tmp_path / "photos" / "disc" / "1.png").unlink()
    with Workspace.open(tmp_path / "work") as store:
        with pytest.raises(DataError, match=r"disc/1\.png") as caught:
            propose_on_ray(store, ModelChoice(segmenter="grabcut", threads=1), BOX, RAY)
        assert len(caught.value.faults) == 1
        assert len(list(store.proposals())) == 2
        with pytest.raises(UsageError, match="grabcut has no weights"):
            propose_on_ray(store, ModelChoice(segmenter="grabcut", checkpoint="any", threads=1), BOX, RAY)


def test_the_command(tree: Path, local: list[ProposalRecord], tmp_path: Path) -> None:
    shared_ray()
    index(tree, tmp_path)
    words = ["propose", "-w", str(tmp_path), "--segmenter", "grabcut", "--prompt", "box", "--keep", "2"]
    done = CliRunner().invoke(app, [*words, "--engine", "ray"])
    assert done.exit_code == 0, done.output
    assert proposals(tmp_path) == local
