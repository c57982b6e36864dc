"""Shards that nodes hand over, without a Ray: what a lost node leaves of one is no part of the dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from drawn_release import CLASS_MAP, DrawnRelease, draw_release

from figureground.exports.dataset import building
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.cluster_shards import NodeShardJob
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.inputs import BuildRequest, Machines
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.exports.dataset.verify import verify_repository
from figureground.runtime.engines import EngineChoice


class LosingEngine:
    """Works here as on one node of a cluster; another one is lost each time that it hands over a shard."""

    def __init__(self, choice: EngineChoice) -> None:
        self.choice = choice
        self.begun: list[Path] = []

    def run(self, function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        for job in jobs:
            if isinstance(job, NodeShardJob):
                target = Path(job.handover.removeprefix("file://"))
                target.parent.mkdir(parents=True, exist_ok=True)
                self.begun.append(target.with_name(f".{target.name}.0123.partial"))
                self.begun[-1].write_bytes(b"PAR1")
            yield function(job)

    def run_everywhere(self, function: Callable[..., Any], *arguments: Any) -> None:
        function(*arguments)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    return draw_release(tmp_path_factory.mktemp("drawn"), 2)


def request(drawn: DrawnRelease, folder: Path, machines: Machines) -> BuildRequest:
    (folder / "toy.json").write_text(CLASS_MAP)
    options = BuildOptions(variants=("original", "only_fg"), class_map=str(folder / "toy.json"))
    return prepare_request("imagenet9", drawn.workspace, options=options, machines=machines)


@pytest.mark.parametrize("staged", [False, True])
def test_what_lost_nodes_began_to_hand_over_is_deleted(
    drawn: DrawnRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, staged: bool
) -> None:
    staging = f"file://{tmp_path}/staging" if staged else ""
    engine = LosingEngine(EngineChoice(kind="ray", ray_address="node:6379", staging=staging))

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[LosingEngine]:
        yield engine

    monkeypatch.setattr(building, "open_engine", opened)
    report = build_dataset(request(drawn, tmp_path, Machines(workers=1, engine=engine.choice)), tmp_path / "set")
    assert engine.begun
    assert not list(tmp_path.rglob("*.partial"))
    assert verify_repository(tmp_path / "set").images == report.rows


def test_hidden_files_among_the_shards_are_no_part_of_a_dataset(drawn: DrawnRelease, tmp_path: Path) -> None:
    build_dataset(request(drawn, tmp_path, Machines(workers=1)), tmp_path / "set")
    (tmp_path / "set" / "data" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "set" / "data" / ".cache").mkdir()
    (tmp_path / "set" / "data" / ".cache" / "plain").write_bytes(b"\0")
    verify_repository(tmp_path / "set")
    assert DatasetFolder.unfinished(tmp_path / "set").shards == DatasetFolder.open(tmp_path / "set").shards
    write_manifest(tmp_path / "set")
    assert not any("DS_Store" in name or ".cache" in name for name in DatasetFolder.open(tmp_path / "set").manifest)
