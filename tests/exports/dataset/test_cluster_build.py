"""Builds on Ray: the bytes of the local engine, also where a node is lost in mid-build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from drawn_release import CLASS_MAP, DrawnRelease, draw_release
from ray_cluster import TwoNodes, end_shared_ray, machine_address, need_ray, two_nodes
from typer.testing import CliRunner

from figureground.build.recipes.loading import load_recipe
from figureground.cli.app import app
from figureground.errors import DataError, UsageError
from figureground.exports.dataset import building as repository
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import BuildRequest, History, Machines
from figureground.exports.dataset.request import prepare_request
from figureground.exports.dataset.verify import verify_repository
from figureground.runtime.engines import EngineChoice, ray_session
from figureground.runtime.files import file_sha256

PER_CLASS = 8


@pytest.fixture(scope="module", autouse=True)
def small_shards() -> Iterator[None]:
    """Shards of a few rows, so that there are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repository, "ROWS_PER_SHARD", 4)
        yield


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    return draw_release(Path(tmp_path_factory.mktemp("drawn")), PER_CLASS)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("recipe"))
    (folder / "toy.json").write_text(CLASS_MAP)
    words = load_recipe("imagenet9").model_dump(mode="json")
    (folder / "toy.yaml").write_text(yaml.safe_dump({**words, "name": "toy", "class_map": "toy.json"}))
    return folder / "toy.yaml"


@pytest.fixture(scope="module")
def local(drawn: DrawnRelease, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of the local build by name, with their SHA-256."""
    folder = Path(tmp_path_factory.mktemp("local")) / "toy"
    build_dataset(request(drawn, recipe, workers=1), folder)
    return bytes_of(folder)


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    need_ray()
    before = machine_address()
    with two_nodes() as started:
        assert machine_address() == before, "the address of a developer's cluster was overwritten"
        yield started


@pytest.fixture
def cluster(nodes: TwoNodes) -> TwoNodes:
    nodes.require_second()
    return nodes


def request(drawn: DrawnRelease, recipe: Path, engine: EngineChoice | None = None, *, workers: int = 2) -> BuildRequest:
    machines = Machines(workers=workers, engine=engine or EngineChoice())
    return prepare_request(str(recipe), drawn.workspace, machines=machines)


def bytes_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}


def left_behind(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_cluster_makes_the_bytes_of_the_local_engine(
    cluster: TwoNodes, drawn: DrawnRelease, recipe: Path, local: dict[str, str], tmp_path: Path
) -> None:
    engines = {
        name: EngineChoice(kind="ray", ray_address=cluster.address, staging=location)
        for name, location in (("shared", ""), ("staged", f"file://{tmp_path}/staging"))
    }
    with ray_session(engines["shared"], workers=2):  # its processes serve all three builds
        for name, engine in engines.items():
            build_dataset(request(drawn, recipe, engine), tmp_path / name)
            assert bytes_of(tmp_path / name) == local
        assert not [path for folder in (*cluster.scratch, tmp_path / "staging") for path in left_behind(folder)]
        broken = sorted(drawn.photos.rglob("*.png"))[0]
        whole = broken.read_bytes()
        broken.write_bytes(whole[:-9])
        try:
            with pytest.raises(DataError, match=broken.name) as raised:
                build_dataset(request(drawn, recipe, engines["staged"]), tmp_path / "broken")
        finally:
            broken.write_bytes(whole)
    assert len(raised.value.faults) == 1
    assert not (tmp_path / "broken").exists()


def test_a_node_that_is_lost_in_mid_build_costs_no_byte(
    cluster: TwoNodes, drawn: DrawnRelease, recipe: Path, local: dict[str, str], tmp_path: Path
) -> None:
    lost_at: list[int] = []

    def lose_a_node(stage: str, done: int, total: int) -> None:
        if stage == "rows" and not lost_at:
            assert left_behind(cluster.scratch[1]), "the second node has had no part in the work"
            cluster.lose_second()
            lost_at.append(total - done)

    engine = EngineChoice(kind="ray", ray_address=cluster.address)
    report = build_dataset(request(drawn, recipe, engine), tmp_path / "toy", progress=lose_a_node)
    assert lost_at[0] > report.rows / 2
    assert bytes_of(tmp_path / "toy") == local
    assert verify_repository(tmp_path / "toy").images == report.rows


def test_a_ray_of_this_machine_by_the_command(
    drawn: DrawnRelease, recipe: Path, local: dict[str, str], tmp_path: Path
) -> None:
    need_ray()
    end_shared_ray()
    arguments = ["build", str(recipe), "-w", str(drawn.workspace), "-o", str(tmp_path / "toy"), "--engine", "ray"]
    done = CliRunner().invoke(app, [*arguments, "--workers", "2"])
    assert done.exit_code == 0, done.output
    assert bytes_of(tmp_path / "toy") == local


def test_what_makes_no_sense_is_refused(drawn: DrawnRelease, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--engine ray"):
        request(drawn, recipe, EngineChoice(ray_address="head:6379"))
    engine = EngineChoice(kind="ray", ray_address="head:6379")
    with pytest.raises(UsageError, match="--earlier"):
        replace(request(drawn, recipe, engine), history=History(earlier=tmp_path))
