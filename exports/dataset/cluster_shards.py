"""Rendering on machines that share no disk: scenes stay where they were made, and only finished shards travel.

A scene of a 224-pixel photo has some 0.5 MB, the photo itself 0.1 MB, and making the one of the other takes 5 ms. So a
node makes the scenes that its shards need, each once, on a disk of its own, and none crosses the network; a node that
is lost takes nothing along that another could not make again. ``docs/adr/0011-ray.md`` has the numbers.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from figureground.build.painting.scene_files import SceneJob, write_scenes
from figureground.errors import DataError, Fault, ServiceError, UsageError
from figureground.exports.dataset.lock import environment, environment_differences
from figureground.exports.dataset.shards import ShardJob, write_shard
from figureground.runtime.files import file_sha256
from figureground.runtime.pools import Engine, LazyJobs
from figureground.runtime.storage import fetch, join_place, local_path, machine_scratch, publish, remove
from figureground.schemas.records import PhotoRef, SourceRow

_APPEARS_SECONDS: Final = 60.0  # NFS may remember that long that a file is not there (acdirmax)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlace:
    """Where a build is made: what its tasks are told, wherever they run."""

    key: str
    """Names the build: what one left on a node's disk serves the next attempt of the same build only."""
    folder: Path
    """The unfinished repository, on the machine of the command."""
    sources: Mapping[str, SourceRow]
    """Where photos lie; on a cluster, for every node."""
    textures: Mapping[str, PhotoRef]
    """The textures of the plan, by image_id."""
    staging: str = ""
    """Folder or URI that all nodes reach; empty where they reach the repository's own folder."""
    environment: Mapping[str, Any] = field(default_factory=environment)
    """Software of the machine of the command; a node with another one might make other bytes."""

    def place_of(self, shard: Path) -> str:
        """Where the task of a shard puts it."""
        if not self.staging:
            return str(shard)
        return join_place(self.staging, "+".join([self.key[:16], *shard.relative_to(self.folder).parts]))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShardJob:
    """A shard to be made on some node."""

    shard: ShardJob
    scenes: SceneJob
    """The photos that its rows use."""
    key: str
    place: str
    """Where to put it."""
    environment: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMade:
    """A shard that a node has handed over."""

    path: Path
    """Where it belongs, on the machine of the command."""
    place: str
    """Where it was put."""
    host: str
    sha256: str = ""
    rows: int = 0
    faults: tuple[Fault, ...] = ()
    """Photos that this node could not read; there is no shard then."""


def write_all_scenes(engine: Engine, place: BuildPlace, jobs: Sequence[SceneJob]) -> Iterator[tuple[int, list[Fault]]]:
    """``write_scenes`` of every job; on a cluster, into the disk of whichever node runs it.

    There the second pass makes the scenes that its own node lacks, so that this one only shares that work out, and
    tells the faults of all photos before any row is rendered.
    """
    if engine.choice.is_cluster:
        yield from engine.run(partial(_write_node_scenes, place.key, place.environment), jobs)
    else:
        yield from engine.run(write_scenes, jobs)


def write_all_shards(engine: Engine, place: BuildPlace, jobs: Sequence[ShardJob]) -> Iterator[int]:
    """``write_shard`` of every job; from a cluster, shards are taken in as they come. Yields the rows of each.

    Raises:
        DataError: with every photo that a node could not read.
        UsageError: if a node has other software, or put a shard where this machine does not find it.
        ServiceError: if staging fails, or a shard is not what its node handed over.
    """
    if not engine.choice.is_cluster:
        yield from engine.run(write_shard, jobs)
        return
    left = []
    for number, job in enumerate(jobs):
        if job.path.exists():
            yield len(job.rows)
        else:
            left.append(number)
    faults: set[Fault] = set()
    node_jobs = LazyJobs(lambda number: _node_job(place, jobs[left[number]]), len(left))
    for made in engine.run(write_node_shard, node_jobs):
        faults.update(made.faults)
        if not made.faults:
            _take_in(made)
            yield made.rows
    if faults:
        raise DataError(faults)
    engine.run_everywhere(_clear_scratch, place.key)


def write_node_shard(job: NodeShardJob) -> ShardMade:
    """Make a shard on this node, with the scenes that this node lacks, and hand it over whole."""
    folder = _scratch(job.key, job.environment)
    made = ShardMade(path=job.shard.path, place=job.place, host=socket.gethostname())
    _, faults = write_scenes(replace(job.scenes, folder=folder))
    if faults:
        return replace(made, faults=tuple(faults))
    with tempfile.TemporaryDirectory(dir=folder) as own:
        path = Path(own, job.shard.path.name)
        rows = write_shard(replace(job.shard, path=path, scenes=folder))
        publish(path, job.place)
        return replace(made, rows=rows, sha256=file_sha256(path))


def _write_node_scenes(key: str, wanted: Mapping[str, Any], job: SceneJob) -> tuple[int, list[Fault]]:
    return write_scenes(replace(job, folder=_scratch(key, wanted)))


def _node_job(place: BuildPlace, shard: ShardJob) -> NodeShardJob:
    rows = shard.rows_to_render()
    objects = sorted({name for row in rows for name in (row.object_id, row.ground_id) if name})
    textures = sorted({row.texture_id for row in rows if row.texture_id})
    scenes = SceneJob(
        objects=tuple(shard.objects[name] for name in objects),
        textures=tuple(place.textures[name] for name in textures),
        sources=place.sources,
        recipe=shard.recipe,
        rules=shard.rules,
        folder=shard.scenes,
    )
    return NodeShardJob(
        shard=shard, scenes=scenes, key=place.key, place=place.place_of(shard.path), environment=place.environment
    )


def _scratch(key: str, wanted: Mapping[str, Any]) -> Path:
    """This node's folder for the scenes of a build.

    Raises:
        UsageError: if the node has other software than the machine of the command.
    """
    if wanted != _environment():
        differs = "; ".join(environment_differences(wanted, _environment())) or "another figureground"
        raise UsageError(f"node {socket.gethostname()} could make other bytes: {differs}; give all nodes one image")
    return machine_scratch(key)


@cache
def _environment() -> dict[str, Any]:
    return environment()


def _clear_scratch(key: str) -> None:
    shutil.rmtree(machine_scratch(key), ignore_errors=True)


def _take_in(made: ShardMade) -> None:
    """Bring a shard to where it belongs, and make sure that it is the one that its node made."""
    shown = local_path(made.place)
    if shown is not None and not _appears(shown):
        raise UsageError(
            f"{made.host} wrote {made.place}, which is not here: put it on a disk that all nodes share, or name a "
            "folder or URI that they all reach with --ray-staging"
        )
    if shown != made.path:
        fetch(made.place, made.path)
        remove(made.place)
    got = file_sha256(made.path)
    if got != made.sha256:
        made.path.unlink()
        raise ServiceError(f"{made.place}: {made.host} wrote SHA-256 {made.sha256}, here it has {got}; run again")


def _appears(path: Path) -> bool:
    until = time.monotonic() + _APPEARS_SECONDS
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.5)
    return path.exists()
